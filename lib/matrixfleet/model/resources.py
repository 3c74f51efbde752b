"""What a container asks for, and the numbers that count generations of secrets."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from matrixfleet.model.base import Model
from matrixfleet.model.types import Cpu, Memory, bytes_of, expected

Generation = Annotated[int, Field(ge=1, le=9999)]


class Resources(Model):
    """Requests and limits of one container. Memory is requested as it is limited, so a Pod is never the
    node's first choice to evict; CPU is not limited, since a throttled Synapse stalls everybody."""

    cpu: Cpu
    """CPU requested."""
    memory: Memory
    """Memory requested, and the limit."""


def starts_with(memory: str) -> AfterValidator:
    """A validator of resources whose program starts: with less memory its configuration would be wrong, or the kernel
    would kill it."""

    def check(resources: Resources) -> Resources:
        if bytes_of(resources.memory) < bytes_of(memory):
            raise expected(f"memory of {memory} or more", resources.memory, "with less the program does not start")
        return resources

    return AfterValidator(check)
