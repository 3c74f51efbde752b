"""Nothing secret is written to a node's disk: what a container makes of Secrets lies in memory.

Secrets are mounted from memory (tmpfs). A disk emptyDir lies unencrypted below /var/lib/kubelet, and what was in it can
be read from the node's disk after the Pod is gone. Memory that a container may fill counts as its own, so its limit
must have room for that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from matrixfleet.checks.pods import environment_references, references, volume_references
from matrixfleet.checks.rules.resources import amount
from matrixfleet.checks.tree import Finding, Json, Pod, Tree

# Where containers that read Secrets may write to a node's disk, and what that is: none of it is made of a Secret.
DISK = {
    "/tmp": "spools: uploads on their way, caches that restic encrypts, lists",
    "/data/media": "media, of which the bucket has the original",
    "/var/lib/postgresql": "a restore that is tried: a database, removed when it was looked at",
}
TEMPORARY = re.compile(r"\bmktemp\b(?![^\n;|&]*(?:--tmpdir[= ]|-p ?)[\"']?/)")


def check(tree: Tree) -> Iterator[Finding]:
    """Each container that reads a Secret."""
    for pod in tree.pods:
        secret = {name for name, volume in pod.volumes.items() if reads_secret(volume)}
        for one in pod.containers:
            mounts = one.get("volumeMounts", [])
            read = any(mount["name"] in secret for mount in mounts)
            read = read or any(reference.kind == "Secret" for reference in environment_references(one))
            faults = [*room_faults(pod, one), *(disk_faults(pod, one) if read else ())]
            faults += script_faults(tree, pod, one) if read else []
            yield from (
                tree.finding(pod.entry, "secrets-in-memory", f"container {one['name']}: {fault}") for fault in faults
            )


def reads_secret(volume: Json) -> bool:
    """Whether a volume is filled from a Secret."""
    return any(reference.kind == "Secret" for reference in volume_references(volume))


def scratch(pod: Pod, one: Json) -> Iterator[tuple[str, Json]]:
    """Where a container may write to an emptyDir, and that one."""
    for mount in one.get("volumeMounts", []):
        volume = pod.volumes.get(mount["name"], {})
        if "emptyDir" in volume and not mount.get("readOnly"):
            yield mount["mountPath"], volume["emptyDir"] or {}


def disk_faults(pod: Pod, one: Json) -> Iterator[str]:
    """Where it may write on the node's disk."""
    for path, volume in scratch(pod, one):
        if volume.get("medium") != "Memory" and path not in DISK:
            also = f"or one of {', '.join(sorted(DISK))}"
            yield f"reads Secrets and writes {path}: expected emptyDir.medium Memory, {also}, got the node's disk"


def room_faults(pod: Pod, one: Json) -> Iterator[str]:
    """Memory that it may fill by writing files."""
    sizes = []
    for path, volume in scratch(pod, one):
        if volume.get("medium") == "Memory":
            if "sizeLimit" not in volume:
                yield f"writes {path} in memory: expected a sizeLimit, got none"
            sizes.append(amount(volume.get("sizeLimit", 0)))
    limit = ((one.get("resources") or {}).get("limits") or {}).get("memory")
    if sizes and limit is not None and sum(sizes) * 2 > amount(limit):
        yield f"files in memory may take {sum(sizes):f} of its limit {limit}: expected half of it or less"


def script_faults(tree: Tree, pod: Pod, one: Json) -> list[str]:
    """Scripts that would make temporary files in /tmp without saying so."""
    mounted = {mount["name"] for mount in one.get("volumeMounts", [])}
    texts = {"its command": " ".join(map(str, one.get("command", [])))}
    for reference in references(pod):
        if reference.kind == "ConfigMap" and reference.by.removeprefix("volume ") in mounted:
            found = tree.find(pod.entry.cluster, "ConfigMap", pod.entry.namespace, reference.name)
            texts |= (found.doc.get("data") or {}) if found else {}
    return [
        f"{name} calls mktemp without a folder, so in /tmp: expected --tmpdir= and a folder in memory"
        for name, text in sorted(texts.items())
        if (name == "its command" or name.endswith(".sh")) and TEMPORARY.search(text)
    ]
