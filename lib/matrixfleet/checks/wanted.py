"""What the inventory compiles to, drawn in memory: the same components as Kapitan runs, without Kapitan."""

from __future__ import annotations

import hashlib
import os
import posixpath
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from pathlib import Path

from matrixfleet.drawing import draw_target
from matrixfleet.model import Fleet

_FEW = 24
"""Targets: a process more is not worth fewer."""


def digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


Drawn = tuple[dict[str, bytes], dict[str, str]]
"""Digests by path, and the texts that argocd/ is made of."""


def _drawn(fleet: Fleet, top: Path, names: Iterable[str], kept: str) -> Drawn:
    digests, texts = {}, {}
    for name in names:
        for path, text in _of_target(fleet, top, name).items():
            digests[path] = digest(text.encode())
            if path.split("/")[3:4] == [kept]:
                texts[path] = text
    return digests, texts


def _of_target(fleet: Fleet, top: Path, name: str) -> dict[str, str]:
    folder = f"compiled/{name.replace('.', '/')}"
    return {posixpath.normpath(f"{folder}/{path}"): text for path, text in draw_target(fleet, name, top).items()}


_forked: tuple[Fleet, Path, str] | None = None


def _chunk(names: list[str]) -> Drawn:
    """In a process that was forked: the fleet is its own already."""
    assert _forked is not None
    fleet, top, kept = _forked
    return _drawn(fleet, top, names, kept)


class Wanted:
    """What the inventory compiles to: drawn in other processes while this one does something else."""

    def __init__(
        self, fleet: Fleet, top: Path, kept: str, argocd: Callable[[Mapping[str, str]], dict[str, str]]
    ) -> None:
        """kept: the folder of a target whose texts `argocd` makes argocd/ of."""
        global _forked
        self._fleet, self._top, self._argocd = fleet, top, argocd
        self._kept = kept
        self._results: Iterator[Drawn]
        self._pool: ProcessPoolExecutor | None = None
        names = fleet.names
        if len(names) < _FEW:
            self._results = iter([_drawn(fleet, top, names, kept)])
        else:
            _forked = (fleet, top, kept)
            chunks = [names[first : first + _FEW] for first in range(0, len(names), _FEW)]
            self._pool = ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("fork"))
            self._results = self._pool.map(_chunk, chunks)
        self.texts = cache(self._texts)

    def digests(self) -> dict[str, bytes]:
        """Every file's digest by its path below the repository's top. Raises FleetError."""
        digests: dict[str, bytes] = {}
        texts: dict[str, str] = {}
        try:
            for some, kept in self._results:
                digests |= some
                texts |= kept
        finally:
            if self._pool is not None:
                self._pool.shutdown(cancel_futures=True)
        self._of_argocd = {f"argocd/{name}": text for name, text in self._argocd(texts).items()}
        return digests | {path: digest(text.encode()) for path, text in self._of_argocd.items()}

    def text(self, path: str) -> str:
        """A file's text, drawn again."""
        if path in self._of_argocd:
            return self._of_argocd[path]
        cluster = path.split("/")[1]
        target = ".".join(path.split("/")[1:3])
        # What lies outside of the target's own folder is another target's of the cluster.
        for name in (
            [target] if target in self._fleet.names else [n for n in self._fleet.names if n.startswith(f"{cluster}.")]
        ):
            if path in self.texts(name):
                return self.texts(name)[path]
        return ""

    def objects(self) -> dict[str, str]:
        """Every file's text by path below compiled/, drawn again."""
        texts = (self.texts(name) for name in self._fleet.names)
        return {path.removeprefix("compiled/"): text for each in texts for path, text in each.items()}

    def _texts(self, name: str) -> dict[str, str]:
        return _of_target(self._fleet, self._top, name)
