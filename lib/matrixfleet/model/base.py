"""The ground every model stands on: nothing unknown is accepted, nothing changes after it was read."""

from __future__ import annotations

import ast
import inspect
import textwrap
from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler
from pydantic_core import CoreSchema


def _exact(schema: Any, top: bool = True) -> None:
    """Make numbers and booleans of a model's own fields strict; models in it have made theirs."""
    if isinstance(schema, dict):
        if schema.get("type") in ("int", "float", "bool"):
            schema["strict"] = True
        if schema.get("type") != "model" or top:
            for inner in schema.values():
                _exact(inner, top and schema.get("type") != "model")
    elif isinstance(schema, list | tuple):
        for inner in schema:
            _exact(inner, top)


class Model(BaseModel):
    """A frozen block of the inventory. An unknown key is a fault; the docstring under a field says its
    unit, its default and why."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Take numbers, true and false for what YAML says they are: "5432" and "false" in quotes are text, and true is
        no 1. pydantic's own strict mode would refuse lists and choices as YAML has them too."""
        schema = handler(source)
        _exact(schema)
        return schema


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
