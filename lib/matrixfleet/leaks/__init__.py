"""Detection of secrets in the inventory and in compiled/, by what is known of tokens and by what keys tell.

`# not-a-secret: <reason>` on a line of the inventory marks what is on it as harmless, wherever it is compiled to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import Path

from matrixfleet.errors import Fault
from matrixfleet.leaks.known import known
from matrixfleet.leaks.walk import Leak, TooDeep, Walk
from matrixfleet.leaks.words import WORDS

__all__ = ["HINT", "Leak", "inventory_faults", "leaks_of", "vouched"]

MARK = re.compile(r"#\s*not-a-secret\b:?[ \t]*(.*)")
_STRUCTURED = (".yml", ".yaml", ".json")
HINT = "expected no secret in git: revoke it, then name it and mount it (docs/secrets.md)"
_MARKED = "; where it is none, say why on its line: # not-a-secret: <reason>"


class _File:
    """One file of the inventory, walked."""

    def __init__(self, path: Path, shown: str) -> None:
        self.shown = shown
        self.faults: list[Fault] = []
        self.text = path.read_bytes().decode("utf-8", "surrogateescape")
        try:
            self.walk = Walk(self.text, structured=path.suffix in _STRUCTURED)
        except TooDeep as error:
            self.faults.append(Fault(shown, error.line, "", f"{error}; expected fewer"))
            self.walk = Walk("", structured=False)
        self.marks: set[int] = set()
        for number, line in enumerate(self.text.split("\n"), 1):
            mark = MARK.search(line)
            if mark and len(mark[1].split()) < 2:
                self.faults.append(Fault(shown, number, "", "expected # not-a-secret: <reason>, got no reason"))
            elif mark:
                self.marks.add(number)

    @property
    def vouched(self) -> Iterator[str]:
        """Every value that a mark covers."""
        for scalar in self.walk.scalars:
            if any(scalar.first <= mark <= scalar.last for mark in self.marks):
                yield scalar.text

    def key_at(self, line: int) -> str:
        """The longest key on a line."""
        return max((each.key for each in self.walk.scalars if each.first <= line <= each.last), key=len, default="")


@cache
def _files(inventory: Path) -> tuple[_File, ...]:
    top = inventory.parent
    paths = sorted(path for path in inventory.rglob("*") if path.is_file())
    return tuple(_File(path, str(path.relative_to(top))) for path in paths)


def vouched(inventory: Path) -> frozenset[str]:
    """The values that marks in the inventory say are harmless."""
    return frozenset(text for file in _files(inventory.resolve()) for text in file.vouched)


def inventory_faults(inventory: Path) -> list[Fault]:
    """A fault for each line of the inventory that holds a secret and no mark."""
    files = _files(inventory.resolve())
    harmless = vouched(inventory)
    faults = [fault for file in files for fault in file.faults]
    texts = [((file, None), file.text) for file in files]
    values = [((file, scalar), scalar.text) for file in files for scalar in file.walk.scalars if len(scalar.text) > 7]
    found: dict[tuple[str, int], tuple[_File, Leak]] = {}
    for (file, scalar), line, kind, value in known([*texts, *values]):
        at = scalar.first if scalar else line
        found.setdefault((file.shown, at), (file, Leak(at, scalar.key if scalar else file.key_at(at), kind, value)))
    for file in files:
        for leak in file.walk.leaks:
            found.setdefault((file.shown, leak.line), (file, leak))
    for (shown, line), (file, leak) in found.items():
        if line not in file.marks and not _harmless(leak, harmless):
            faults.append(Fault(shown, line, leak.shown_key, f"{leak.kind}; {HINT}{_MARKED}"))
    return faults


def _harmless(leak: Leak, harmless: Iterable[str]) -> bool:
    return any(leak.value in text for text in harmless)


def leaks_of(texts: Mapping[str, str], harmless: frozenset[str]) -> Iterator[tuple[str, Leak]]:
    """Path and leak of each line of compiled files that holds a secret which no mark covers."""
    found: dict[tuple[str, int], Leak] = {}
    values: list[tuple[tuple[str, int, str], str]] = []
    leaks: list[tuple[str, Leak]] = []
    for path, walk in _walked(texts):
        leaks.extend((path, leak) for leak in walk.leaks)
        values.extend(((path, each.first, each.key), each.text) for each in walk.scalars if len(each.text) > 7)
    for path, line, kind, value in known(texts.items()):
        found.setdefault((path, line), Leak(line, "", kind, value))
    for (path, line, key), _, kind, value in known(values):
        found.setdefault((path, line), Leak(line, key, kind, value))
    for path, leak in leaks:
        found.setdefault((path, leak.line), leak)
    for (path, _), leak in sorted(found.items()):
        if not _harmless(leak, harmless):
            yield path, leak


_CANDIDATE = re.compile(rf"{WORDS.pattern}|[A-Za-z0-9+/_-]{{22}}|\"[^\"]*\\")


# What differs between tenants that are alike: hosts and hashes of configurations. Hosts of keys are kept.
_VARYING = re.compile(r"(?:\bc[0-9a-f]{12}\b|\b[a-z0-9-]+(?:\.[a-z0-9-]+)+\b)(?![\w./-]*:(?:\s|$))")


def _walked(texts: Mapping[str, str]) -> Iterator[tuple[str, Walk]]:
    """The files with two lines one after the other that no other file had, and that may tell of a secret.

    Tenants are alike but for names, hosts and hashes: of a fleet's lines one in a hundred is new."""
    seen: set[tuple[str, str]] = set()
    shapes: set[tuple[str, str]] = set()
    for path, text in texts.items():
        name = path.split("/")[1] if path.count("/") else path
        alike = text.replace(name, "\0").split("\n")
        fresh = set(pairwise(["", *alike])) - seen
        if not fresh:
            continue
        seen |= fresh
        lines = text.split("\n")
        new = []
        for index, pair in enumerate(pairwise(["", *alike])):
            if pair in fresh:
                shape = (_VARYING.sub("\0", pair[0]), _VARYING.sub("\0", pair[1]))
                if shape not in shapes:
                    shapes.add(shape)
                    new.append(index)
        if any(_near(lines, index) for index in new):
            try:
                yield path, Walk(text, structured=path.endswith(_STRUCTURED))
            except TooDeep:
                yield path, Walk(text, structured=False)


def _near(lines: list[str], index: int) -> bool:
    """Whether a line, its neighbours, or what it stands below may tell of a secret."""
    if _CANDIDATE.search("\n".join(lines[max(0, index - 2) : index + 3])):
        return True
    indent = len(lines[index]) - len(lines[index].lstrip(" -"))
    for above in range(index - 1, -1, -1):
        width = len(lines[above]) - len(lines[above].lstrip(" -"))
        if width < indent and lines[above]:
            if _CANDIDATE.search(lines[above]):
                return True
            indent = width
            if not indent:
                break
    return False
