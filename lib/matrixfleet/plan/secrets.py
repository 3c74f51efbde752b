"""Every secret a tenant has: who makes it, what is in it, who reads it. Values are never here."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from matrixfleet.model import Tenant
from matrixfleet.model.choices import SigningKey, Turn
from matrixfleet.plan.names import secret_name

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
    """Each key and how its value is made: RANDOM, SIGNING_KEY or GIVEN."""
    namespaces: tuple[str, ...]
    """Where it is: made in the first, where it is verified, and copied to the others."""
    readers: tuple[str, ...]
    """Components that mount it."""
    rotate: tuple[str, ...]
    """The key in the tenant's file whose generation is raised to rotate it; empty where that is no
    everyday act (the signing key)."""

    @property
    def given(self) -> bool:
        """Whether a person creates it."""
        return any(kind == GIVEN for _, kind in self.keys)

    def path(self, key: str) -> str:
        """Where a Pod sees one key."""
        return f"/secrets/{self.purpose}/{key}"


def secrets_of(
    tenant_name: str, tenant: Tenant, namespace: str, turn_namespace: str, readers: tuple[str, ...]
) -> tuple[Secret, ...]:
    """The secrets that a tenant needs.

    readers: the components that are Synapse processes: all read one configuration
    """

    def secret(purpose: str, generation: int, keys: tuple[tuple[str, str], ...], **rest: tuple[str, ...]) -> Secret:
        namespaces = rest.get("namespaces", (namespace,))
        name = secret_name(tenant_name, purpose, generation)
        return Secret(purpose, name, keys, namespaces, rest["readers"], rest.get("rotate", ()))

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
            readers=("postgresql", *readers),
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
    if tenant.turn.kind is Turn.DAEMONSET:
        found.append(
            secret(
                "turn",
                tenant.turn.secret,
                (("shared_secret", RANDOM),),
                namespaces=(turn_namespace, namespace),
                readers=("turn", *readers),
                rotate=("matrix", "turn", "secret"),
            )
        )
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
