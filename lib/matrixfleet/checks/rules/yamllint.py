"""Every compiled YAML file passes yamllint: people read the effect of a change here.

Linting is slow and tenants are alike. Files that differ in the tenant's name, in hosts and in hashes alone
are of one shape: once one of them is clean, the others are taken to be, in later runs too (`remember`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from yamllint import APP_VERSION, linter
from yamllint.config import YamlLintConfig

from matrixfleet.checks.tree import Finding, Tree

CONFIG = """
extends: default
rules:
  document-start: disable
  line-length: disable
  comments: disable
  comments-indentation: disable
  indentation: {spaces: 2, indent-sequences: false}
"""
# Hosts and hashes, but no keys: two of the same are a fault.
VALUE = re.compile(r"(?:\bc[0-9a-f]{12}\b|\b[a-z0-9-]+(?:\.[a-z0-9-]+)+\b)(?![\w./-]*:(?:\s|$))")


_clean: set[str] = set()
_memory: list[Path] = []


def remember(path: Path) -> None:
    """Keep what is clean in a file, and read what an earlier run found clean. A lost file costs time alone."""
    _memory[:] = [path]
    with suppress(OSError):
        _clean.update(path.read_text(encoding="ascii", errors="replace").split())


def check(tree: Tree) -> Iterator[Finding]:
    """Each file, and of a clean shape the first alone."""
    fresh = set()
    for path, text in tree.texts.items():
        if not path.endswith(".yaml"):
            continue
        shape = VALUE.sub("value", text.replace(path.split("/")[1], "name"))
        digest = hashlib.sha256(f"{APP_VERSION} {CONFIG} {shape}".encode()).hexdigest()
        if digest in _clean:
            continue
        problems = list(linter.run(text, config(), path))
        if not problems:
            _clean.add(digest)
            fresh.add(digest)
        for problem in problems:
            where = f"line {problem.line}, column {problem.column}"
            message = f"{where}: {problem.desc} ({problem.rule or 'syntax'})"
            yield Finding(f"{tree.root}/{path}", "yamllint", message)
    for memory in _memory:
        with suppress(OSError), memory.open("a", encoding="ascii") as lines:
            lines.writelines(f"{digest}\n" for digest in sorted(fresh))


@cache
def config() -> YamlLintConfig:
    """What the emitter writes: sequences stand under their key, lines may be long, no document markers."""
    return YamlLintConfig(CONFIG)
