"""How many main processes of a homeserver ran at a time, by what a watch of Pods saw."""

from __future__ import annotations

from collections import defaultdict

from api import Object
from plane import Recorder, is_ready

LABEL = "app.kubernetes.io/"


def is_main(pod: Object) -> bool:
    """Whether it runs Synapse's main process."""
    words = [word for one in pod["spec"]["containers"] for word in (*one.get("command", ()), *one.get("args", ()))]
    return any("synapse.app.homeserver" in word for word in words)


def most_mains(recorder: Recorder, since: float = 0) -> dict[str, int]:
    """The largest number of mains of a tenant that ran at one moment; one that terminates runs until it is gone."""
    running: dict[str, set[str]] = defaultdict(set)
    most: dict[str, int] = {}
    for at, event, pod in list(recorder.events):
        if pod["kind"] != "Pod" or not is_main(pod):
            continue
        tenant = pod["metadata"]["labels"][LABEL + "instance"]
        here, uid = running[tenant], pod["metadata"]["uid"]
        if event != "DELETED" and pod["status"].get("phase") == "Running":
            here.add(uid)
        else:
            here.discard(uid)
        if at >= since:
            most[tenant] = max(most.get(tenant, 0), len(here))
    return most


def fewest_ready(recorder: Recorder, since: float) -> dict[tuple[str, str], int]:
    """For each component of each tenant, the smallest number of its Pods that were ready at one moment since then."""
    ready: dict[tuple[str, str], set[str]] = defaultdict(set)
    fewest: dict[tuple[str, str], int] = {}
    seen_since = False
    for at, event, pod in list(recorder.events):
        if pod["kind"] != "Pod":
            continue
        if at >= since and not seen_since:
            seen_since = True
            fewest = {key: len(pods) for key, pods in ready.items()}
        labels = pod["metadata"].get("labels", {})
        key = (labels.get(LABEL + "instance", ""), labels.get(LABEL + "component", ""))
        well = event != "DELETED" and "deletionTimestamp" not in pod["metadata"] and is_ready(pod)
        (ready[key].add if well else ready[key].discard)(pod["metadata"]["uid"])
        if seen_since:
            fewest[key] = min(fewest.get(key, len(ready[key])), len(ready[key]))
    return fewest
