"""Whether compiled/ and argocd/ are, byte for byte, what the inventory compiles to."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePosixPath

import yaml

from matrixfleet.checks.there import LONGEST, There, printable
from matrixfleet.checks.tree import Finding
from matrixfleet.checks.wanted import digest
from matrixfleet.leaks import leaks_of

RULE = "drift"
SHOWN = 40
"""Findings that are told one by one."""
_DEEPEST = 100
_LONG = LONGEST // 4
_REMEDY = "run make compile"


def drift(
    there: There, digests: Mapping[str, bytes], text: Callable[[str], str], by_hand: Iterable[str]
) -> list[Finding]:
    """A finding for each path that is not what it should be; by_hand: files beside the compiled ones."""
    by_hand = set(by_hand)
    wanted_folders = _above((*digests, *by_hand)) | {"compiled", "argocd"}
    found: dict[str, str] = {}
    for path, what in there.odd.items():
        kind = "folder" if path in wanted_folders else "plain file"
        found[path] = f"expected a {kind}, got {what}; remove it and {_REMEDY}"
    for path in digests.keys() - there.files.keys() - there.odd.keys():
        if there.odd.keys().isdisjoint(_above((path,))):
            found[path] = f"is missing; {_REMEDY}"
    for path in there.files.keys() - digests.keys() - by_hand:
        found[path] = f"is not what any target compiles to; remove it, or {_REMEDY}"
    for path in there.folders - wanted_folders - _above((*there.files, *there.odd, *there.folders)):
        found[path] = f"is an empty folder that no target compiles to; remove it, or {_REMEDY}"
    for path in there.executable:
        found.setdefault(
            path, f"expected mode 0644, got mode bits that no compiled file has; chmod 0644 it, or {_REMEDY}"
        )
    changed = [
        path
        for path, held in there.files.items()
        if path in digests and (held is None or digest(held) != digests[path])
    ]
    for path in sorted(changed)[:SHOWN]:
        found[path] = f"{_first_difference(path, text(path), there.files[path])}; {_REMEDY}"
    for path in sorted(changed)[SHOWN:]:
        found[path] = f"differs from what the inventory compiles to; {_REMEDY}"
    return [Finding(printable(path), RULE, message) for path, message in sorted(found.items())]


def _above(paths: Iterable[str]) -> set[str]:
    """Every folder above some paths."""
    return {str(parent) for path in paths for parent in PurePosixPath(path).parents}


def summarised(findings: list[Finding]) -> list[Finding]:
    """The first findings, and how many more there are."""
    if len(findings) <= SHOWN:
        return findings
    more = len(findings) - SHOWN
    return [
        *findings[:SHOWN],
        Finding("compiled", RULE, f"{more} more paths differ from what the inventory compiles to; {_REMEDY}"),
    ]


def _first_difference(path: str, wanted: str, got: bytes | None) -> str:
    """The first line that differs, without what may be secret in it."""
    if got is None:
        return f"is longer than {LONGEST} bytes, expected {len(wanted.encode())}"
    said = got.decode("utf-8", "surrogateescape")
    ours, theirs = wanted.split("\n"), said.split("\n")
    number = next(
        (index for index, (one, other) in enumerate(zip(ours, theirs, strict=False)) if one != other),
        min(len(ours), len(theirs)),
    )
    secret = any(leak.line == number + 1 for _, leak in leaks_of({path: said}, frozenset()))
    shown = "what looks secret" if secret else _line(theirs, number)
    return f"line {number + 1}: expected {_line(ours, number)}, got {shown}"


def _line(lines: list[str], number: int) -> str:
    if number >= len(lines):
        return "the end"
    line = printable(lines[number])
    return f"'{line[:80]}...'" if len(line) > 80 else f"'{line}'"


def readable(there: There, digests: Mapping[str, bytes]) -> dict[str, str]:
    """Texts below compiled/ that rules can be given: what was compiled, and of the rest what is plain YAML or text."""
    texts = {}
    for path, held in sorted(there.files.items()):
        if not path.startswith("compiled/") or held is None:
            continue
        if digests.get(path) == digest(held) or for_rules(path, held):
            texts[path.removeprefix("compiled/")] = held.decode("utf-8")
    return texts


def for_rules(path: str, held: bytes) -> bool:
    """Whether rules can be given a file that nobody compiled."""
    if len(held) > _LONG or path.count("/") < 3 or not path.isprintable():
        return False
    try:
        return not path.endswith(".yaml") or _plain(held.decode("utf-8"), 1)
    except UnicodeDecodeError:
        return False


def _plain(text: str, layers: int) -> bool:
    """Whether YAML, and YAML in its strings, stands for no more than its text and nests as people do.

    Events tell, and build nothing: libyaml builds by recursion, and ends the process where the stack does."""
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.CSafeLoader):
            if isinstance(event, yaml.ScalarEvent):
                if layers and len(event.value) > _DEEPEST and not _plain(event.value, layers - 1):
                    return False
            elif isinstance(event, yaml.AliasEvent):
                return False
            elif isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                depth += 1
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                depth -= 1
            if depth > _DEEPEST:
                return False
    except yaml.YAMLError:
        return True
    return True
