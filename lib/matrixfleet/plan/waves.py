"""The order inside one Application (argocd.argoproj.io/sync-wave). Between Applications none is promised.

Argo CD goes on to the next wave when the one before is healthy, and down the waves when it prunes.
"""

SECRETS = 0
"""Secrets and certificates: everything mounts them."""
DATABASE = 1
"""PostgreSQL."""
MAIN = 2
"""Synapse's main process: it alone migrates the schema, and workers refuse to start before it has
(synapse/storage/prepare_database.py)."""
WORKERS = 3
"""Every other Synapse process."""
FRONT = 4
"""Router and Element Web."""
EDGE = 5
"""Ingress and its certificates: an Ingress is Healthy only once it has an address, so it comes late."""
TURN = 6
"""Coturn, and its certificate with the edge's: where DNS-01 fails, everything else is up already."""
ALERTS = 7
"""What lives in somebody else's namespace: where that is not there yet, everything else is up already."""
