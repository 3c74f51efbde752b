from collections.abc import Callable

from matrixfleet.checks import Tree
from rules.breaking import POSTGRESQL, PROD, SYNAPSE, Break, put

ROUTER = f"{PROD}/workload/router/deployment-matrix-prod-router.yaml"
INGRESS = f"{PROD}/workload/edge/ingress-matrix-prod-matrix.yaml"
WAVE = ("metadata", "annotations", "argocd.argoproj.io/sync-wave")


def worker(wave: str, router: str = "4") -> Callable[[Tree], Tree]:
    """A worker in a wave, the router in another."""

    def change(tree: Tree) -> Tree:
        doc = {
            "kind": "Deployment",
            "metadata": {
                "name": "worker",
                "namespace": "matrix-prod",
                "labels": {"app.kubernetes.io/name": "synapse", "app.kubernetes.io/component": "sync"},
                "annotations": {"argocd.argoproj.io/sync-wave": wave},
            },
        }
        return put(ROUTER, *WAVE, to=router)(tree).having(f"{PROD}/workload/worker/deployment-worker.yaml", doc)

    return change


BREAKS = [
    Break(
        "the main process beside its database",
        put(SYNAPSE, *WAVE, to="1"),
        "expected wave 2 or later, got 1: StatefulSet matrix-prod/matrix-prod-postgresql is in 1;",
    ),
    Break(
        "the database at the end",
        put(POSTGRESQL, *WAVE, to="9"),
        "Ingress matrix-prod/matrix-prod-matrix: expected wave 10 or later, got 5",
    ),
    Break(
        "a worker beside the main process",
        worker("2"),
        "Deployment matrix-prod/worker: expected wave 3 or later, got 2: Deployment",
    ),
    Break(
        "a router before its workers",
        worker("4", router="3"),
        "matrix-prod-router: expected wave 4 or later, got 3: Deployment matrix-prod/worker is in 4",
    ),
    Break(
        "an Ingress beside the router",
        put(INGRESS, *WAVE, to="4"),
        "Ingress matrix-prod/matrix-prod-matrix: expected wave 5 or later, got 4",
    ),
]
