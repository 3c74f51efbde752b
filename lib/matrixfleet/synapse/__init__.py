"""How Synapse spells the plan: its configuration, and the Pods that all its processes share."""
