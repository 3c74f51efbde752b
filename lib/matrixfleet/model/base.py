"""The ground every model stands on: nothing unknown is accepted, nothing changes after it was read."""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """A frozen block of the inventory. An unknown key is a fault; the docstring under a field says its
    unit, its default and why."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


@cache
def descriptions(model: type[BaseModel]) -> dict[str, str]:
    """Each field's docstring, in one line.

    pydantic's use_attribute_docstrings does the same for every class at import, which is most of what
    importing the model would cost; only faults, explanations and the schema ask for it.
    """
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if base in (BaseModel, Model) or not issubclass(base, BaseModel):
            continue
        (body,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(body, ast.ClassDef)
        for statement, after in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
            ):
                found[statement.target.id] = " ".join(str(after.value.value).split())
    return found
