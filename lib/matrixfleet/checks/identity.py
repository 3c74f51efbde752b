"""Hold homeservers and their clusters to what they are: a change of that is declared in `moves`, or refused.

`matrix.moves` and `platform.moves` are the one mechanism (docs/moves.md): an entry allows one change of one key, from
one value to another. Where data does not follow by itself, Synapse is stopped before the change and in it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from matrixfleet.checks.facts import Fact, Known, follows, sources
from matrixfleet.checks.pods import stopped
from matrixfleet.checks.rollback import oldest, version_of
from matrixfleet.checks.tree import Finding, Tree
from matrixfleet.model.fleet import PLATFORM
from matrixfleet.model.moves import ARROW, declaration, movable

RULE = "identity"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of change."""

    why: str
    """What happens otherwise, and what is done about it."""
    stop: bool = False
    """Whether data or people's sessions have to wait: Synapse is stopped before and in the change."""


_DATABASE = "the data does not move by itself: dump it and load it (docs/databases.md)"
_MEDIA = "media does not move by itself: copy it first (docs/media.md)"
_PEOPLE = "Synapse knows people by it: they would be somebody new, or somebody else"
_SECRETS = "Secrets that are there are not made again, new ones come from elsewhere: put the values there first"
_ARGOCD = "the old Applications stay behind and two Argo CDs sync one cluster: hand over by docs/moves.md"
KINDS = {
    "matrix.server_name": Kind("it is part of every user, room and event: it cannot change"),
    "media_store_path": Kind("media on the volume would not be found"),
    "matrix.namespace": Kind(
        "its volumes and Secrets do not move with it: back up and restore (docs/restore.md)", True
    ),
    "matrix.synapse.signing_key": Kind("another key is another server: copy the key first", True),
    "matrix.media.kind": Kind(_MEDIA, True),
    "matrix.media.s3.endpoint": Kind(_MEDIA, True),
    "matrix.media.s3.bucket": Kind(_MEDIA, True),
    "matrix.media.s3.prefix": Kind(_MEDIA, True),
    "matrix.database.kind": Kind(_DATABASE, True),
    "matrix.database.external.host": Kind(_DATABASE, True),
    "matrix.database.external.port": Kind(_DATABASE, True),
    "matrix.database.external.name": Kind(_DATABASE, True),
    "matrix.database.major": Kind("pg_upgrade takes the server down (docs/restore.md)", True),
    "matrix.auth.providers": Kind(f"a provider was renamed; {_PEOPLE}"),
    "matrix.auth.providers.<id>.issuer": Kind(_PEOPLE),
    "matrix.auth.providers.<id>.mapping.subject": Kind(_PEOPLE),
    "matrix.auth.providers.<id>.client_id": Kind(f"Entra ID has another `sub` for each client; {_PEOPLE}"),
    "cluster.argocd.namespace": Kind(_ARGOCD),
    "cluster.argocd.server": Kind(_ARGOCD),
    "cluster.secrets": Kind(_SECRETS),
    "cluster.secrets.store": Kind(_SECRETS),
    "platform.postgresql": Kind("tenants' databases are on it"),
    "platform.postgresql.major": Kind("pg_upgrade takes the server down (docs/restore.md)", True),
}
_GENERATION = Kind("what still uses the one before is cut off: one step at a time (docs/rotate-a-secret.md)")
_ROLLBACK = Kind("", stop=True)
FOR_EVER = ("matrix.server_name", "media_store_path")
"""Keys whose change nothing allows while the target is there."""


def identity(before: Tree, after: Tree) -> Iterator[Finding]:
    """Find changes of what a homeserver or its cluster is."""
    was, now = Known.of(before), Known.of(after)
    for target, facts in was.by_target.items():
        for key, old in facts.items():
            new = now.by_target.get(target, {}).get(key)
            if new is not None:
                yield from _change(was, now, target, key, old, new)
    yield from _secrets(before, after)
    yield from _platform_gone(was, now)
    yield from _places(was, now)


def _change(was: Known, now: Known, target: str, key: str, old: Fact, new: Fact) -> Iterator[Finding]:
    if old.value == new.value:
        return
    kind = KINDS.get(re.sub(r"(providers\.)[^.]+(?=\.)", r"\1<id>", key))
    one, other = old.value, new.value
    if key == "matrix.release":
        kind = _rollback(one, other)
    elif key == "matrix.auth.providers":
        gone, come = ({*a.split(", ")} - {*b.split(", "), ""} for a, b in ((one, other), (other, one)))
        kind = kind if gone and come else None
        one, other = ", ".join(sorted(gone)), ", ".join(sorted(come))
    elif kind is None:
        kind = _GENERATION if abs(int(other) - int(one)) > 1 else None
    if kind is not None:
        yield from _refuse(was.tree, now.tree, target, key, (one, other), kind, new)


def _rollback(one: str, other: str) -> Kind | None:
    """The kind of an older Synapse, where that would refuse the database."""
    old, new = version_of(one), version_of(other)
    if old is None or new is None or new >= oldest(old):
        return None
    back_to = ".".join(map(str, oldest(old)))
    why = f"it refuses the database that {one} has upgraded, which opens with {back_to} or newer: restore a backup from"
    return Kind(f"{why} before the upgrade (docs/restore.md)", stop=True)


