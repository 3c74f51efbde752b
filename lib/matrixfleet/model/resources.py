"""What a container asks for, and the numbers that count generations of secrets."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from matrixfleet.model.base import Model
from matrixfleet.model.types import Cpu, Memory

Generation = Annotated[int, Field(ge=1, le=9999)]


class Resources(Model):
    """Requests and limits of one container. Memory is requested as it is limited, so a Pod is never the
    node's first choice to evict; CPU is not limited, since a throttled Synapse stalls everybody."""

    cpu: Cpu
    """CPU requested."""
    memory: Memory
    """Memory requested, and the limit."""
