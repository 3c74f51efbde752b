"""Every secret a tenant has: who makes it, what is in it, who reads it. Values are never here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matrixfleet.model import Cluster, Tenant
from matrixfleet.model.choices import Secrets, SigningKey, Store, Turn
from matrixfleet.model.fleet import PLATFORM, Platform
from matrixfleet.model.stores import SecretsSpec
from matrixfleet.plan.names import secret_name

if TYPE_CHECKING:
    from matrixfleet.plan.turn import TurnServer

GIVEN = "given"
"""By a person: it exists, or the Job fails and says how to make it."""
COPIED = "copied"
"""From the first namespace, whose owner makes it; never made here."""
RANDOM = "random"
"""64 hexadecimal characters from the operating system's generator: 256 bits."""
SIGNING_KEY = "signing-key"
"""An ed25519 key as Synapse's own generator writes it."""
GIVEN = "given"
"""From outside: a person creates the Secret, and nothing goes on before it is there."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A Kubernetes Secret, made once and never overwritten, or given by a person."""

    purpose: str
    """What it is for; also the folder below /secrets where Pods see it."""
    name: str
    """The object's name, generation included."""
    keys: tuple[tuple[str, str], ...]
    """Each key and how its value is made: RANDOM, SIGNING_KEY, GIVEN or COPIED."""
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


def shared_turn_secret(
    platform: Platform, turn_namespace: str, reader: str = "", readers: tuple[str, ...] = ("turn",)
) -> Secret:
    """The platform's: it makes it where its Coturn verifies with it; the Job of a tenant that reads it, in
    the namespace `reader`, copies it."""
    assert platform.turn is not None
    return Secret(
        "turn",
        secret_name(PLATFORM, "turn", platform.turn.secret),
        (("shared_secret", COPIED if reader else RANDOM),),
        (turn_namespace, reader) if reader else (turn_namespace,),
        readers,
        ("platform", "turn", "secret"),
    )


def secrets_of(
    tenant_name: str,
    tenant: Tenant,
    cluster: Cluster,
    namespace: str,
    turn: TurnServer | None,
    shared: Secret | None,
    readers: tuple[str, ...],
) -> tuple[Secret, ...]:
    """The secrets that a tenant needs.

    readers: the components that are Synapse processes: all read one configuration
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
        secret(
            "database",
            tenant.database.credentials,
            (("password", RANDOM),),
            readers=("roles", *readers),
            rotate=("matrix", "database", "credentials"),
        ),
    ]
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
    if shared:
        found.append(shared)
    found += [
        secret(purpose, generation, ((key, GIVEN),), readers=readers, rotate=("matrix", *said, "generation"))
        for purpose, key, generation, said in given_of(tenant)
    ]
    return tuple(found)


def given_of(tenant: Tenant) -> Iterator[tuple[str, str, int, tuple[str, ...]]]:
    """What comes from outside: purpose, key, generation, and where that is said. Every one for Synapse."""
    for name, provider in tenant.auth.providers.items():
        yield f"oidc-{name}", "client_secret", provider.generation, ("auth", "providers", name)
    if tenant.email and tenant.email.user:
        yield "email", "password", tenant.email.generation, ("email",)
    for name, service in tenant.appservices.items():
        yield f"appservice-{name}", "registration.yaml", service.generation, ("appservices", name)