def _lower(key: str, one: str, other: str) -> bool:
    """Whether a major version of PostgreSQL falls, which no declaration makes possible."""
    return key.endswith(".major") and one.isdigit() and other.isdigit() and int(other) < int(one)


def _refuse(
    before: Tree, after: Tree, target: str, key: str, change: tuple[str, str], kind: Kind, at: Fact
) -> Iterator[Finding]:
    """A finding, unless the change is declared and nothing runs meanwhile."""
    one, other = change
    message = f"expected {one!r} as before, got {other!r}; {kind.why}"
    if key in FOR_EVER or _lower(key, one, other) or not movable(key):
        yield _at(after, target, key, message, at)
    elif _declared(after, target, key) != f"{one}{ARROW}{other}":
        line = declaration(key, one, other)
        stop = "stop it first and " if kind.stop else ""
        yield _at(after, target, key, f"{message}; to do it, {stop}declare it (docs/moves.md): {line}", at)
    elif kind.stop and (running := _running(before, after, target)):
        stop = "set matrix.state: stopped in a pull request of its own first, and keep it in this one"
        yield _at(after, target, key, f"{message}; it is declared, and {running} runs: {stop}", at)


def _declared(tree: Tree, target: str, key: str) -> str:
    """What an inventory declares for a key."""
    block = "platform" if target.rpartition(".")[2] == PLATFORM else "matrix"
    return str(tree.fleet.raw(target, (block, "moves", key))) if tree.fleet else ""


def _running(before: Tree, after: Tree, target: str) -> str:
    """Who runs before or after a change of a target: the tenant itself, or one with a database on the platform."""
    concerned = [target]
    if target.rpartition(".")[2] == PLATFORM:
        concerned = sorted({one.target for one in before.of_kind("Database") if one.cluster == target.split(".")[0]})
    return next((one for one in concerned if not (stopped(before, one) and stopped(after, one))), "")


def _at(tree: Tree, target: str, key: str, message: str, at: Fact) -> Finding:
    """A finding at the line that decides, or at the object where the inventory has no such target."""
    if tree.fleet and target in tree.fleet.names:
        fault = tree.fleet.fault(target, tuple(key.split(".")), message)
        return Finding(fault.file, RULE, message, fault.line, key)
    return Finding(f"{tree.root}/{at.entry.path}", RULE, message, 0, key)


def _secrets(before: Tree, after: Tree) -> Iterator[Finding]:
    """Secrets that another one makes, one finding a cluster and change."""
    old, told = sources(before), set()
    for place, (now, entry) in sources(after).items():
        was = old.get(place, (now, entry))[0]
        if was != now and (place[0], was, now) not in told:
            told.add((place[0], was, now))
            at = Fact(now, entry)
            key = "cluster.secrets"
            yield from _refuse(before, after, f"{place[0]}.{PLATFORM}", key, (was, now), KINDS[key], at)


def _platform_gone(was: Known, now: Known) -> Iterator[Finding]:
    """The platform's PostgreSQL, removed."""
    key = "platform.postgresql"
    for target, facts in was.by_target.items():
        if key in facts and key not in now.by_target.get(target, {}):
            databases = [one for one in was.tree.of_kind("Database") if one.cluster == target.split(".")[0]]
            if databases:
                message = f"expected it to stay, got none; {databases[0].target} has a database on it: move that first"
                yield _at(now.tree, target, key, message, facts[key])
            else:
                yield from _refuse(was.tree, now.tree, target, key, ("cnpg", "none"), KINDS[key], facts[key])


def _places(was: Known, now: Known) -> Iterator[Finding]:
    """A homeserver that leaves one target and appears as another one."""
    key = "matrix.server_name"
    for server, old in was.servers.items():
        new = now.servers.get(server, set())
        gone = {one for one in old - new if not follows(was.tree, one)}
        for target in sorted(new - old):
            at = now.by_target[target][key]
            if follows(now.tree, target):
                continue
            if old & new and not gone:
                message = f"{server!r} is {', '.join(sorted(old & new))}'s: add a standby first, then fail over"
                yield _at(now.tree, target, key, f"{message} (docs/restore.md)", at)
            for origin in sorted(gone) if not old & new else ():
                yield from _moved(was.tree, now.tree, origin, target, at)
        for target in sorted(gone) if old & new else ():
            message = f"expected {target} to stay, got none; fail over first, then remove it (docs/restore.md)"
            yield _at(now.tree, min(old & new), key, message, was.by_target[target][key])


def _moved(before: Tree, after: Tree, origin: str, target: str, at: Fact) -> Iterator[Finding]:
    key = "matrix.server_name"
    message = f"{at.value!r} leaves {origin} and appears as {target}, whose database, media and keys are others"
    if _declared(after, target, key) != f"{origin}{ARROW}{target}":
        way = f"stop it, and move it with a restore (docs/moves.md): {declaration(key, origin, target)}"
        yield _at(after, target, key, f"{message}; expected it to stay, or {way}", at)
    elif not (stopped(before, origin) and stopped(after, target)):
        way = "set matrix.state: stopped in a pull request of its own first, and keep it in this one"
        yield _at(after, target, key, f"{message}; it is declared, and it runs: {way}", at)
