"""Text formats that are not YAML: Jinja templates and plain files beside a component's code."""

from __future__ import annotations

import shlex
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined


@cache
def _environment(folder: Path) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(folder),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    # One word of a shell, however it is written, for commands that people paste.
    environment.filters["word"] = shlex.quote
    return environment


def render(module: str, name: str, **values: Any) -> str:
    """A template beside a component (`render(__file__, "haproxy.cfg.j2", plan=plan)`). An undefined name
    in it is an error."""
    return _environment(Path(module).parent).get_template(name).render(**values)


@cache
def read(module: str, name: str) -> str:
    """A file beside a component, as it is."""
    return (Path(module).parent / name).read_text(encoding="utf-8")
