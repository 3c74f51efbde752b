"""Objects as YAML text, by libyaml's emitter: the one way in which bytes of compiled/ come to be."""

from __future__ import annotations

import hashlib
import io
import json
import re
from typing import Any

import yaml

Object = dict[str, Any]
"""A Kubernetes object as plain data."""

# What Go's YAML takes for something else than text though PyYAML leaves it plain. Argo CD and kubectl read with
# sigs.k8s.io/yaml, others with go.yaml.in/yaml v2 and v3, and all resolve by the first character (resolve.go): a digit,
# a sign or a dot begins a number, in any base of strconv.ParseInt and with "_" anywhere, or a date with short parts.
_NUMBERS = re.compile(
    r"[-+]?(0[xbo][-+]?[0-9a-f]*"  # 0X1F, 0b1, 0o17, 0o-1
    r"|(?=\.?\d)\d*\.?\d*(e[-+]?\d*)?"  # 1_000, .5, 1e5
    r"|\d+(:\d+)+(\.\d*)?"  # 1:30, in base 60
    r"|\.(inf|nan))"
    r"|\d{4}-\d\d?-\d\d?([t\s].*)?",  # 2001-1-1
    re.IGNORECASE,
)
# A letter begins one of YAML 1.1's words: PyYAML knows all but these two, which yaml.v2 reads as booleans.
_BOOLEANS = frozenset("yYnN")
_NUMBERS_BEGIN = frozenset("0123456789+-.")


class _Dumper(yaml.CSafeDumper):
    """No resolver by path, and what a scalar would be read as is asked once a word: most scalars of a fleet
    are the same few."""

    def descend_resolver(self, current_node: yaml.Node | None, current_index: Any) -> None:
        """No path resolvers are registered: there is nothing to descend into."""

    def ascend_resolver(self) -> None:
        """See descend_resolver."""

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: tuple[bool, bool]) -> str:
        if kind is not yaml.ScalarNode:
            return _MAP if kind is yaml.MappingNode else _SEQ
        if not implicit[0]:
            return _STR
        tag = _tags.get(value)
        if tag is None:
            tag = str(super().resolve(kind, value, implicit))  # type: ignore[no-untyped-call]
            if len(value) < 64 and len(_tags) < 50_000:
                _tags[value] = tag
        return tag


_MAP, _SEQ, _STR, _BOOL, _INT, _FLOAT, _NULL = (
    f"tag:yaml.org,2002:{name}" for name in ("map", "seq", "str", "bool", "int", "float", "null")
)
_tags: dict[str, str] = {}


def _string(text: str) -> yaml.ScalarNode:
    style = None
    if "\n" in text:
        style = "|"
    elif (text[:1] in _NUMBERS_BEGIN and _NUMBERS.fullmatch(text.replace("_", ""))) or text in _BOOLEANS:
        style = '"'
    return yaml.ScalarNode(_STR, text, style=style)


def _node(data: Any) -> yaml.Node:
    """PyYAML's representer for plain data alone, in half its time: insertion order, block style, no anchors.

    Raises TypeError for what is no plain data.
    """
    kind = type(data)
    if kind is str:
        return _string(data)
    if kind is dict:
        return yaml.MappingNode(_MAP, [(_node(key), _node(data[key])) for key in data], flow_style=False)
    if kind is list or kind is tuple:
        return yaml.SequenceNode(_SEQ, [_node(item) for item in data], flow_style=False)
    if kind is bool:
        return yaml.ScalarNode(_BOOL, "true" if data else "false")
    if kind is int:
        return yaml.ScalarNode(_INT, str(data))
    if kind is float:
        # YAML 1.1 wants a dot before an exponent; what JSON has not, no model admits.
        return yaml.ScalarNode(_FLOAT, repr(data) if "." in repr(data) else repr(data).replace("e", ".0e"))
    if data is None:
        return yaml.ScalarNode(_NULL, "null")
    if isinstance(data, str):
        return _string(str(data))
    raise TypeError(f"no plain data: {data!r}")


def to_yaml(data: Any) -> str:
    """YAML text of plain data, keys in the order in which they were written."""
    text = io.StringIO()
    dumper = _Dumper(text, width=4096, allow_unicode=True)
    dumper.open()
    dumper.serialize(_node(data))
    dumper.close()
    return text.getvalue()


def content_hash(data: Any) -> str:
    """A short name for content: equal data, however ordered, has an equal one. It begins with a letter,
    so that no YAML reader takes it for a number."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "c" + hashlib.sha256(text.encode()).hexdigest()[:12]
