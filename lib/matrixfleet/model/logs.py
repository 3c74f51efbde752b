"""Where log lines go after stdout: one agent a node, for everything that the fleet runs there."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, model_validator

from matrixfleet.model.base import Model
from matrixfleet.model.choices import Built, Logs
from matrixfleet.model.database import Certificates
from matrixfleet.model.peers import Reach
from matrixfleet.model.resources import Resources, starts_with
from matrixfleet.model.types import Generation, HttpUrl, UserName, expected


class LogStore(Model):
    """The Loki or Elasticsearch that keeps the lines, and for how long. With a user the password is the Secret
    `platform-logs-<generation>`, key `password`, which a person creates."""

    address: HttpUrl
    """Its address, without a path."""
    user: UserName | None = None
    """Of basic authentication; none unless said."""
    generation: Generation = 1
    """Of the password."""
    ca: Certificates | None = None
    """The authority that signed its certificate. Default: one that everybody trusts."""
    reach: tuple[Reach, ...] = ()
    """Where it is, unless it is on the Internet."""

    @property
    def port(self) -> int:
        """TCP."""
        address = urlsplit(self.address)
        return address.port or (443 if address.scheme == "https" else 80)

    @model_validator(mode="after")
    def _encrypted_outside(self) -> LogStore:
        if self.ca and self.address.startswith("http://"):
            raise expected("an https:// address, since ca is said", self.address)
        if self.address.startswith("http://") and (self.user or not self.reach):
            wanted = "an https:// address, since " + ("there is a user" if self.user else "no reach is said")
            raise expected(wanted, self.address, "anybody on the way would read it")
        return self


class LogCollection(Model):
    """The lines of all that the fleet runs on this cluster."""

    kind: Built[Logs] = Logs.STDOUT
    """Where they go. With stdout there is no agent: the cluster collects them, or nobody."""
    store: LogStore | None = None
    """Of loki and elasticsearch."""
    lines_per_second: int = Field(default=100, ge=1)
    """Of one Pod, at most; what it says beyond is dropped, counted and alerted. The default is at most 4 GB a
    day of lines of 500 bytes."""
    resources: Annotated[Resources, starts_with("64Mi")] = Resources(cpu="50m", memory="256Mi")
    """Of the agent on each node."""

    @model_validator(mode="after")
    def _a_store(self) -> LogCollection:
        if (self.store is None) != (self.kind is Logs.STDOUT):
            what = f"store, since kind is {self.kind}"
            raise expected(what if self.store is None else f"no {what}", "none" if self.store is None else "one")
        return self
