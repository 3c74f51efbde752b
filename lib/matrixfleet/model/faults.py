"""From pydantic's errors to sentences: what was expected, what was found, what was probably meant."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from matrixfleet.errors import did_you_mean
from matrixfleet.model.base import descriptions

_KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "model": "a mapping",
    "dict": "a mapping",
    "tuple": "a list",
}


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The model that an annotation holds, however it is wrapped (Optional, tuple, dict, Annotated)."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is not None:
        found = (_model_in(part) for part in typing.get_args(annotation))
        return next((model for model in found if model), None)
    return None


def models_below(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    """A model and all models that its fields hold."""
    yield model
    for field in model.model_fields.values():
        inner = _model_in(field.annotation)
        if inner:
            yield from models_below(inner)


def model_at(model: type[BaseModel], key: tuple[str | int, ...]) -> type[BaseModel] | None:
    """The model of the block at a key, or None where there is none."""
    current: type[BaseModel] | None = model
    named = False
    for part in key:
        if isinstance(part, int):
            continue
        if named:
            # The name of an entry: the model is its value's.
            named = False
            continue
        field = current.model_fields.get(part) if current else None
        if field is None:
            return None
        current = _model_in(field.annotation)
        named = typing.get_origin(field.annotation) is dict
    return None if named else current


def _plain_word(text: str) -> bool:
    """Whether text in quotes is a number, true or false."""
    return text in ("true", "false") or text.lstrip("-").replace(".", "", 1).isdecimal()


def _sentence(model: type[BaseModel], error: Mapping[str, Any]) -> str:
    kind, key, got = error["type"], error["loc"], error["input"]
    block = model_at(model, key[:-1])
    if kind == "extra_forbidden":
        return f"unknown key{did_you_mean(str(key[-1]), list(block.model_fields) if block else [])}"
    if kind == "missing":
        about = descriptions(block).get(str(key[-1])) if block else ""
        return "required, and nothing sets it" + (f"; {about}" if about else "")
    if kind == "expected":
        return str(error["msg"])
    if kind == "enum":
        choices = str(error["ctx"]["expected"]).replace("'", "").replace(" or ", ", ").split(", ")
        return f"expected one of {', '.join(choices)}, got {got!r}" + (
            did_you_mean(str(got), choices) if did_you_mean(str(got), choices).startswith(", did") else ""
        )
    for prefix, words in _KINDS.items():
        if kind.startswith(prefix + "_") and kind.split("_")[1] in ("type", "parsing", "from"):
            quoted = isinstance(got, str) and prefix in ("int", "float", "bool") and _plain_word(got)
            return f"expected {words}, got {got!r}" + ("; write it without quotes" if quoted else "")
    if kind in ("too_short", "string_too_short", "too_long", "string_too_long"):
        what = "characters" if isinstance(got, str) else "entries"
        bound = error["ctx"].get("min_length", error["ctx"].get("max_length"))
        return f"expected {bound} {what} or {'more' if kind.endswith('short') else 'fewer'}, got {len(got)}"
    return f"{error['msg'].replace('Input should be', 'expected')}, got {got!r}"


def sentences(model: type[BaseModel], error: ValidationError) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Each error as its key and a sentence."""
    found = error.errors(include_url=False)
    for detail in found:
        # A list whose entries are wrong is not too short as well.
        loc = detail["loc"]
        if detail["type"] == "too_short" and any(one["loc"][: len(loc)] == loc != one["loc"] for one in found):
            continue
        # A dict's key is reported as ("pods", "name", "[key]"): the entry is what a person sees.
        key = tuple(part for part in detail["loc"] if part != "[key]")
        yield key, _sentence(model, detail)
