"""A compiled tenant on one machine: what a cluster does around the Pods that `podrunner` runs.

    images        which installed program stands for which image
    overlays      what must differ on one machine, each with its reason
    secrets       the bootstrap Job's own script, against this node's Secrets
    certificates  what cert-manager would make of Certificates and Issuers
    cnpg          a Cluster and a Pooler as the Pods that CloudNativePG's operator would make, without its failover
    edge          a real Traefik that serves the compiled Ingresses
    tenant        reads a compiled tenant and boots it in the order of Argo CD's waves

Reads compiled/ and nothing else of the repository.
"""
