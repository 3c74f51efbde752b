"""Schemas of Kubernetes objects, and messages for objects that break them.

    >>> list(validate({"apiVersion": "v1", "kind": "ConfigMap", "dat": {}}, KUBERNETES_MINORS[-1]))
    ['dat: unknown field, did you mean data?']

Built-in kinds are checked with the schemas of the given Kubernetes minor, which the package
kubernetes-validate carries. Custom resources are checked with the schemas under crds/ and written/, whatever the minor.
Both refuse unknown fields, which an API server by default only warns of, and drops. Nothing here uses
the network.
"""

from __future__ import annotations

import base64
import binascii
import difflib
import importlib.util
import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs

Json = dict[str, Any]

# Fetched from upstream's CRDs, and written by us where upstream's cannot be had (written/README.md).
_CRDS = (Path(__file__).parent / "crds", Path(__file__).parent / "written")
_OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
# Upstream leaves a quantity any string and writes both of these as oneOf, where a null matches twice and so
# fails, though the API server takes it.
_BETTER: dict[str, Json] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {
        "type": ["number", "string", "null"],
        "pattern": r"^\s*[+-]?(\d+(\.\d*)?|\.\d+)([numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?\s*$",
    },
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {"type": ["integer", "string", "null"]},
}
_FORMATS = {
    "byte": "base64",
    "date-time": "an RFC 3339 time",
    "ipv4": "an IPv4 address",
    "ipv6": "an IPv6 address",
}
_NAMES = {
    bool: "a boolean",
    dict: "an object",
    float: "a number",
    int: "a number",
    list: "an array",
    str: "a string",
}
_SHOWN_CHARACTERS = 40


def _builtin_folders() -> dict[str, Path]:
    # Not importlib.resources: that imports the package, and with it two JSON Schema libraries we don't use.
    spec = importlib.util.find_spec("kubernetes_validate")
    folders = (spec and spec.submodule_search_locations) or []
    found = {}
    for path in (Path(folder, "kubernetes-json-schema") for folder in folders):
        for strict in path.glob("v*-local-strict"):
            major, minor, _ = strict.name.removeprefix("v").split(".", 2)
            found[f"{major}.{minor}"] = strict
    return found


_FOLDERS = _builtin_folders()

ALL_MINORS = frozenset(_FOLDERS)
"""The minor versions of Kubernetes that there are schemas for."""
KUBERNETES_MINORS: tuple[str, ...] = tuple(sorted(_FOLDERS, key=lambda minor: [*map(int, minor.split("."))])[-3:])
"""The three newest minors there are schemas for, oldest first. Older ones are accepted as well."""


def validate(obj: Json, kubernetes_minor: str) -> Iterator[str]:
    """What is wrong with an object, one message each, in the order of their paths; nothing if it is sound.

    A message starts with the path of the field. An object of a kind without a schema gets one message.
    No value of a Secret is shown. ValueError if there are no schemas for the minor.
    """
    api_version, kind = obj.get("apiVersion"), obj.get("kind")
    if not isinstance(api_version, str) or not isinstance(kind, str):
        yield "apiVersion and kind must both be set, to strings"
        return
    found = _schema(api_version, kind, kubernetes_minor)
    if found is None:
        yield _no_schema(api_version, kind, kubernetes_minor)
        return
    complaints: list[str] = []
    plain = _plain(obj, [], complaints)
    if complaints:
        yield from complaints
        return
    schema, validator = found
    for error in sorted(validator.iter_errors(plain), key=lambda error: (error.instance_path, error.message)):
        yield from _messages(error, schema, secret=kind == "Secret")


# --- where schemas come from


@cache
def _definitions(minor: str) -> Json:
    if minor not in _FOLDERS:
        raise ValueError(f"no schemas for Kubernetes {minor}; there are for {', '.join(KUBERNETES_MINORS)}")
    text = (_FOLDERS[minor] / "_definitions.json").read_text(encoding="utf-8")
    definitions: Json = json.loads(text)["$defs"]
    return definitions | _BETTER


@cache
def _builtins(minor: str) -> dict[tuple[str, str], str]:
    """The definition's name for each apiVersion and kind that can be applied."""
    found = {}
    for name, definition in _definitions(minor).items():
        kinds = definition.get("x-kubernetes-group-version-kind", ())
        metadata = definition.get("properties", {}).get("metadata", {})
        # Lists, Status and the like have a kind too, but no metadata of an object.
        if len(kinds) == 1 and metadata.get("$ref", "").endswith(_OBJECT_META):
            group, version = kinds[0]["group"], kinds[0]["version"]
            found[f"{group}/{version}" if group else version, kinds[0]["kind"]] = name
    return found


@cache
def _custom() -> dict[tuple[str, str], Path]:
    found = {}
    for path in (path for folder in _CRDS for path in folder.glob("*/*.json")):
        kind, _, version = path.stem.rpartition("_")
        found[f"{path.parent.name}/{version}", kind] = path
    return found


@cache
def _schema(api_version: str, kind: str, minor: str) -> tuple[Json, jsonschema_rs.Validator] | None:
    """The kind's schema, and the same compiled; None for an unknown kind."""
    schema: Json
    if name := _builtins(minor).get((api_version, kind)):
        schema = _with_definitions(name, _definitions(minor))
    elif path := _custom().get((api_version, kind)):
        schema = json.loads(path.read_text(encoding="utf-8"))["schema"]
    else:
        return None
    # Masked, because the library's own wording would carry the whole value, be it large or secret.
    validator = jsonschema_rs.Draft202012Validator(
        schema, mask="value", validate_formats=True, formats={"byte": _is_base64}, offline=True
    )
    return schema, validator


