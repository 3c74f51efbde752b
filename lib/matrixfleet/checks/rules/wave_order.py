"""In a tenant's Application the database comes first, then Synapse's main process, workers, router, edge.

The main process alone migrates the schema, and workers refuse to start before it has
(synapse/storage/prepare_database.py). An Ingress is Healthy only with an address, and some controllers give
one only when a backend answers.
"""

from __future__ import annotations

from collections.abc import Iterator

from matrixfleet.checks.tree import Entry, Finding, Tree

WORKLOADS = ("Deployment", "StatefulSet", "Cluster")
ROUTES = ("Ingress", "IngressRoute", "HTTPRoute", "Gateway", "VirtualService")
DATABASE, MAIN, WORKERS, FRONT, EDGE = range(5)
# By app.kubernetes.io/name.
SOFTWARE = {"postgresql": DATABASE, "synapse": MAIN, "haproxy": FRONT, "element-web": FRONT}
ORDER = "the order is database, main process, workers, router and Element Web, edge"


def check(tree: Tree) -> Iterator[Finding]:
    """Each object against the latest of every stage before it."""
    targets: dict[str, dict[int, list[Entry]]] = {}
    for entry in tree.of_kind(*WORKLOADS, *ROUTES):
        place = stage(entry)
        if place is not None and entry.part == "workload":
            targets.setdefault(entry.target, {}).setdefault(place, []).append(entry)
    for stages in targets.values():
        latest = {place: max(entries, key=lambda entry: entry.wave) for place, entries in stages.items()}
        for place, entries in stages.items():
            for before in (before for before in latest if before < place):
                last = latest[before]
                # A router looks by itself whether its backends are there: it may come with the workers.
                first = last.wave + (0 if (before, place) == (WORKERS, FRONT) else 1)
                for entry in (entry for entry in entries if entry.wave < first):
                    message = f"expected wave {first} or later, got {entry.wave}: {last} is in {last.wave}; {ORDER}"
                    yield tree.finding(entry, "wave-order", message)


def stage(entry: Entry) -> int | None:
    """Where an object stands in the order; None for what has no place in it."""
    if entry.kind in ROUTES:
        return EDGE
    found = SOFTWARE.get(entry.labels.get("app.kubernetes.io/name", ""))
    if found == MAIN and entry.labels.get("app.kubernetes.io/component") != "synapse":
        return WORKERS
    return found
