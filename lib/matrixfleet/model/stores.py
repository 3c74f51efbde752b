"""Where secrets come from on a cluster: the cluster itself, or a store outside it.

Values are never said here. Fields are those that external-secrets (its ClusterSecretStore) and the Vault Secrets
Operator cannot do without; Pods of both prove who they are by a ServiceAccount's token and hold no password.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, model_validator

from matrixfleet.model.base import Model
from matrixfleet.model.choices import Built, Secrets, Store
from matrixfleet.model.types import HttpsUrl, Name, ObjectName, Path, expected, words

Prefix = Annotated[
    str, BeforeValidator(words(r"[A-Za-z0-9]+([-/][A-Za-z0-9]+)*", "words joined by '/' or '-' (matrix/fleet)"))
]
"""The beginning of a secret's name in a store."""
Reference = Annotated[
    str, BeforeValidator(words(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?/[a-z0-9]([-.a-z0-9]*[a-z0-9])?", "namespace/name"))
]
"""An object in another namespace."""


Word = Annotated[
    str,
    BeforeValidator(
        words(r"[A-Za-z0-9]([A-Za-z0-9._:-]{0,126}[A-Za-z0-9])?", "a name (letters, digits, '-', '_', '.', ':')")
    ),
]
"""What a provider calls one of its things."""


class Account(Model):
    """A ServiceAccount that the store knows."""

    namespace: Name
    """Its namespace, as a rule external-secrets' own."""
    name: ObjectName
    """Its name."""


class VaultStore(Model):
    """HashiCorp Vault or OpenBao: a key-value engine of version 2, logged in to by the Kubernetes method."""

    server: HttpsUrl
    """Vault's address."""
    mount: Path = "secret"
    """Where the engine is mounted; the default is that of Vault's documentation."""
    auth_mount: Path = "kubernetes"
    """Where the Kubernetes login is mounted: one for each cluster."""
    role: Word
    """The login's role."""
    account: Account
    """Who logs in."""


class AwsStore(Model):
    """AWS Secrets Manager."""

    region: Annotated[str, AfterValidator(words(r"[a-z]{2}(-[a-z]+)+-\d", "a region (eu-central-1)"))]
    """Where the secrets lie."""
    account: Account
    """Annotated with the IAM role that reads them (IRSA)."""


class GcpStore(Model):
    """Google Cloud Secret Manager, by workload identity."""

    project: Word
    """The project that holds the secrets."""
    cluster_location: Word
    """The GKE cluster's region or zone."""
    cluster_name: Word
    """The GKE cluster."""
    account: Account
    """Bound to the Google service account that reads them."""


class AzureStore(Model):
    """Azure Key Vault, by workload identity."""

    vault_url: HttpsUrl
    """`https://<name>.vault.azure.net`."""
    account: Account
    """Annotated with the client and the tenant that read it."""


class KubernetesStore(Model):
    """Secrets in one namespace of a Kubernetes cluster: another one, or this one."""

    server: HttpsUrl = "https://kubernetes.default.svc"
    """Its API server."""
    ca: Reference
    """The ConfigMap, `namespace/name`, with its authority as `ca.crt`."""
    namespace: Name
    """Where the Secrets lie."""
    account: Account
    """Who may read them."""


class StoreSpec(Model):
    """A ClusterSecretStore of external-secrets. With the block of its provider the platform target makes it;
    without, the cluster has it under that name."""

    name: ObjectName
    """The ClusterSecretStore."""
    provider: Built[Store]
    """What stands behind it: it decides how a secret is called there."""
    vault: VaultStore | None = None
    """How to make it, provider vault."""
    aws: AwsStore | None = None
    """How to make it, provider aws."""
    gcp: GcpStore | None = None
    """How to make it, provider gcp."""
    azure: AzureStore | None = None
    """How to make it, provider azure."""
    kubernetes: KubernetesStore | None = None
    """How to make it, provider kubernetes."""

    @model_validator(mode="after")
    def _one_provider(self) -> StoreSpec:
        for other in Store:
            if other is not self.provider and getattr(self, other) is not None:
                raise expected(f"the block {self.provider}, as provider says", str(other), "remove one of them")
        return self


class VaultOperator(Model):
    """What the Vault Secrets Operator reads."""

    auth: Reference
    """The VaultAuth as `namespace/name`; its `allowedNamespaces` must admit the tenants' namespaces."""
    mount: Path = "secret"
    """Where the key-value engine of version 2 is mounted; the default is that of Vault's documentation."""


class SecretsSpec(Model):
    """Who makes the Secrets that Pods read. Pods look the same whoever it is."""

    kind: Built[Secrets] = Secrets.KUBERNETES
    """A Job in the cluster, external-secrets, or the Vault Secrets Operator."""
    store: StoreSpec | None = None
    """Of external-secrets."""
    vault: VaultOperator | None = None
    """Of the Vault Secrets Operator."""
    path: Prefix = "matrix-fleet"
    """What every secret's name in the store begins with, before cluster and tenant."""

    @model_validator(mode="after")
    def _a_source(self) -> SecretsSpec:
        wanted = {Secrets.EXTERNAL_SECRETS: "store", Secrets.VAULT: "vault"}.get(self.kind)
        for block in ("store", "vault"):
            there = getattr(self, block) is not None
            if there != (block == wanted):
                what = f"secrets.{block}, since secrets.kind is {self.kind}"
                raise expected(what if not there else f"no {what}", "none" if not there else "one")
        return self
