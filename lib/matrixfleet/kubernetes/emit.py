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
    """Insertion order, no anchors, literal blocks for lines."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _string(dumper: yaml.CSafeDumper, text: str) -> yaml.ScalarNode:
    style = None
    if "\n" in text:
        style = "|"
    elif text[:1] in "0123456789+-" and _NUMBERISH.fullmatch(text):
        style = '"'
    return yaml.ScalarNode("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _string)


def to_yaml(data: Any) -> str:
    """YAML text of plain data, keys in the order in which they were written."""
    return str(yaml.dump(data, Dumper=_Dumper, sort_keys=False, default_flow_style=False, width=4096, allow_unicode=True))


def content_hash(data: Any) -> str:
    """A short name for content: equal data, however ordered, has an equal one. It begins with a letter,
    so that no YAML reader takes it for a number."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "c" + hashlib.sha256(text.encode()).hexdigest()[:12]
