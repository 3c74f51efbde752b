"""Every compiled YAML file passes yamllint: people read the effect of a change here.

Two files that differ in the tenant's name and in hashes alone are of one shape, and one shape is linted once.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

from yamllint import linter
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
HASH = re.compile(r"\bc[0-9a-f]{12}\b")


def check(tree: Tree) -> Iterator[Finding]:
    """Each file, and only files of a shape that is new."""
    clean: set[str] = set()
    for path, text in tree.texts.items():
        if not path.endswith(".yaml"):
            continue
        target = path.split("/")[1]
        shape = HASH.sub("hash", text.replace(target, "name"))
        if shape in clean:
            continue
        problems = list(linter.run(text, config(), path))
        if not problems:
            clean.add(shape)
        for problem in problems:
            where = f"line {problem.line}, column {problem.column}"
            yield Finding(
                f"{tree.root}/{path}", "yamllint", f"{where}: {problem.desc} ({problem.rule or 'syntax'})"
            )


@cache
def config() -> YamlLintConfig:
    """What the emitter writes: sequences stand under their key, lines may be long, no document markers."""
    return YamlLintConfig(CONFIG)
