"""Every container runs an image of its release, as that image's row in the release says.

The row is what somebody read in the Dockerfile: who the image runs as, what is in it, where it writes. A Pod
that departs from it starts in no cluster, or starts and fails at the first write to a read-only root.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath

from matrixfleet.checks.pods import relays
from matrixfleet.checks.said import target_of
from matrixfleet.checks.tree import Finding, Json, Pod, Tree
from matrixfleet.model import Image, Release


def check(tree: Tree) -> Iterator[Finding]:
    """Each container against its row."""
    for pod in tree.pods:
        target = target_of(tree, pod.entry)
        if target is None:
            continue
        rows = rows_of(target.release)
        for one in pod.containers:
            reference = str(one.get("image", ""))
            row = rows.get(repository_of(reference))
            if row is None:
                message = f"expected an image of release {target.release_name}, got {reference or 'none'}"
                yield tree.finding(pod.entry, "images", f"container {one['name']}: {message}")
                continue
            for fault in container_faults(pod, one, row, list(relays(tree, pod))):
                yield tree.finding(pod.entry, "images", f"container {one['name']}: {fault}")
            # Only where it serves: an init container or a Job uses a corner of the image.
            if one.get("ports"):
                for path in unwritable(pod, reference, row):
                    message = f"expected a writable volume at {path}, where its image writes"
                    yield tree.finding(pod.entry, "images", f"container {one['name']}: {message}")


def rows_of(release: Release) -> dict[str, Image]:
    """The release's images by repository."""
    return {image.repository: image for _, image in release.images if isinstance(image, Image)}


def repository_of(reference: str) -> str:
    """An image's name without tag and digest; a port of a registry is no tag."""
    name = reference.partition("@")[0]
    folder, slash, last = name.rpartition("/")
    return folder + slash + last.partition(":")[0]


def container_faults(pod: Pod, one: Json, row: Image, relayed: list[tuple[int, int]]) -> Iterator[str]:
    """Where a container departs from its row."""
    if one["image"] != row.reference:
        yield f"expected image {row.reference}, got {one['image']}"
    own = one.get("securityContext") or {}
    context = {**(pod.spec.get("securityContext") or {}), **own}
    for key, wanted in (("runAsUser", row.uid), ("runAsGroup", row.gid)):
        if context.get(key) != wanted:
            yield f"expected {key} {wanted}, got {context.get(key)}"
    program = (one.get("command") or ["the image's entrypoint"])[0]
    if program not in row.commands:
        yield f"expected a command of {', '.join(row.commands)}, got {program}"
    if not pod.host_network:
        # On the host network ports are an operator's choice: the nodes have to have them free.
        for port in one.get("ports", []):
            number = port["containerPort"]
            # Relays listen where their configuration says.
            if number not in row.ports and not any(first <= number <= last for first, last in relayed):
                yield f"port {port['containerPort']}: expected one of {list(row.ports)}"
    added = sorted((own.get("capabilities") or {}).get("add", []))
    if added != sorted(row.capabilities):
        yield f"expected capabilities.add {sorted(row.capabilities)}, got {added}"
    for path in writable(pod, [one]):
        places = [*row.writes, *row.keeps]
        if not any(below(path, allowed) for allowed in places):
            yield f"writable volume at {path}: expected it at or below one of {places}"


def writable(pod: Pod, containers: Iterable[Json]) -> list[str]:
    """Where containers may write: their volumes for that."""
    kinds = ("emptyDir", "persistentVolumeClaim", "claimTemplate", "ephemeral")
    return [
        mount["mountPath"]
        for one in containers
        for mount in one.get("volumeMounts", [])
        if not mount.get("readOnly") and any(kind in pod.volumes.get(mount["name"], {}) for kind in kinds)
    ]


def unwritable(pod: Pod, reference: str, row: Image) -> list[str]:
    """Paths that an image writes, without a volume at, above or below them in any container of that image."""
    paths = writable(pod, (one for one in pod.containers if one.get("image") == reference))
    return [path for path in row.writes if not any(below(path, one) or below(one, path) for one in paths)]


def below(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies in it."""
    return PurePosixPath(path).is_relative_to(folder)
