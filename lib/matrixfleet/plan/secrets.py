"""Every secret a tenant has: who makes it, what is in it, who reads it. Values are never here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from matrixfleet.model import Cluster, Tenant
from matrixfleet.model.alerts import Alerts
from matrixfleet.model.choices import Database, Metrics, Pooling, Secrets, SigningKey, Store, Turn
from matrixfleet.model.fleet import PLATFORM, Platform
from matrixfleet.model.logs import LogStore
from matrixfleet.model.media import S3Bucket
from matrixfleet.model.stores import SecretsSpec
from matrixfleet.plan.backup import archive_of_platform, archived_by_operator, buckets_of, clients
from matrixfleet.plan.names import secret_name
from matrixfleet.plan.probes import CANARY
from matrixfleet.plan.storage import media_keeper

if TYPE_CHECKING:
    from matrixfleet.plan.turn import TurnServer

COPIED = "copied"
"""From the first namespace, whose owner makes it; never made here."""
RANDOM = "random"
"""64 hexadecimal characters from the operating system's generator: 256 bits."""
SIGNING_KEY = "signing-key"
"""An ed25519 key as Synapse's own generator writes it."""
GIVEN = "given"
"""From outside: a person creates the Secret, and nothing goes on before it is there."""
TAKEN = "taken:"
"""And a Secret's name: the key of that one beside it, and nothing else of it."""


def fixed(value: str) -> str:
    """How a key is made that holds no secret: CloudNativePG wants the name of a role beside its password."""
    return f"fixed:{value}"


@dataclass(frozen=True, slots=True)
class Secret:
    """A Kubernetes Secret, made once and never overwritten, or given by a person."""

    purpose: str
    """What it is for; also the folder below /secrets where Pods see it."""
    name: str
    """The object's name, generation included."""
    keys: tuple[tuple[str, str], ...]
    """Each key and how its value is made: RANDOM, SIGNING_KEY, GIVEN, COPIED, TAKEN or fixed."""
    namespaces: tuple[str, ...]
    """Where it is: made in the first, where it is verified, and copied to the others."""
    readers: tuple[str, ...]
    """Components that mount it."""
    rotate: tuple[str, ...]
    """The key in the tenant's file whose generation is raised to rotate it; empty where that is no
    everyday act (the signing key)."""
    remote: str = ""
    """What it is called in the store; "" where the cluster makes it itself."""

    @property
    def recipe(self) -> dict[str, object]:
        """An entry of bootstrap.py's list."""
        return {"name": self.name, "namespaces": self.namespaces, "keys": dict(self.keys)}

    @property
    def given(self) -> bool:
        """Whether a person creates it."""
        return any(kind == GIVEN for _, kind in self.keys)

    @property
    def copied(self) -> bool:
        """Whether another target makes it."""
        return all(kind == COPIED for _, kind in self.keys)

    @property
    def lasts(self) -> str:
        """Why it is never rotated, where `rotate` is empty."""
        return LASTING[self.purpose]

    def path(self, key: str) -> str:
        """Where a Pod sees one key."""
        return f"/secrets/{self.purpose}/{key}"


def remote_key(spec: SecretsSpec, cluster: str, tenant: str, short: str) -> str:
    """What a secret is called in the store; "" where there is none.

    Google's names are letters, digits, '-' and '_', Azure's letters, digits and '-', Kubernetes' are DNS names:
    there a pair of dashes stands for the slash, and rule isolation proves that no two secrets meet."""
    if spec.kind is Secrets.KUBERNETES:
        return ""
    slashes = spec.store is None or spec.store.provider in (Store.VAULT, Store.AWS)
    whole = f"{spec.path}/{cluster}/{tenant}/{short}"
    return whole if slashes else whole.replace("/", "--")


def borrowed(secret: Secret, reader: str, readers: tuple[str, ...]) -> Secret:
    """A secret of the platform's as a tenant has it, whose Job copies it to the namespace `reader`."""
    keys = tuple((key, COPIED) for key, _ in secret.keys)
    return replace(secret, keys=keys, namespaces=(secret.namespaces[0], reader), readers=readers)


def shared_turn_secret(platform: Platform, turn_namespace: str) -> Secret:
    """The platform's: it makes it where its Coturn verifies with it."""
    assert platform.turn is not None
    return Secret(
        "turn",
        secret_name(PLATFORM, "turn", platform.turn.secret),
        (("shared_secret", RANDOM),),
        (turn_namespace,),
        ("turn",),
        ("platform", "turn", "secret"),
    )


