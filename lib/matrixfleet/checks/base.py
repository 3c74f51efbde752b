"""What must not change between a base commit and now, because a cluster would refuse it or lose something.

Each rule compares two trees of compiled objects. `stopped` in the base is the word that allows what is
otherwise refused: a tenant is removed in two pull requests, the first of which stops it.
"""

from __future__ import annotations

import io
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from matrixfleet.checks.drift import for_rules
from matrixfleet.checks.facts import homeservers
from matrixfleet.checks.identity import identity
from matrixfleet.checks.pods import stopped
from matrixfleet.checks.rules.resources import ASKED, amount, asked_of
from matrixfleet.checks.tree import Entry, Finding, Json, Pod, Tree
from matrixfleet.errors import Fault, FleetError
from matrixfleet.model.fleet import PLATFORM
from matrixfleet.model.types import bytes_of

Compare = Callable[[Tree, Tree], Iterator[Finding]]

# Fields that the API server refuses to change (Kubernetes API reference, each kind's validation).
IMMUTABLE: dict[str, tuple[str, ...]] = {
    "Deployment": ("spec.selector",),
    "DaemonSet": ("spec.selector",),
    "StatefulSet": (
        "spec.selector",
        "spec.serviceName",
        "spec.podManagementPolicy",
        "spec.volumeClaimTemplates",
    ),
    "Job": ("spec.selector", "spec.template", "spec.completions", "spec.completionMode"),
    "Service": ("spec.clusterIP",),
    "PersistentVolumeClaim": (
        "spec.accessModes",
        "spec.storageClassName",
        "spec.volumeMode",
        "spec.selector",
    ),
    "StorageClass": ("provisioner", "parameters", "reclaimPolicy", "volumeBindingMode"),
    "RoleBinding": ("roleRef",),
    # CloudNativePG takes another class and never moves the volumes that are there to it (docs, "Storage").
    "Cluster": ("spec.storage.storageClass", "spec.walStorage.storageClass"),
    "Database": ("spec.name", "spec.cluster"),
}
WAYS = {
    "spec.volumeClaimTemplates": "the claim itself may grow (docs/change-a-size.md)",
    "spec.storage.storageClass": "another class takes another server (docs/databases.md)",
    "spec.storageClassName": "another class takes another volume: back up and restore (docs/restore.md)",
}
"""What can be done instead."""
KEPT = ("PersistentVolumeClaim", "Namespace", "StatefulSet", "Cluster", "Database")


def _git(top: Path, *words: str, given: bytes = b"") -> bytes | None:
    """What git prints; None where it fails."""
    done = subprocess.run(["git", *words], cwd=top, input=given, capture_output=True, check=False)
    return None if done.returncode else done.stdout


def tree_at(top: Path, base: str, now: Tree | None = None) -> Tree:
    """Return compiled/ as it is at a commit. Raises FleetError for a commit that there is not.

    now: a tree whose objects serve again where a file is the same
    """
    texts = {path: content.decode("utf-8", "replace") for path, content in _files_at(top, base).items()}
    held = now.entries if now else {}
    same = {path: held[path] for path in texts.keys() & held.keys() if now and now.texts[path] == texts[path]}
    # What nobody compiled is no object: an old commit may hold anything.
    fresh = {path: text for path, text in texts.items() if path not in same}
    read = Tree.of({path: text for path, text in fresh.items() if for_rules(f"compiled/{path}", text.encode())})
    return Tree({**same, **{path: one for path, one in read.entries.items() if _is_object(one.doc)}}, texts)


