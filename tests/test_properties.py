"""Whatever the model admits compiles and passes every check; whatever it does not is told by key.

Values are drawn by the types of the model's own fields, so that a new field is tried as soon as it is there.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Annotated, Any

from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from fleets import TOP
from matrixfleet.checks import Tree, all_rules
from matrixfleet.errors import FleetError
from matrixfleet.inventory.source import dotted
from matrixfleet.model import BUILT, Fleet, Tenant
from matrixfleet.plan import plan_of
from test_plan import BUCKET, EXTERNAL, PROD, drawn

# The cluster has Istio, which moves nobody until somebody says `mesh`.
FLEET = Fleet.read(TOP / "inventory").changed("eu1.platform", ("cluster", "istio"), {"cni": True})
# Words for what is text and more: each field takes those that its own validator takes.
WORDS = [
    *("main", "chat-2", "example.org", "chat.example.com", "eu-west-1", "media", "synapse_2", "a.b.Module"),
    *(
        "10.0.0.0/8",
        "2001:db8::/32",
        "203.0.113.7",
        "a/b",
        "https://example.org/a?b=c",
        "matrix-high",
        "stable",
        "small",
    ),
    *("17 2 * * *", "ed25519:a_1234", "age1h4lhdj54sl3x6ay3kawlg7ds53yd9955c584ddjsz220p9hd8ykqjdr97r", "A" * 43),
    *("1Mi", "1.5Gi", "100m", "2", "30s", "90d", "#0a1b2c", "ops@example.com", "WARNING", "light", "1.0"),
    *("0123abcd-0123-0123-0123-0123456789ab", "turns:turn.example.net:5349?transport=tcp"),
    str(typing.cast(Any, EXTERNAL["external"])["ca"]),
]
TEXT = st.text("aZ09 äß漢'\"\\{}$%:#&<>|-_/.,\n", max_size=12)
JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    TEXT,
    st.just([]),
    st.just({}),
    st.dictionaries(TEXT.filter(str.isprintable), st.integers(), min_size=1, max_size=2),
    st.lists(st.one_of(TEXT, st.none(), st.integers()), min_size=1, max_size=2),
)
Site = tuple[tuple[str, ...], FieldInfo]


def whole(field: FieldInfo) -> Any:
    """A field's type, its constraints with it."""
    return Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation


@cache
def sites(model: type[BaseModel] = Tenant, path: tuple[str, ...] = ("matrix",)) -> list[Site]:
    """Every field of a tenant that is always there, and blocks as a whole too."""
    found: list[Site] = []
    for name, field in model.model_fields.items():
        found.append(((*path, name), field))
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            found += sites(field.annotation, (*path, name))
    return found


def takes(annotation: Any, value: Any) -> bool:
    """Whether a field's own type takes a value."""
    try:
        TypeAdapter(annotation).validate_python(value)
    except ValidationError:
        return False
    return True


def values(annotation: Any) -> st.SearchStrategy[Any]:
    """What may be said where a type is wanted, as YAML would give it."""
    inner, extra = annotation, ()
    while typing.get_origin(inner) is Annotated:
        inner, *more = typing.get_args(inner)
        extra = (*extra, *more)
    origin, arguments = typing.get_origin(inner), typing.get_args(inner)
    if origin in (types.UnionType, typing.Union):
        return st.one_of(*(st.none() if part is type(None) else values(part) for part in arguments))
    if isinstance(inner, type) and issubclass(inner, BaseModel):
        return blocks(inner)
    if isinstance(inner, type) and issubclass(inner, StrEnum):
        return st.sampled_from(sorted(BUILT.get(inner, inner))).map(str)
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=3).filter(lambda one: takes(annotation, one))
    if origin is dict:
        return st.dictionaries(values(arguments[0]), values(arguments[1]), max_size=2)
    if origin is typing.Literal:
        return st.sampled_from(arguments)
    if inner is type(None):
        return st.none()
    if inner is bool:
        return st.booleans()
    if inner is int:
        near = st.one_of(st.integers(0, 12), st.integers(0, 70000), st.just(1_700_000_000_000))
        return near.filter(lambda one: takes(annotation, one))
    if inner is float:
        return st.sampled_from([0.01, 0.1, 0.5, 0.75, 1.0, 4.0, 10.0]).filter(lambda one: takes(annotation, one))
    if inner is str:
        fitting = [word for word in WORDS if takes(annotation, word)]
        plain = len(fitting) == len(WORDS)
        return st.one_of(st.sampled_from(fitting), TEXT) if plain else st.sampled_from(fitting)
    if inner is datetime:
        return st.just("2026-03-01T14:05:00Z")
    if inner in (Any, object):
        return st.one_of(st.integers(), TEXT, st.booleans())
    raise AssertionError(f"no values for {annotation}")


