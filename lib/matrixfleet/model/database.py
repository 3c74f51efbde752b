"""PostgreSQL: a tenant's own, the platform's, or somebody else's; and what stands before it."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from matrixfleet.model.base import Model
from matrixfleet.model.choices import Built, Database, Pooling
from matrixfleet.model.peers import Peer
from matrixfleet.model.resources import Generation, Resources, starts_with
from matrixfleet.model.types import Host, Memory, Port, at_least, expected, words

Identifier = Annotated[
    str, BeforeValidator(words(r"[a-z_][a-z0-9_]{0,62}", "a name of PostgreSQL's that needs no quotes (synapse)"))
]
"""A role or a database."""
_BEGIN, _END = "-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----"


_PEM = re.compile(rf"({_BEGIN}\n([A-Za-z0-9+/=]{{1,76}}\n)+{_END}\n+)+")


def _certificates(text: str) -> str:
    if not _PEM.fullmatch(text.strip() + "\n"):
        raise expected(f"certificates in PEM ({_BEGIN} ...)", text[:40])
    return text.strip() + "\n"


Certificates = Annotated[str, AfterValidator(_certificates)]
"""One or more certificates in PEM: public, and so said in the inventory."""


class PgBouncer(Model):
    """PgBouncer, in session mode: Synapse keeps state in its sessions, and no other mode is safe for it."""

    replicas: int = Field(default=1, ge=1, le=10)
    """How many; two or more outlive a node."""
    resources: Annotated[Resources, starts_with("16Mi")] = Resources(cpu="50m", memory="64Mi")
    """Of one."""


class ExternalDatabase(Model):
    """A PostgreSQL that somebody else runs: UTF8, collation and ctype C, or Synapse refuses it. It is reached
    over TLS alone, its certificate verified against its own authority and its name."""

    host: Host
    """Its name, as its certificate has it."""
    port: Port = 5432
    """Its port."""
    name: Identifier = "synapse"
    """The database."""
    user: Identifier = "synapse"
    """Whom Synapse logs in as; the password is given (docs/secrets.md). For a rotation without a gap name
    another role, a member of the same owner, together with the new generation."""
    ca: Certificates
    """The authority that signed its certificate. Providers publish theirs."""
    reach: tuple[Peer, ...] = ()
    """Where it is, as NetworkPolicies see it: networks or Pods. Empty means on the Internet."""


class Server(Model):
    """What one PostgreSQL server, or each instance of a cluster of them, may use."""

    resources: Annotated[Resources, starts_with("256Mi")]
    """Of one server."""
    storage: Annotated[Memory, at_least("1Gi")] = "20Gi"
    """Its volume. May grow where the storage class allows it, never shrink."""
    instances: int = Field(default=3, ge=1, le=9)
    """Of CloudNativePG: a primary, and the others replicas that can take over. A single one fails over to
    nothing."""
    max_connections: int = Field(default=100, ge=20, le=2000)
    """`max_connections`. The connection budget must fit."""
    pooling: Built[Pooling] = Pooling.NONE
    """What stands before it."""
    pgbouncer: PgBouncer = PgBouncer()
    """Of pooling pgbouncer: a Pooler of CloudNativePG where that runs the server, else a Deployment."""

    @model_validator(mode="after")
    def _a_pooler_is_wanted(self) -> Server:
        if "pgbouncer" in self.model_fields_set and self.pooling is not Pooling.PGBOUNCER:
            raise expected("pooling: pgbouncer, since pgbouncer is said", str(self.pooling))
        return self


class DatabaseSpec(Server):
    """PostgreSQL."""

    kind: Built[Database] = Database.STATEFULSET
    """Where it comes from. Of `external` and `shared`, resources, storage and instances are other people's to
    say; max_connections is what the server grants this tenant."""
    credentials: Generation = 1
    """Generation of the role's password. The one before opens the database too until this is raised again."""
    external: ExternalDatabase | None = None
    """Of kind external, required."""

    @model_validator(mode="after")
    def _keys_of_this_kind(self) -> DatabaseSpec:
        if (self.external is not None) != (self.kind is Database.EXTERNAL):
            wanted = "external, since kind is external" if self.external is None else "kind: external"
            raise expected(wanted, "none" if self.external is None else str(self.kind))
        if "instances" in self.model_fields_set and self.kind is not Database.CNPG:
            raise expected("kind: cnpg, since instances is said", str(self.kind))
        if self.kind is Database.SHARED and "pgbouncer" in self.model_fields_set:
            raise expected("no pgbouncer, since the shared server's is the platform's", "one")
        return self