def logs_secret(cluster: Cluster, store: LogStore, namespace: str) -> Secret:
    """The password of the logs' store."""
    name, remote = (
        secret_name(PLATFORM, "logs", store.generation),
        remote_key(cluster.secrets, cluster.name, PLATFORM, f"logs-{store.generation}"),
    )
    rotate = ("cluster", "logs", "store", "generation")
    return Secret("logs", name, (("password", GIVEN),), (namespace,), ("logs",), rotate, remote)


def archive_secrets(platform: Platform, cluster: Cluster, namespace: str) -> Iterator[Secret]:
    """The keys to the bucket of the platform's PostgreSQL."""
    if archive := archive_of_platform(platform, cluster.name):
        rotate = ("platform", "postgresql", "archive", "bucket", "generation")
        remote = remote_key(cluster.secrets, cluster.name, PLATFORM, f"backup-{archive.bucket.generation}")
        keys = tuple((key, GIVEN) for key in keys_of_barman(archive.bucket))
        yield Secret("backup", archive.secret, keys, (namespace,), (), rotate, remote)


AUTHORITY = "ca.crt"
"""The authority of a bucket's server, where Barman Cloud reads it (`endpointCA` of its ObjectStore)."""


def keys_of_barman(bucket: S3Bucket) -> tuple[str, ...]:
    """What Barman Cloud reads, no file of the AWS tools."""
    return ("access_key_id", "secret_access_key", *((AUTHORITY,) if bucket.ca else ()))


def alert_secrets(
    alerts: Alerts, cluster: Cluster, owner: str, namespace: str, said: tuple[str, ...]
) -> Iterator[Secret]:
    """Addresses of receivers, which Alertmanager's operator reads; none where there is no operator.

    said: where the owner's file says them
    """
    if cluster.metrics is not Metrics.PROMETHEUS_OPERATOR:
        return
    ways = {"slack": alerts.slack, "webhook": alerts.webhook}
    for way, spec in ways.items():
        if spec:
            short = f"alerts-{way}-{spec.generation}"
            yield Secret(
                f"alerts-{way}",
                secret_name(owner, f"alerts-{way}", spec.generation),
                (("url", GIVEN),),
                (namespace,),
                (),
                (*said, way, "generation"),
                remote_key(cluster.secrets, cluster.name, owner, short),
            )


