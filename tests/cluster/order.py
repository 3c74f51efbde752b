"""When an object was there and when it was well, from recorded events."""

from __future__ import annotations

from api import Object
from plane import Recorder, is_ready

WAVE = "argocd.argoproj.io/sync-wave"
Key = tuple[str, str, str]


def well(thing: Object) -> bool:
    """Whether Argo CD would go on to the next wave because of it."""
    kind, spec, status = thing["kind"], thing.get("spec", {}), thing.get("status", {})
    if kind == "Deployment":
        wanted = spec.get("replicas", 1)
        return status.get("observedGeneration") == thing["metadata"]["generation"] and wanted == (
            status.get("availableReplicas", 0)
        ) == status.get("updatedReplicas", 0)
    if kind == "StatefulSet":
        return bool(spec.get("replicas", 1) == status.get("readyReplicas", 0))
    if kind == "DaemonSet":
        return "numberReady" in status and status["numberReady"] == status.get("desiredNumberScheduled")
    if kind == "Job":
        return bool(status.get("succeeded"))
    if kind in ("Certificate", "Cluster"):
        return is_ready(thing)
    if kind == "Ingress":
        return bool(status.get("loadBalancer", {}).get("ingress"))
    return True


def first_times(recorder: Recorder, instance: str) -> dict[Key, tuple[int, float, float]]:
    """For each object of a target that was synced: its wave, when it was made, when it was well for the first time."""
    found: dict[Key, tuple[int, float, float]] = {}
    for at, event, thing in list(recorder.events):
        metadata = thing["metadata"]
        labels, annotations = metadata.get("labels", {}), metadata.get("annotations", {})
        # Between Applications no order is promised.
        if (
            thing["kind"] == "Application"
            or labels.get("app.kubernetes.io/instance") != instance
            or WAVE not in annotations
            or event == "DELETED"
        ):
            continue
        key = (thing["kind"], metadata["namespace"], metadata["name"])
        wave, made, became = found.get(key, (int(annotations[WAVE]), at, 0.0))
        found[key] = (wave, made, became or (at if well(thing) else 0.0))
    return found


def in_order(recorder: Recorder, instance: str, began: float = 0) -> str:
    """Assert that the last of a wave is well before the first of the next is made; when each was well, in a line."""
    times = first_times(recorder, instance)
    assert len(times) > 5
    waves: dict[int, list[tuple[str, float, float]]] = {}
    for key, (wave, made, became) in times.items():
        waves.setdefault(wave, []).append(("/".join(key), made, became))
    began = began or min(made for _, made, _ in times.values())
    for wave, later in zip(sorted(waves), sorted(waves)[1:], strict=False):
        last, _, became = max(waves[wave], key=lambda each: each[2])
        first, made, _ = min(waves[later], key=lambda each: each[1])
        assert all(each[2] for each in waves[wave]), f"never well: {[each[0] for each in waves[wave] if not each[2]]}"
        assert became <= made + 0.5, f"{first} of wave {later} came {became - made:.1f} s before {last} of wave {wave}"
    ends = {wave: max(each[2] for each in things) - began for wave, things in waves.items()}
    return f"{instance}: " + ", ".join(f"wave {wave} well at {end:.0f} s" for wave, end in sorted(ends.items()))
