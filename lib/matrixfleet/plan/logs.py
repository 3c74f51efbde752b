"""What the agent that reads logs has of its node."""

PODS = "/var/log/pods"
"""The kubelet's log files of every container."""
PLACE = "/var/lib/matrix-fleet-logs"
"""How far it has read, and what its store has not taken yet: outlives the Pod, or every line would be sent again."""
NODE_FILES = (PODS, PLACE)
