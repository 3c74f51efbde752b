"""What a person reads when the fleet cannot be compiled."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """One thing that is wrong, and where.

    file: path from the repository's top, or "" where no single file is at fault
    line: counted from 1, or 0 where a whole file is meant
    key: the dotted key as it is written in the inventory, or ""
    message: what was found and what was expected, with the suggestion
    """

    file: str
    line: int
    key: str
    message: str

    def __str__(self) -> str:
        # Keys and names of files are a tenant's: a terminal must not obey them, nor a newline begin another fault.
        where = shown(self.file) + (f":{self.line}" if self.line else "")
        message = "\n".join(map(shown, self.message.split("\n")))
        return ": ".join(part for part in (where, shown(self.key), message) if part)


def shown(text: str) -> str:
    """Text for a terminal: what it would obey, hide or turn around is escaped."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


class FleetError(Exception):
    """One or more faults of the input: the text is the faults, a line each, and nothing else."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self.faults = tuple(sorted(set(faults)))
        super().__init__("\n".join(map(str, self.faults)))

    def __reduce__(self) -> tuple[type[FleetError], tuple[tuple[Fault, ...]]]:
        # Kapitan's worker processes hand exceptions to the parent pickled.
        return (FleetError, (self.faults,))


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """`, did you mean X?` for the nearest known word, else the words there are."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f", did you mean {near[0]}?"
    return f"; known here: {', '.join(sorted(known))}" if known else ""


class Refused(Exception):
    """The plan cannot follow from what was said: an impossible combination, a budget that does not fit.

    key: where in the inventory it was said, so that whoever knows the files can add file and line
    """

    def __init__(self, key: tuple[str | int, ...], message: str) -> None:
        self.key = key
        self.message = message
        super().__init__(message)
