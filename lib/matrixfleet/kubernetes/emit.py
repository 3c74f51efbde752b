"""Objects as YAML text, by libyaml's emitter: the one way in which bytes of compiled/ come to be."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import yaml

Object = dict[str, Any]
"""A Kubernetes object as plain data."""

# Strings that PyYAML leaves plain and Go's YAML reads as numbers: 1e5 (YAML 1.1 wants a dot), 0o17.
_NUMBERISH = re.compile(r"[-+]?(\d[\d_]*(e[-+]?\d+)?|0o[0-7_]+)", re.IGNORECASE)


class _Dumper(yaml.CSafeDumper):
    """Insertion order, no anchors, literal blocks for lines.

    A third of PyYAML's time goes into asking, for every scalar, whether it could be read as another type;
    most scalars of a fleet are the same few words, so answers are remembered.
    """

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def descend_resolver(self, current_node: yaml.Node | None, current_index: Any) -> None:
        """No path resolvers are registered: there is nothing to descend into."""

    def ascend_resolver(self) -> None:
        """See descend_resolver."""

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: tuple[bool, bool]) -> str:
        if kind is not yaml.ScalarNode:
            return _BLOCKS[kind]
        if not implicit[0]:
            return _TEXT
        tag = _tags.get(value)
        if tag is None:
            tag = str(super().resolve(kind, value, implicit))  # type: ignore[no-untyped-call]
            if len(value) < 64 and len(_tags) < 50_000:
                _tags[value] = tag
        return tag


_TEXT = "tag:yaml.org,2002:str"
_BLOCKS: dict[type[yaml.Node], str] = {
    yaml.MappingNode: "tag:yaml.org,2002:map",
    yaml.SequenceNode: "tag:yaml.org,2002:seq",
}
_tags: dict[str, str] = {}


def _string(dumper: yaml.CSafeDumper, text: str) -> yaml.ScalarNode:
    style = None
    if "\n" in text:
        style = "|"
    elif text[:1] in "0123456789+-" and _NUMBERISH.fullmatch(text):
        style = '"'
    return yaml.ScalarNode(_TEXT, text, style=style)


_Dumper.add_representer(str, _string)


def to_yaml(data: Any) -> str:
    """YAML text of plain data, keys in the order in which they were written."""
    return str(
        yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=4096, allow_unicode=True)
    )


def content_hash(data: Any) -> str:
    """A short name for content: equal data, however ordered, has an equal one. It begins with a letter,
    so that no YAML reader takes it for a number."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "c" + hashlib.sha256(text.encode()).hexdigest()[:12]
