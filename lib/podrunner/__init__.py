"""A node without containers: runs the Pods of plain Kubernetes objects as local processes.

    objects   what Pods there should be: Deployments, StatefulSets, DaemonSets and Jobs spelled out
    images    which installed program stands for an image
    volumes   a Pod's ConfigMaps, Secrets, claims and projected files as directories
    network   a network namespace and an address for each Pod, Services, names
    policy    NetworkPolicies as nftables in each Pod's namespace
    process   a container's command, environment and user, and its private root
    probes    startup, readiness and liveness, as the kubelet sends them
    runner    one Pod from its first init container to its last signal
    node      all of them together: apply, wait, read logs, kill, stop
    loopback  the same Pods without root: one loopback address each, mount paths rewritten

Knows Kubernetes and nothing else: no tenant, no Matrix. Linux alone; namespaces need root.
"""
