"""The ground every model stands on: nothing unknown is accepted, nothing changes after it was read."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Model(BaseModel):
    """A frozen block of the inventory. An unknown key is a fault; a field's docstring says its unit,
    its default and why, and is what editors show (the exported JSON Schema carries it)."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, use_attribute_docstrings=True, validate_default=False
    )
