"""How a target's files override each other: the last file that sets a key wins, for lists and kinds too.

reclass-rs merges mappings key by key, appends lists and keeps null. On top of that three rules hold:

- A list replaces the list of the classes before it. Whoever a tenant's own `recipients` name are all who can read its
  backups.
- null takes back what a class or the size sets: the key has its default again.
- Another kind takes back what classes set for the kind before it: `database.kind: external` in a tenant's file drops
  the `instances` that its pattern set for CloudNativePG.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from matrixfleet.inventory.source import Key, Source
from matrixfleet.model.backup import BackupSpec
from matrixfleet.model.choices import Auth, Backup, Database, Media, Pooling, Turn
from matrixfleet.model.turn import FITS, TurnSpec

_BACKED_UP: frozenset[object] = frozenset({Backup.DUMPS, Backup.POINT_IN_TIME})
_ONLY_WITH: tuple[tuple[Key, Key, frozenset[object]], ...] = (
    *((("backup", key), ("backup", "kind"), _BACKED_UP) for key in BackupSpec.model_fields if key != "kind"),
    (("backup", "archiver"), ("backup", "kind"), frozenset({Backup.POINT_IN_TIME})),
    (("backup", "archiver"), ("database", "kind"), frozenset({Database.STATEFULSET})),
    (("database", "instances"), ("database", "kind"), frozenset({Database.CNPG})),
    (("database", "external"), ("database", "kind"), frozenset({Database.EXTERNAL})),
    (("database", "pgbouncer"), ("database", "kind"), frozenset(set(Database) - {Database.SHARED})),
    (("database", "pgbouncer"), ("database", "pooling"), frozenset({Pooling.PGBOUNCER})),
    (("media", "s3"), ("media", "kind"), frozenset({Media.S3})),
    (("auth", "providers"), ("auth", "kind"), frozenset({Auth.OIDC})),
    (("synapse", "federation", "allow"), ("synapse", "federation", "enabled"), frozenset({True})),
    *(
        (("turn", key), ("turn", "kind"), frozenset(kind for kind in Turn if key in FITS.get(kind, {key})))
        for key in TurnSpec.model_fields
        if key != "kind"
    ),
)  # fmt: skip
"""Keys below `matrix`, what decides whether they mean anything, and the values with which they do."""


def last_lists(value: Any, source: Source, target: str, key: Key) -> Any:
    """A value in which each list is the one of the last file that sets it. Raises ValueError with a key where that
    cannot be known."""
    if isinstance(value, Mapping):
        return {word: last_lists(inner, source, target, (*key, word)) for word, inner in value.items()}
    if not isinstance(value, list):
        return value
    nodes = [node for _, _, node in source.nodes(target, key)]
    if len(nodes) < 2:
        return value
    if any(isinstance(node, yaml.ScalarNode) and "${" in node.value for node in nodes):
        raise UnknownList(key)
    last = nodes[-1]
    if not isinstance(last, yaml.SequenceNode) or len(value) <= len(last.value):
        return value
    return value[len(value) - len(last.value) :]


class UnknownList(Exception):
    """A list whose part of the last file cannot be told from those before."""

    def __init__(self, key: Key) -> None:
        self.key = key
        super().__init__(key)


def nulls(value: Any, key: Key) -> Iterator[Key]:
    """Every key that is null. What stands in a list is left as it is: modules have configurations of their own."""
    if isinstance(value, Mapping):
        for word, inner in value.items():
            yield from nulls(inner, (*key, word))
    elif value is None:
        yield key


def without_nulls(value: Any) -> Any:
    """A value whose keys that are null are not there."""
    if not isinstance(value, Mapping):
        return value
    return {word: without_nulls(inner) for word, inner in value.items() if inner is not None}


def of_other_kinds(tenant: Mapping[str, Any], source: Source, target: str) -> Iterator[Key]:
    """Keys below `matrix` that go with another kind than the chosen one, and that a file before the choice sets."""
    for key, selector, allowed in _ONLY_WITH:
        chosen = _at(tenant, selector)
        if _at(tenant, key) is None or chosen is None or chosen in allowed:
            continue
        order = {path: number for number, path in enumerate(source.chain(target))}
        places, choices = (source.nodes(target, ("matrix", *one)) for one in (key, selector))
        if places and choices and order[places[-1][0]] < order[choices[-1][0]]:
            yield key


def _at(value: Any, key: Key) -> Any:
    for part in key:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def removed(value: Mapping[str, Any], key: Key) -> dict[str, Any]:
    """A mapping without one key in it."""
    first = str(key[0])
    if len(key) == 1:
        return {word: inner for word, inner in value.items() if word != first}
    return {word: removed(inner, key[1:]) if word == first else inner for word, inner in value.items()}