@cache
def blocks(model: type[BaseModel]) -> st.SearchStrategy[Any]:
    """A block with what it must have and some of what it may."""
    fields = model.model_fields
    must = {
        name: st.deferred(lambda field=field: values(whole(field)))
        for name, field in fields.items()
        if field.is_required()
    }
    may = {
        name: st.deferred(lambda field=field: values(whole(field)))
        for name, field in fields.items()
        if name not in must
    }
    return st.fixed_dictionaries(must, optional=may)


# Who it is, and where: a change would be another target's matter.
FIXED = {("matrix", name) for name in ("server_name", "namespace", "hosts", "release")}
FIELDS = [site for site in sites() if site[0][:2] not in FIXED]


@st.composite
def change(draw: st.DrawFn) -> tuple[tuple[str, ...], Any]:
    """A field with a value that its type takes."""
    key, field = FIELDS[draw(st.integers(0, len(FIELDS) - 1))]
    return key, draw(values(whole(field)))


# What seldom comes together by chance.
RICH = [
    (("matrix", "mesh"), "istio"),
    (("matrix", "media"), {"kind": "s3", "s3": BUCKET}),
    (("matrix", "database"), EXTERNAL),
    (("matrix", "workers"), {"generic": {"replicas": 2}, "media_repository": {"replicas": 1}}),
    (("matrix", "size"), "xlarge"),
    (("matrix", "synapse", "signing_key"), "secret"),
]
BOUNDED = {
    "deadline": None,
    "derandomize": True,
    "database": None,
    "suppress_health_check": list(HealthCheck),
    # A counterexample is told as it was found: to make it small takes minutes.
    "phases": (Phase.generate,),
}


def admitted(fleet: Fleet, changes: list[tuple[tuple[str, ...], Any]]) -> Iterator[Fleet]:
    """The fleet after each change that goes with those before it."""
    for key, value in changes:
        try:
            after = fleet.changed(PROD, key, value)
            plan_of(after, PROD)
        except FleetError:
            continue
        fleet = after
        yield fleet


@cache
def plain() -> Tree:
    """The target as it is."""
    return drawn(FLEET)


def findings(tree: Tree) -> list[str]:
    """What every rule says; yamllint, which takes longer than all others together, of what is new alone."""
    fresh = {path: text for path, text in tree.texts.items() if plain().texts.get(path) != text}
    new = Tree(tree.entries, fresh, tree.fleet)
    rules = (rule for rule in all_rules() if not rule.whole_fleet)
    found = (finding for rule in rules for finding in rule.check(new if rule.id == "yamllint" else tree))
    return [*map(str, tree.broken), *map(str, found)]


@settings(max_examples=8, **BOUNDED)
@given(st.lists(st.sampled_from(RICH), max_size=3), st.lists(change(), min_size=8, max_size=16))
def test_what_the_model_admits_compiles_and_holds(rich: list[Any], changes: list[Any]) -> None:
    *_, fleet = FLEET, *admitted(FLEET, [*rich, *changes])
    assert fleet.clashes == ()
    assert findings(drawn(fleet)) == []


@settings(max_examples=400, **BOUNDED)
@given(st.sampled_from(sites()), JUNK)
def test_what_the_model_does_not_admit_is_told_by_key(site: Site, junk: Any) -> None:
    key, field = site
    # An empty block takes all from the size, and null takes back what a file sets.
    assume(junk != {} and (junk is not None or not FLEET.said(PROD, key)) and not takes(whole(field), junk))
    fleet = FLEET.changed(PROD, key, junk)
    assert isinstance(fleet.clashes, tuple)
    try:
        plan_of(fleet, PROD)
    except FleetError as error:
        lines = str(error).splitlines()
        assert lines and all(line.startswith("inventory/") for line in lines), lines
        assert any(f": {dotted(key)}" in line or f": {dotted(key[:-1])}" in line for line in lines), lines
    else:
        raise AssertionError(f"{dotted(key)} took {junk!r}")