def secrets_of(
    tenant_name: str,
    tenant: Tenant,
    cluster: Cluster,
    namespace: str,
    turn: TurnServer | None,
    shared: tuple[Secret, ...],
    readers: tuple[str, ...],
    login: Callable[[int], str],
) -> tuple[Secret, ...]:
    """The secrets that a tenant needs.

    shared: those of the platform's that it copies
    readers: the components that are Synapse processes: all read one configuration
    login: the database role of a generation
    """
    spec = cluster.secrets

    def secret(
        purpose: str, generation: int, keys: tuple[tuple[str, str], ...], called: str = "", **rest: tuple[str, ...]
    ) -> Secret:
        namespaces = rest.get("namespaces", (namespace,))
        short = f"{called or purpose}-{generation}"
        name = secret_name(tenant_name, called or purpose, generation)
        remote = remote_key(spec, cluster.name, tenant_name, short)
        return Secret(purpose, name, keys, namespaces, rest["readers"], rest.get("rotate", ()), remote)

    found = [
        secret(
            "synapse",
            tenant.secrets,
            (
                ("macaroon_secret_key", RANDOM),
                ("form_secret", RANDOM),
                ("registration_shared_secret", RANDOM),
            ),
            readers=readers,
            rotate=("matrix", "secrets"),
        ),
    ]
    if tenant.database.kind is not Database.SHARED:
        generation, pooled = tenant.database.credentials, tenant.database.pooling is Pooling.PGBOUNCER
        for one in range(max(1, generation - 1), generation + 1):
            keys: tuple[tuple[str, str], ...] = (("password", RANDOM),)
            mine: tuple[str, ...] = ("roles", *(("pgbouncer",) if pooled else ()), *readers)
            if tenant.database.kind is Database.CNPG:
                keys, mine = (("username", fixed(login(one))), *keys), ("postgresql", "roles", *readers)
            elif tenant.database.kind is Database.EXTERNAL:
                keys, mine = (("password", GIVEN),), mine[1:]
            current = one == generation
            if (
                not current
                and tenant.database.kind is not Database.CNPG
                and (not pooled or tenant.database.kind is Database.EXTERNAL)
            ):
                # The server itself remembers.
                continue
            found.append(
                secret(
                    "database" if current else "database-previous",
                    one,
                    keys,
                    called="database",
                    readers=(*mine, *clients(tenant)) if current else ("pgbouncer",),
                    rotate=("matrix", "database", "credentials"),
                )
            )
    own = tenant.database.kind in (Database.STATEFULSET, Database.EXTERNAL)
    if tenant.database.pooling is Pooling.PGBOUNCER and own and cluster.metrics is not Metrics.NONE:
        found.append(secret("pgbouncer", 1, (("password", RANDOM),), readers=("pgbouncer",)))
    if tenant.synapse.signing_key is SigningKey.SECRET:
        found.append(secret("signing-key", 1, (("signing.key", SIGNING_KEY),), readers=readers))
    if tenant.workers.any:
        found.append(
            secret(
                "workers",
                tenant.redis.password,
                (("redis_password", RANDOM), ("replication_secret", RANDOM)),
                readers=("redis", *readers),
                rotate=("matrix", "redis", "password"),
            )
        )
    if turn or tenant.turn.kind is Turn.EXTERNAL:
        found.append(
            secret(
                "turn",
                tenant.turn.secret,
                (("shared_secret", RANDOM if turn else GIVEN),),
                namespaces=(turn.namespace, namespace) if turn and turn.namespace != namespace else (namespace,),
                readers=("turn", *readers) if turn else readers,
                rotate=("matrix", "turn", "secret"),
            )
        )
        if turn and tenant.turn.secret > 1:
            # Clients hold credentials that were signed with the one before, for up to turn_user_lifetime.
            found.append(
                secret(
                    "turn-previous",
                    tenant.turn.secret - 1,
                    (("shared_secret", RANDOM),),
                    called="turn",
                    namespaces=(turn.namespace,),
                    readers=("turn",),
                    rotate=("matrix", "turn", "secret"),
                )
            )
    found += shared
    found += [
        secret(
            purpose,
            generation,
            tuple((key, GIVEN) for key in keys),
            readers=readers,
            rotate=("matrix", *said, "generation"),
        )
        for purpose, keys, generation, said in given_of(tenant)
    ]
    if tenant.probes.canary:
        found.append(secret(CANARY, 1, (("password", RANDOM),), readers=(CANARY,)))
    if tenant.alerts:
        found += alert_secrets(tenant.alerts, cluster, tenant_name, namespace, ("matrix", "alerts"))
    if bucket := tenant.media.s3:
        keys, rotate = (("credentials", GIVEN),), ("matrix", "media", "s3", "generation")
        copies = (name for name, reached in buckets_of(tenant).items() if bucket in reached)
        found.append(secret("media", bucket.generation, keys, readers=(media_keeper(tenant), *copies), rotate=rotate))
    if tenant.backup.bucket and tenant.backup.second:
        buckets = buckets_of(tenant)
        holders = tuple(buckets)
        kept = tenant.backup.bucket, tenant.backup.second
        found.append(secret("backup-key", 1, (("passphrase", RANDOM),), readers=holders))
        for purpose, place, said in zip(("backup", "backup-second"), kept, ("bucket", "second"), strict=True):
            mine = tuple(name for name, reached in buckets.items() if place in reached)
            rotate = ("matrix", "backup", said, "generation")
            keys = (("credentials", GIVEN),)
            if said == "bucket" and archived_by_operator(tenant):
                keys = (*keys, *((key, GIVEN) for key in keys_of_barman(place)))
            found.append(secret(purpose, place.generation, keys, readers=mine, rotate=rotate))
    if tenant.follows(cluster.name):
        found = [brought(one) if one.purpose in CARRIED else one for one in found]
    return tuple(found)


LASTING = {
    "signing-key": "it is the server's identity",
    "backup-key": "what is backed up is read with it",
    "pgbouncer": "it opens PgBouncer's own numbers alone",
    "database-ca": "it is the authority's certificate, and no secret",
    CANARY: "it opens the account of the canary alone",
}
"""Purposes of what is never rotated, and why."""
CARRIED = ("synapse", "signing-key", "backup-key")
"""Purposes of what is the homeserver's, whichever cluster it runs on."""


def brought(secret: Secret) -> Secret:
    """A secret as a standby has it: from the cluster that is active, and never made here. Another signing key would be
    another server."""
    return replace(secret, keys=tuple((key, GIVEN) for key, _ in secret.keys))


def given_of(tenant: Tenant) -> Iterator[tuple[str, tuple[str, ...], int, tuple[str, ...]]]:
    """What comes from outside: purpose, keys, generation, and where that is said. Every one for Synapse."""
    for name, provider in tenant.auth.providers.items():
        yield f"oidc-{name}", ("client_secret",), provider.generation, ("auth", "providers", name)
    if tenant.email and tenant.email.user:
        yield "email", ("password",), tenant.email.generation, ("email",)
    for name, service in tenant.appservices.items():
        yield f"appservice-{name}", ("registration.yaml",), service.generation, ("appservices", name)
    for index, module in enumerate(tenant.modules):
        if module.secrets:
            yield f"module-{module.id}", module.secrets, module.generation, ("modules", str(index))
