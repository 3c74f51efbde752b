"""What must not change between a base commit and now, because a cluster would refuse it or lose something.

Each rule compares two trees of compiled objects. `stopped` in the base is the word that allows what is
otherwise refused: a tenant is removed in two pull requests, the first of which stops it.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from matrixfleet.checks.pods import stopped
from matrixfleet.checks.rules.resources import ASKED, amount, asked_of
from matrixfleet.checks.tree import Entry, Finding, Json, Pod, Tree
from matrixfleet.errors import Fault, FleetError
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
}
KEPT = ("PersistentVolumeClaim", "Namespace", "StatefulSet")


def tree_at(top: Path, base: str) -> Tree:
    """compiled/ as it is at a commit. Raises FleetError for a commit that there is not."""
    known = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", f"{base}^{{commit}}"],
        cwd=top,
        capture_output=True,
        check=False,
    )
    if known.returncode:
        raise FleetError(
            [Fault("", 0, "--base", f"no commit {base!r} here; expected a branch, tag or hash (git fetch?)")]
        )
    done = subprocess.run(
        ["git", "archive", "--format=tar", base, "compiled"], cwd=top, capture_output=True, check=False
    )
    if done.returncode:
        return Tree({}, {})
    texts = {}
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        for member in archive:
            content = archive.extractfile(member)
            if content is not None:
                texts[member.name.removeprefix("compiled/")] = content.read().decode()
    return Tree.of(texts)


def changes(top: Path, base: str, tree: Tree) -> Iterator[Finding]:
    """Findings of every rule that compares."""
    before = tree_at(top, base)
    for rule in RULES.values():
        yield from rule(before, tree)


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
                yield after.finding(new, "immutable", message)


def data_kept(before: Tree, after: Tree) -> Iterator[Finding]:
    """What holds data stays, or its tenant was stopped before."""
    for old in before.of_kind(*KEPT):
        gone = after.find(old.cluster, old.kind, old.namespace, old.name) is None
        if gone and not stopped(before, old.target):
            message = f"removed while {old.target} runs; set matrix.state: stopped in a pull request"
            yield after.finding(old, "data-kept", f"{message} of its own first")


def no_shrinking(before: Tree, after: Tree) -> Iterator[Finding]:
    """A claim may grow and never shrink: Kubernetes refuses it, and the sync stays broken."""
    for old, new in _pairs(before, after):
        if new.kind == "PersistentVolumeClaim":
            was, now = (_field(one.doc, "spec.resources.requests.storage") for one in (old, new))
            if bytes_of(now) < bytes_of(was):
                yield after.finding(new, "no-shrinking", f"{was} cannot become {now}; expected {was} or more")


def _homeservers(tree: Tree) -> Iterator[tuple[Entry, Json]]:
    for entry in tree.of_kind("ConfigMap"):
        text = (entry.doc.get("data") or {}).get("homeserver.yaml")
        if text:
            yield entry, yaml.load(text, Loader=yaml.CSafeLoader)


# Options whose change makes another server of it, or one that nobody can verify.
IDENTITY = ("server_name", "signing_key_path", "media_store_path")


def identity(before: Tree, after: Tree) -> Iterator[Finding]:
    """A homeserver keeps its name, its signing key, its media and its namespace."""
    now = {entry.target: (entry, options) for entry, options in _homeservers(after)}
    for old, options in _homeservers(before):
        if old.target not in now:
            continue
        new, wanted = now[old.target]
        for option in IDENTITY:
            if options.get(option) != wanted.get(option):
                message = f"{option} was {options.get(option)!r}, is {wanted.get(option)!r}; expected no change"
                yield after.finding(new, "identity", message)
        if old.namespace != new.namespace:
            message = f"was in namespace {old.namespace}; expected no change: its volumes do not move with it"
            yield after.finding(new, "identity", message)


# Duties that are shared out by the list of names: two processes that read different lists both believe
# an event theirs, or neither does (docs/workers.md: all must be restarted together).
SHARED_OUT = ("stream_writers", "federation_sender_instances", "pusher_instances")
ALONE = ("run_background_tasks_on", "media_instance_running_background_jobs", "enable_media_repo")


def duties_move_while_stopped(before: Tree, after: Tree) -> Iterator[Finding]:
    """Who does what among Synapse's processes changes while none of them runs."""
    now = {entry.target: (entry, options) for entry, options in _homeservers(after)}
    for old, options in _homeservers(before):
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
    for old, new in _pairs(before, after):
        if new.kind != "ResourceQuota" or stopped(before, old.target):
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