def _files_at(top: Path, base: str) -> dict[str, bytes]:
    """Return the plain files below compiled/ at a commit.

    Each is asked for by itself and not by `git archive`, from which .gitattributes may leave some out."""
    commit = _git(top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{base}^{{commit}}")
    if commit is None:
        raise FleetError(
            [Fault("", 0, "--base", f"no commit {base!r} here; expected a branch, tag or hash (git fetch?)")]
        )
    # Paths are those below the folder that git runs in, wherever the repository begins.
    listed = _git(top, "ls-tree", "-r", "-z", commit.decode().strip(), "compiled") or b""
    blobs = {}
    for line in filter(None, listed.split(b"\0")):
        facts, _, name = line.partition(b"\t")
        mode, _, blob = facts.split(b" ")
        if mode in (b"100644", b"100755"):
            blobs[name.decode("utf-8", "replace").removeprefix("compiled/")] = blob
    asked = b"".join(blob + b"\n" for blob in blobs.values())
    stream = io.BytesIO(_git(top, "cat-file", "--batch", given=asked) or b"")
    files = {}
    for path in blobs:
        header = stream.readline().split()
        if len(header) != 3:
            raise FleetError([Fault("", 0, "--base", f"expected all of {base!r} here, got no {path!r}; git fetch?")])
        files[path] = stream.read(int(header[2]) + 1)[:-1]
    return files


def _is_object(doc: Json) -> bool:
    """Whether a document has what every object has."""
    metadata, spec = doc.get("metadata"), doc.get("spec") or {}
    if not (isinstance(metadata, dict) and isinstance(spec, dict)):
        return False
    named = isinstance(metadata.get("name"), str) and isinstance(doc.get("kind"), str)
    return named and isinstance(metadata.get("labels") or {}, dict)


def changes(top: Path, base: str, tree: Tree) -> Iterator[Finding]:
    """Findings of every rule that compares."""
    before = tree_at(top, base, tree)
    for name, rule in RULES.items():
        try:
            yield from rule(before, tree)
        except (LookupError, TypeError, ValueError, AttributeError, yaml.YAMLError) as error:
            message = (
                f"compiled/ of {base} cannot be compared ({type(error).__name__}: {error}); expected what was compiled"
            )
            yield Finding(tree.root, name, message)


def _field(doc: Json, path: str) -> Any:
    here: Any = doc
    for part in path.split("."):
        here = here.get(part) if isinstance(here, dict) else None
    return here


def _pairs(before: Tree, after: Tree) -> Iterator[tuple[Entry, Entry]]:
    for old in before.objects:
        new = after.find(old.cluster, old.kind, old.namespace, old.name)
        if new is not None:
            yield old, new


def immutable(before: Tree, after: Tree) -> Iterator[Finding]:
    """An object keeps the fields that the API server refuses to change."""
    for old, new in _pairs(before, after):
        for path in IMMUTABLE.get(new.kind, ()):
            if _field(old.doc, path) != _field(new.doc, path):
                message = f"{path} cannot change while the object lives; expected what the base has"
                way = f"; {WAYS[path]}" if path in WAYS else ""
                yield after.finding(new, "immutable", message + way)


def data_kept(before: Tree, after: Tree) -> Iterator[Finding]:
    """What holds data stays, or its tenants were stopped before."""
    tenants = {entry.target for entry, _ in homeservers(before)}
    for old in before.of_kind(*KEPT):
        if after.find(old.cluster, old.kind, old.namespace, old.name) is not None:
            continue
        for owner in sorted(_owners(before, old)):
            if owner in tenants and stopped(before, owner):
                continue
            message = f"removed while {owner} runs; set matrix.state: stopped in a pull request of its own first"
            yield after.finding(old, "data-kept", message)


def _owners(tree: Tree, entry: Entry) -> set[str]:
    """Whose data an object holds; of a namespace, whose is in it. Nobody's: the lock, which is empty, the last lines
    of a log, and a namespace of Coturn alone. The platform's PostgreSQL is rule identity's."""
    if entry.kind == "Namespace":
        inside = [one for one in tree.of_kind(*KEPT, "ConfigMap") if one.namespace == entry.name]
        kept = (one for one in inside if one.cluster == entry.cluster and one.kind != "ConfigMap")
        owners = {owner for one in kept for owner in _owners(tree, one)}
        here = {
            one.target for one, _ in homeservers(tree) if (one.cluster, one.namespace) == (entry.cluster, entry.name)
        }
        return owners | here
    short = entry.target.rpartition(".")[2]
    empty = entry.kind == "PersistentVolumeClaim" and entry.name in (f"{short}-lock", f"{short}-logs")
    templates = entry.kind != "StatefulSet" or entry.spec.get("volumeClaimTemplates")
    platforms = entry.kind == "Cluster" and short == PLATFORM
    return {entry.target} if templates and not empty and not platforms else set()


SIZES = {
    "PersistentVolumeClaim": ("spec.resources.requests.storage",),
    "Cluster": ("spec.storage.size", "spec.walStorage.size"),
}
"""Sizes that may grow and never shrink: Kubernetes and CloudNativePG refuse it."""


def no_shrinking(before: Tree, after: Tree) -> Iterator[Finding]:
    """A claim or a server's storage may grow and never shrink: it is refused, and the sync stays broken."""
    for old, new in _pairs(before, after):
        for path in SIZES.get(new.kind, ()):
            was, now = (_field(one.doc, path) for one in (old, new))
            if was and now and bytes_of(now) < bytes_of(was):
                message = f"{was} cannot become {now}; expected {was} or more, a volume does not shrink"
                yield after.finding(new, "no-shrinking", message)


# Duties that are shared out by the list of names: two processes that read different lists both believe
# an event theirs, or neither does (docs/workers.md: all must be restarted together).
SHARED_OUT = ("stream_writers", "federation_sender_instances", "pusher_instances")
ALONE = ("run_background_tasks_on", "media_instance_running_background_jobs", "enable_media_repo")


def duties_move_while_stopped(before: Tree, after: Tree) -> Iterator[Finding]:
    """Who does what among Synapse's processes changes while none of them runs."""
    now = {entry.target: (entry, options) for entry, options in homeservers(after)}
    for old, options in homeservers(before):
        if old.target not in now or stopped(before, old.target):
            continue
        new, wanted = now[old.target]
        for option in (*SHARED_OUT, *ALONE):
            if options.get(option) != wanted.get(option):
                message = (
                    f"{option} changes while {old.target} runs; set matrix.state: stopped, then change it, then"
                    " running again, each in a pull request of its own"
                )
                yield after.finding(new, "duties-move-while-stopped", message)


def postgresql_major(before: Tree, after: Tree) -> Iterator[Finding]:
    """A bundled PostgreSQL keeps its major version, to which its files belong; a restore of a dump begins anew."""

    def major(entry: Entry) -> str:
        version = str(entry.labels.get("app.kubernetes.io/version", ""))
        return version.split(".")[0]

    for old, new in _pairs(before, after):
        if new.kind == "StatefulSet" and new.labels.get("app.kubernetes.io/name") == "postgresql":
            was, now = major(old), major(new)
            beside = {one["name"] for one in new.spec["template"]["spec"]["containers"]}
            if was != now and "restore" not in beside:
                message = f"PostgreSQL {was} cannot become {now} in place; expected {was}, or a restore of a dump"
                yield after.finding(new, "postgresql-major", message)


def room_to_shrink(before: Tree, after: Tree) -> Iterator[Finding]:
    """A quota that falls has room for what still runs: the fence is synced at once, Pods one wave after the other.

    Without it the first new Pod is refused, its wave never gets well, and the later ones, whose Pods are still
    the larger ones, never have their turn. Told of Pods that are replaced one by one; surges are left out.
    """
    tenants = {entry.target for entry, _ in homeservers(before)}
    for old, new in _pairs(before, after):
        # A namespace of several tenants, or the platform's, is never stopped.
        if new.kind != "ResourceQuota" or (old.target in tenants and stopped(before, old.target)):
            continue
        was = {(pod.entry.kind, pod.entry.name): pod for pod in before.pods_in(old.cluster, old.namespace)}
        now = {(pod.entry.kind, pod.entry.name): pod for pod in after.pods_in(new.cluster, new.namespace)}
        stays = [pod for pod in was.values() if pod.entry.kind in ("Deployment", "StatefulSet")]
        rolled = [pod for key, pod in now.items() if key in was and was[key].template != pod.template]
        for pod, key in product(sorted(rolled, key=lambda pod: pod.entry.wave), ASKED):
            room = amount(_field(new.doc, "spec.hard").get(key, 0))
            if room >= amount(_field(old.doc, "spec.hard").get(key, 0)):
                continue
            there = _at_wave(stays, now, pod.entry.wave)
            needed = sum((asked_of(each, key) * each.entry.spec.get("replicas", 1) for each in there), Decimal(0))
            if needed > room:
                message = (
                    f"{key} falls to {room:f}, and while {pod.entry} rolls {needed:f} are asked for: its new Pods"
                    " would be refused and the sync would wait for ever; set matrix.state: stopped in a pull request"
                    " of its own first"
                )
                yield after.finding(new, "room-to-shrink", message)
                break


def _at_wave(stays: Iterable[Pod], now: Mapping[tuple[str, str], Pod], wave: int) -> Iterator[Pod]:
    """What runs while a wave rolls: up to it the new Pods, after it the old ones."""
    for pod in stays:
        if pod.entry.wave > wave:
            yield pod
        elif found := now.get((pod.entry.kind, pod.entry.name)):
            yield found


RULES: dict[str, Compare] = {
    "immutable": immutable,
    "data-kept": data_kept,
    "no-shrinking": no_shrinking,
    "identity": identity,
    "postgresql-major": postgresql_major,
    "duties-move-while-stopped": duties_move_while_stopped,
    "room-to-shrink": room_to_shrink,
}
