"""Known shapes of tokens and keys: the rules of Kingfisher, most of which are Betterleaks', and rules.yml.

Kingfisher's engine runs in this process and asks nothing of any network (its validation is never called).
"""

from __future__ import annotations

import sys
from bisect import bisect_right
from collections.abc import Hashable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TypeVar

from kingfisher_sdk import DetectionPolicy, Rules, Scanner

RULES = Path(__file__).with_name("rules.yml")
# Many small texts at once: a call costs more than a text. Decoding of base64 is limited to 64 MiB a call.
_BATCH = 8 * 2**20
_K = TypeVar("_K", bound=Hashable)


@cache
def _scanner() -> Scanner:
    # Compiling the rules takes seconds, and their compiled form belongs to this very wheel: it lies beside it.
    rules = Rules([RULES], cache_dir=Path(sys.prefix) / "cache" / "kingfisher")
    # No comment in a file, and no markup, makes a finding none: docs/secrets.md says what does.
    return Scanner(rules, policy=DetectionPolicy(inline_ignores=False, markup_context=False))


def known(texts: Iterable[tuple[_K, str]]) -> Iterator[tuple[_K, int, str, str]]:
    """Whose text, line, kind and value of each secret of a known shape."""
    keys: list[_K] = []
    starts: list[int] = []
    buffer = bytearray()
    for key, text in texts:
        keys.append(key)
        starts.append(len(buffer))
        buffer += text.encode("utf-8", "surrogateescape") + b"\n\n"
        if len(buffer) > _BATCH:
            yield from _scanned(keys, starts, bytes(buffer))
            keys, starts, buffer = [], [], bytearray()
    yield from _scanned(keys, starts, bytes(buffer))


def _scanned(keys: list[_K], starts: list[int], buffer: bytes) -> Iterator[tuple[_K, int, str, str]]:
    # Ours first: their names are sentences' parts.
    for found in sorted(_scanner().scan(buffer), key=lambda found: not found.rule_id.startswith("fleet.")):
        if found.visible:
            offset = found.location["start_offset"]
            index = bisect_right(starts, offset) - 1
            line = buffer.count(b"\n", starts[index], offset) + 1
            yield keys[index], line, _kind(found.rule_id, found.rule_name), found.secret


def _kind(rule: str, name: str) -> str:
    """A rule as a message calls it: ours by their names, others by their ids, whose names are sentences."""
    if rule.startswith("fleet."):
        return name
    return rule.rpartition(".")[2].replace("-", " ") if rule.startswith("betterleaks.") else name
