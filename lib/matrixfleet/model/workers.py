"""Synapse's workers: how many of which, and which of them may scale by themselves."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, Field, field_validator, model_validator

from matrixfleet.model.base import Model
from matrixfleet.model.types import Cpu, Memory, Name, at_least, expected


class WorkerResources(Model):
    """Requests and limits of one worker."""

    cpu: Cpu = "250m"
    """CPU requested."""
    memory: Annotated[Memory, at_least("256Mi", "an idle process of Synapse takes 250Mi")] = "1Gi"
    """Memory requested, and the limit."""


class Autoscale(Model):
    """A HorizontalPodAutoscaler by CPU."""

    max_replicas: int = Field(ge=2, le=50)
    """The most there may be; the connection budget counts these."""
    cpu_percent: int = Field(default=70, ge=20, le=95)
    """The average use of requested CPU that it aims at."""


class Named(Model):
    """Workers that others know by name: shared configuration lists them, or requests of one user, room or
    server must keep coming to the same one. Their number changes with `state: stopped` alone."""

    replicas: int = Field(default=1, ge=0, le=20)
    """How many; 0 leaves the duty to the main process."""
    resources: WorkerResources = WorkerResources()
    """Of each."""
    autoscale: None = None
    """Never: see the message."""

    @field_validator("autoscale", mode="before")
    @classmethod
    def _no_autoscale(cls, value: Any) -> None:
        if value is not None:
            raise expected(
                "no autoscale of a named worker",
                value,
                "others know it by name, so its number changes with every process stopped;"
                " client_reader and federation_reader may scale",
            )


class Stateless(Model):
    """Workers that nobody knows by name: any of them answers any request. The only ones that may scale by
    themselves."""

    replicas: int = Field(default=0, ge=0, le=50)
    """How many; with autoscale the least there are."""
    resources: WorkerResources = WorkerResources()
    """Of each."""
    autoscale: Autoscale | None = None
    """Scale by CPU."""

    @model_validator(mode="after")
    def _room_to_scale(self) -> Stateless:
        if self.autoscale and self.autoscale.max_replicas <= max(self.replicas, 1):
            raise expected(
                f"autoscale.max_replicas above replicas ({max(self.replicas, 1)})", self.autoscale.max_replicas
            )
        return self


class Stream(StrEnum):
    """Streams that have one writer (docs/workers.md, Stream writers; synapse/config/workers.py)."""

    TYPING = "typing"
    TO_DEVICE = "to_device"
    ACCOUNT_DATA = "account_data"
    PRESENCE = "presence"
    PUSH_RULES = "push_rules"
    RECEIPTS = "receipts"
    DEVICE_LISTS = "device_lists"


def _writer_name(value: str) -> str:
    if len(value) > 10:
        raise expected("a stream writer's name of 10 characters or fewer", value, "objects are <tenant>-writer-<name>")
    return value


WriterName = Annotated[Name, AfterValidator(_writer_name)]


class StreamWriter(Model):
    """One process that writes some streams."""

    streams: tuple[Stream, ...] = Field(min_length=1)
    """Which. A stream has one writer."""
    resources: WorkerResources = WorkerResources()
    """Of it."""


class Workers(Model):
    """Processes beside main. With none of them there is no Redis either."""

    generic: Named = Named(replicas=0)
    """Carries the traffic: sync by user, sending by room, federation by server, reads."""
    client_reader: Stateless = Stateless()
    """Takes the client reads from the generic workers."""
    federation_reader: Stateless = Stateless()
    """Takes the federation reads from the generic workers."""
    event_persister: Named = Named(replicas=0)
    """Writes events, sharded by room."""
    stream_writers: dict[WriterName, StreamWriter] = Field(default_factory=dict)
    """Writers of the other streams, each process by a name of its own ("ephemeral")."""
    federation_sender: Named = Named(replicas=0)
    """Sends to other servers, sharded by destination."""
    pusher: Named = Named(replicas=0)
    """Sends push notifications, sharded by user."""
    media_repository: Named = Named(replicas=0)
    """Takes media from main. One where media is on a volume, since that is mounted by one Pod; any number where
    it is in a bucket."""
    background: Named = Named(replicas=0)
    """Background tasks, the user directory, application services: one process."""

    @model_validator(mode="after")
    def _one_writer_a_stream(self) -> Workers:
        written = [stream for writer in self.stream_writers.values() for stream in writer.streams]
        twice = sorted({stream for stream in written if written.count(stream) > 1})
        if twice:
            raise expected(f"one writer for {', '.join(twice)}", "several")
        if self.background.replicas > 1:
            raise expected("workers.background.replicas of 0 or 1", self.background.replicas)
        return self

    @property
    def any(self) -> bool:
        """Whether there is a process beside main."""
        pools = (getattr(self, name) for name in Workers.model_fields if name != "stream_writers")
        return bool(self.stream_writers) or any(pool.replicas or pool.autoscale for pool in pools)