def _with_definitions(name: str, definitions: Json) -> Json:
    """A schema of its own: compiling all definitions for each kind would take most of a run."""
    needed: Json = {}
    waiting = [name]
    while waiting:
        current = waiting.pop()
        if current not in needed:
            needed[current] = definitions[current]
            waiting.extend(_references(definitions[current]))
    return {"$ref": f"#/$defs/{name}", "$defs": needed}


def _references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        # Of two things called $ref, only the keyword is a string; the other is a field of a CRD's own schema.
        if isinstance(node.get("$ref"), str):
            yield node["$ref"].rpartition("/")[2]
        for child in node.values():
            yield from _references(child)


def _is_base64(text: str) -> bool:
    try:
        # The server's decoder skips line breaks and nothing else.
        base64.b64decode(re.sub(r"[\r\n]", "", text), validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


# --- what messages say


def _messages(error: jsonschema_rs.ValidationError, schema: Json, secret: bool) -> Iterator[str]:
    where = _dotted(error.instance_path)
    details = error.kind.as_dict()
    got = f"got {_shown(error.instance, secret)}"
    match error.kind.name:
        case "additionalProperties":
            known = _at(schema, error.schema_path[:-1]).get("properties", {})
            for field in details["unexpected"]:
                yield f"{_dotted([*error.instance_path, field])}: unknown field{_hint(field, known)}"
        case "required":
            yield f"{_dotted([*error.instance_path, details['property']])}: required field is missing"
        case "type":
            types = [name for name in details["types"] if name != "null"]
            yield f"{where}: expected {' or '.join(types)}, {got}"
        case "enum":
            options = [str(option) or '""' for option in details["options"] if option is not None]
            yield f"{where}: expected one of {', '.join(options)}, {got}"
        case "format":
            yield f"{where}: expected {_FORMATS.get(details['format'], details['format'])}, {got}"
        # Any spelling of the pattern for quantities has this list of suffixes.
        case "pattern" if "KMGTPE" in details["pattern"]:
            yield f"{where}: expected a quantity such as 500m or 2Gi, {got}"
        case "pattern":
            yield f"{where}: expected text that matches {details['pattern']}, {got}"
        case "oneOf" if len(names := _exclusive(_at(schema, error.schema_path), error.instance)) > 1:
            yield f"{where}: only one of {', '.join(names)} may be set"
        case "oneOf" | "anyOf" | "not":
            yield f"{where}: has none of the forms allowed here, {got}"
        case _:
            yield f"{where}: {error.message}, {got}"


def _no_schema(api_version: str, kind: str, minor: str) -> str:
    known = [*_builtins(minor), *_custom()]
    # The right kind at another version is the likelier slip than another kind at this version.
    near = difflib.get_close_matches(api_version, [a for a, k in known if k == kind], n=1, cutoff=0)
    if near:
        hint = f"did you mean {near[0]}/{kind}?"
    elif kinds := difflib.get_close_matches(kind, [k for a, k in known if a == api_version], n=1):
        hint = f"did you mean {api_version}/{kinds[0]}?"
    elif kinds := difflib.get_close_matches(kind, [k for _, k in known], n=1, cutoff=0.8):
        hint = f"did you mean {next(a for a, k in known if k == kinds[0])}/{kinds[0]}?"
    else:
        hint = "no known kind is like it"
    return f"no schema for {api_version}/{kind}; {hint}"


def _plain(node: Any, path: list[str | int], complaints: list[str]) -> Any:
    """A copy in JSON's own types; complains of what YAML can hold and JSON can't.

    The validator stops at the latter, and at subclasses of str and int, which round-trip YAML parsers make.
    """
    if isinstance(node, dict):
        plain = {}
        for key, child in node.items():
            if isinstance(key, str):
                plain[str.__str__(key)] = _plain(child, [*path, key], complaints)
            else:
                complaints.append(f"{_dotted(path)}: expected strings as keys, got {_shown(key, False)}")
        return plain
    if isinstance(node, (list, tuple)):
        return [_plain(child, [*path, index], complaints) for index, child in enumerate(node)]
    if isinstance(node, str):
        return str.__str__(node)
    if node is None or isinstance(node, bool):
        return node
    if isinstance(node, (int, float)):
        return int(node) if isinstance(node, int) else float(node)
    complaints.append(f"{_dotted(path)}: not a value that JSON has: {type(node).__name__}")
    return None


def _at(schema: Json, path: Iterable[str | int]) -> Any:
    node: Any = schema
    for step in path:
        node = node[step]
    return node


def _exclusive(branches: list[Json], instance: Any) -> list[str]:
    names = [name for branch in branches for name in branch.get("required", ())]
    return [name for name in names if isinstance(instance, dict) and name in instance]


def _hint(field: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(field, list(known), n=1, cutoff=0.7)
    return f", did you mean {near[0]}?" if near else ""


def _dotted(path: Iterable[str | int]) -> str:
    text = ""
    for step in path:
        if isinstance(step, str) and re.fullmatch(r"[\w-]+", step):
            text += f".{step}" if text else step
        else:
            text += f"[{step}]"
    return text or "(the object)"


def _shown(value: Any, secret: bool) -> str:
    if value is None:
        return "null"
    if secret or isinstance(value, (dict, list)):
        return _NAMES.get(type(value), type(value).__name__)
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."
