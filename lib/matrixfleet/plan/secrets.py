"""Every secret a tenant has: who makes it, what is in it, who reads it. Values are never here."""

from __future__ import annotations

from dataclasses import dataclass

from matrixfleet.model import Cluster, Tenant
from matrixfleet.model.choices import Secrets, SigningKey, Store, Turn
from matrixfleet.model.stores import SecretsSpec
from matrixfleet.plan.names import secret_name

RANDOM = "random"
"""64 hexadecimal characters from the operating system's generator: 256 bits."""
SIGNING_KEY = "signing-key"
"""An ed25519 key as Synapse's own generator writes it."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A Kubernetes Secret, made once and never overwritten."""

    purpose: str
    """What it is for; also the folder below /secrets where Pods see it."""
    name: str
    """The object's name, generation included."""
    keys: tuple[tuple[str, str], ...]
    """Each key and how its value is made: RANDOM or SIGNING_KEY."""
    namespaces: tuple[str, ...]
    """Where it is: made in the first, where it is verified, and copied to the others."""
    readers: tuple[str, ...]
    """Components that mount it."""
    rotate: tuple[str, ...]
    """The key in the tenant's file whose generation is raised to rotate it; empty where that is no
    everyday act (the signing key)."""
    remote: str
    """What it is called in the store; "" where the cluster makes it itself."""

    @property
    def recipe(self) -> dict[str, object]:
        """An entry of bootstrap.py's list."""
        return {"name": self.name, "namespaces": self.namespaces, "keys": dict(self.keys)}

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


def secrets_of(
    tenant_name: str, tenant: Tenant, cluster: Cluster, namespace: str, turn_namespace: str
) -> tuple[Secret, ...]:
    """The secrets that a tenant needs."""
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
            readers=("synapse",),
            rotate=("matrix", "secrets"),
        ),
        secret(
            "database",
            tenant.database.credentials,
            (("password", RANDOM),),
            readers=("roles", "synapse"),
            rotate=("matrix", "database", "credentials"),
        ),
    ]
    if tenant.synapse.signing_key is SigningKey.SECRET:
        found.append(secret("signing-key", 1, (("signing.key", SIGNING_KEY),), readers=("synapse",)))
    if tenant.turn.kind is Turn.DAEMONSET:
        found.append(
            secret(
                "turn",
                tenant.turn.secret,
                (("shared_secret", RANDOM),),
                namespaces=(turn_namespace, namespace),
                readers=("turn", "synapse"),
                rotate=("matrix", "turn", "secret"),
            )
        )
        if tenant.turn.secret > 1:
            # Clients hold credentials that were signed with the one before, for up to turn_user_lifetime.
            found.append(
                secret(
                    "turn-previous",
                    tenant.turn.secret - 1,
                    (("shared_secret", RANDOM),),
                    called="turn",
                    namespaces=(turn_namespace,),
                    readers=("turn",),
                    rotate=("matrix", "turn", "secret"),
                )
            )
    return tuple(found)
