"""Fleets before and after a change, compiled in memory: what `check --base` compares, without git."""

from __future__ import annotations

import copy
import posixpath
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from fleets import Repository, with_another_cluster
from matrixfleet.checks import Entry, Finding, Tree
from matrixfleet.checks.base import RULES
from matrixfleet.cli.compile import read_fleet
from matrixfleet.drawing import draw_target
from matrixfleet.model import Fleet
from matrixfleet.model.moves import ARROW

Block = dict[str, Any]
PATTERN = "pattern.single-tenant"
CLUB: Block = {
    "size": "small",
    "server_name": "club.example.org",
    "hosts": {"matrix": "matrix.club.example.org"},
    "turn": {"kind": "none"},
}
"""A tenant that says what it must."""
STOPPED: Block = {"state": "stopped"}


def merged(*blocks: Mapping[str, Any]) -> Block:
    """Blocks over each other, key by key."""
    result: Block = {}
    for block in blocks:
        for key, value in block.items():
            held = result.get(key)
            nested = isinstance(held, dict) and isinstance(value, dict)
            result[key] = merged(held, value) if nested else copy.deepcopy(value)  # type: ignore[arg-type]
    return result


@dataclass(frozen=True)
class State:
    """A fleet: the `matrix` block of each tenant, and what platform targets say beside their classes."""

    tenants: Mapping[str, Block]
    platforms: Mapping[str, Block] = field(default_factory=dict)
    classes: tuple[str, ...] = (PATTERN,)

    def every(self, block: Block) -> State:
        """Each tenant with a block over what it says."""
        return replace(self, tenants={name: merged(said, block) for name, said in self.tenants.items()})

    def declared(self, target: str, moves: Mapping[str, str]) -> State:
        """A target with moves."""
        cluster, _, short = target.partition(".")
        if short == "platform":
            block = merged(self.platforms.get(cluster, {}), {"platform": {"moves": moves}})
            return replace(self, platforms={**self.platforms, cluster: block})
        return replace(self, tenants={**self.tenants, target: merged(self.tenants[target], {"moves": moves})})


class Compiler:
    """Compiles states; what a target compiles to is kept while neither it nor its platform changes."""

    def __init__(self, folder: Path) -> None:
        self.repository = Repository(folder)
        with_another_cluster(self.repository)
        self._texts: dict[tuple[str, str], dict[str, str]] = {}
        self._trees: dict[str, Tree] = {}
        self._entries: dict[tuple[str, str], Entry] = {}

    def __call__(self, state: State) -> Tree:
        """The compiled tree. Raises FleetError for what does not compile."""
        known = repr(state)
        if known not in self._trees:
            self._write(state)
            fleet = read_fleet(self.repository.top)
            texts = {path: text for name in fleet.names for path, text in self._drawn(fleet, name).items()}
            self._trees[known] = Tree(dict(self._parsed(texts)), texts, fleet)
        return self._trees[known]

    def _write(self, state: State) -> None:
        shutil.rmtree(self.repository.top / "inventory/targets")
        clusters = {name.partition(".")[0] for name in state.tenants} | set(state.platforms)
        files = {f"{one}.platform": (f"cluster.{one}", "release.stable") for one in clusters}
        for name in (*files, *state.tenants):
            said = {"matrix": state.tenants[name]} if name in state.tenants else state.platforms.get(name[:-9], {})
            text = yaml.safe_dump(
                {"classes": list(files.get(name, state.classes)), "parameters": said}, default_flow_style=False
            )
            self.repository.write(f"inventory/targets/{name.replace('.', '/')}.yml", text)

    def _drawn(self, fleet: Fleet, name: str) -> dict[str, str]:
        cluster = name.partition(".")[0]
        own = name.endswith(".platform") or fleet.raw(name, ("matrix", "active"))
        others = [one for one in fleet.names if own or one in (name, f"{cluster}.platform")]
        key = name, repr([fleet.raw(one, ()) for one in others])
        if key not in self._texts:
            drawn = draw_target(fleet, name, self.repository.top)
            folder = name.replace(".", "/")
            self._texts[key] = {posixpath.normpath(f"{folder}/{path}"): text for path, text in drawn.items()}
        return self._texts[key]

    def _parsed(self, texts: Mapping[str, str]) -> Iterator[tuple[str, Entry]]:
        for path, text in texts.items():
            if path.endswith(".yaml"):
                if (path, text) not in self._entries:
                    self._entries[path, text] = Tree.of({path: text}).entries[path]
                yield path, self._entries[path, text]


def found(before: Tree, after: Tree) -> list[Finding]:
    """What every rule finds."""
    return [finding for rule in RULES.values() for finding in rule(before, after)]


def moves_in(findings: list[Finding]) -> dict[str, dict[str, str]]:
    """The declarations that findings print, by the block that they go to."""
    moves: dict[str, dict[str, str]] = {}
    for finding in findings:
        for block in ("matrix", "platform"):
            _, marker, line = finding.message.partition(f" {block}.moves: ")
            if marker:
                said = yaml.safe_load(line)
                assert all(ARROW in change for change in said.values())
                moves.setdefault(block, {}).update(said)
    return moves
