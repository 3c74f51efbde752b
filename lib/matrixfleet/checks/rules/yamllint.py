"""Every compiled YAML file passes yamllint: people read the effect of a change here.

Linting is slow and tenants are alike. Files that differ in the tenant's name, in hosts and in hashes alone
are of one shape: once one of them is clean, the others are taken to be.
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
# Hosts and hashes, but no keys: two of the same are a fault.
VALUE = re.compile(r"(?:\bc[0-9a-f]{12}\b|\b[a-z0-9-]+(?:\.[a-z0-9-]+)+\b)(?![\w./-]*:(?:\s|$))")


def check(tree: Tree) -> Iterator[Finding]:
    """Each file, and of a clean shape the first alone."""
    clean: set[str] = set()
    for path, text in tree.texts.items():
        if not path.endswith(".yaml"):
            continue
        shape = VALUE.sub("value", text.replace(path.split("/")[1], "name"))
        if shape in clean:
            continue
        problems = list(linter.run(text, config(), path))
        if not problems:
            clean.add(shape)
        for problem in problems:
            where = f"line {problem.line}, column {problem.column}"
            message = f"{where}: {problem.desc} ({problem.rule or 'syntax'})"
            yield Finding(f"{tree.root}/{path}", "yamllint", message)


@cache
def config() -> YamlLintConfig:
    """What the emitter writes: sequences stand under their key, lines may be long, no document markers."""
    return YamlLintConfig(CONFIG)
