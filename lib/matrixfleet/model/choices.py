"""Every choice of the architecture, and which of them compile today.

A choice that is not built yet is part of the vocabulary and is refused by name: never silently
ignored, never half done. `BUILT` is the only list of what is built.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, TypeVar

from pydantic import AfterValidator

from matrixfleet.model.types import expected


class Pattern(StrEnum):
    """How a homeserver is laid out on the cluster."""

    SINGLE_TENANT = "single-tenant"
    MULTI_TENANT = "multi-tenant"
    HIGH_AVAILABILITY = "high-availability"


class Database(StrEnum):
    """Where Synapse's PostgreSQL comes from."""

    STATEFULSET = "statefulset"
    CNPG = "cnpg"
    EXTERNAL = "external"
    SHARED = "shared"


class Pooling(StrEnum):
    """What stands between Synapse and PostgreSQL."""

    NONE = "none"
    PGBOUNCER = "pgbouncer"


class Edge(StrEnum):
    """What brings HTTPS from outside into the cluster. `nginx` is F5's NGINX Ingress Controller, `haproxy`
    is HAProxy Ingress, `ingress-nginx` was archived by Kubernetes in March 2026."""

    TRAEFIK = "traefik"
    GATEWAY_API = "gateway-api"
    ISTIO = "istio"
    NGINX = "nginx"
    INGRESS_NGINX = "ingress-nginx"
    HAPROXY = "haproxy"
    AWS_ALB = "aws-alb"
    GKE = "gke"
    AZURE_AGIC = "azure-agic"


class Cni(StrEnum):
    """Who enforces NetworkPolicies; docs/network-policies.md says how they differ. `other` asks a policy after Services
    are translated and lets ipBlock hold nodes, as Calico and kube-router do."""

    CALICO = "calico"
    CILIUM = "cilium"
    GKE_DATAPLANE_V2 = "gke-dataplane-v2"
    AWS_VPC_CNI = "aws-vpc-cni"
    ANTREA = "antrea"
    OTHER = "other"


class IpFamily(StrEnum):
    """Addresses that Pods and Services of a cluster have; `dual` has both."""

    IPV4 = "ipv4"
    IPV6 = "ipv6"
    DUAL = "dual"


class Secrets(StrEnum):
    """Who makes the Secrets that Pods read."""

    KUBERNETES = "kubernetes"
    EXTERNAL_SECRETS = "external-secrets"
    VAULT = "vault"


class Store(StrEnum):
    """What stands behind a ClusterSecretStore of external-secrets."""

    VAULT = "vault"
    AWS = "aws"
    GCP = "gcp"
    AZURE = "azure"
    KUBERNETES = "kubernetes"


class Turn(StrEnum):
    """Where voice and video calls find their relay."""

    DAEMONSET = "daemonset"
    DEPLOYMENT = "deployment"
    SHARED = "shared"
    EXTERNAL = "external"
    NONE = "none"


class Media(StrEnum):
    """Where uploaded media lies: on a volume that one Pod mounts, or in a bucket that speaks S3."""

    PVC = "pvc"
    S3 = "s3"


class Mesh(StrEnum):
    """Which service mesh the cluster has."""

    NONE = "none"
    ISTIO = "istio"


class Metrics(StrEnum):
    """How Prometheus learns what to scrape."""

    PROMETHEUS_OPERATOR = "prometheus-operator"
    ANNOTATIONS = "annotations"
    NONE = "none"


class Logs(StrEnum):
    """Where log lines go after stdout."""

    STDOUT = "stdout"
    LOKI = "loki"
    ELASTICSEARCH = "elasticsearch"


class Tracing(StrEnum):
    """Where Synapse's spans go. It speaks Jaeger's own protocol to an agent, over UDP, and no OTLP; OpenTelemetry's
    collector takes that (receiver `jaeger`, protocol `thrift_compact`)."""

    NONE = "none"
    JAEGER = "jaeger"


class Auth(StrEnum):
    """How people prove who they are."""

    PASSWORD = "password"
    OIDC = "oidc"


class Provider(StrEnum):
    """Which OpenID provider it is: what a preset knows of it need not be said."""

    KEYCLOAK = "keycloak"
    ENTRA = "entra"
    GOOGLE = "google"
    GITHUB = "github"
    AUTHENTIK = "authentik"
    GENERIC = "generic"


class MailSecurity(StrEnum):
    """How the way to the mail server is encrypted: upgraded and refused without, from the first byte, or
    not at all."""

    STARTTLS = "starttls"
    IMPLICIT = "implicit"
    NONE = "none"


class Calls(StrEnum):
    """Which technique carries calls."""

    LEGACY = "legacy"


class Backup(StrEnum):
    """What is kept of a tenant's data outside its cluster."""

    NONE = "none"
    DUMPS = "dumps"
    POINT_IN_TIME = "point-in-time"


class Archiver(StrEnum):
    """What archives the bundled PostgreSQL's log. WAL-G is compiled to its documentation; pgBackRest is run in every
    drill."""

    PGBACKREST = "pgbackrest"
    WAL_G = "wal-g"


class RestoreFrom(StrEnum):
    """What a restore starts from: the archive, to any moment in it, or a dump."""

    ARCHIVE = "archive"
    DUMP = "dump"


class State(StrEnum):
    """Whether Synapse runs. `stopped` keeps everything but scales every Synapse process to nothing: the
    one way to restore, reshard or move a tenant while Argo CD heals what it sees, and the first of the
    two steps that remove a tenant."""

    RUNNING = "running"
    STOPPED = "stopped"


class SigningKey(StrEnum):
    """Where Synapse reads its signing key: a Secret, or a small encrypted volume of its own."""

    SECRET = "secret"
    VOLUME = "volume"


class Provision(StrEnum):
    """Whether the platform target installs an operator, or the cluster has it already."""

    EXISTING = "existing"
    MANAGED = "managed"


BUILT: dict[type[StrEnum], frozenset[StrEnum]] = {
    Pattern: frozenset(Pattern),
    Database: frozenset(Database),
    Pooling: frozenset(Pooling),
    Edge: frozenset(Edge),
    Secrets: frozenset(Secrets),
    Store: frozenset(Store),
    Turn: frozenset(Turn),
    Media: frozenset(Media),
    Mesh: frozenset(Mesh),
    Metrics: frozenset({Metrics.PROMETHEUS_OPERATOR, Metrics.ANNOTATIONS, Metrics.NONE}),
    Logs: frozenset(Logs),
    Tracing: frozenset(Tracing),
    Auth: frozenset(Auth),
    Provider: frozenset(Provider),
    MailSecurity: frozenset(MailSecurity),
    Calls: frozenset(Calls),
    Backup: frozenset(Backup),
    Archiver: frozenset(Archiver),
    RestoreFrom: frozenset(RestoreFrom),
    State: frozenset(State),
    SigningKey: frozenset(SigningKey),
    Provision: frozenset(Provision),
    Cni: frozenset(Cni),
    IpFamily: frozenset(IpFamily),
}

_C = TypeVar("_C", bound=StrEnum)


def _refuse_unbuilt(value: _C) -> _C:
    built = BUILT[type(value)]
    if value not in built:
        today = ", ".join(choice for choice in type(value) if choice in built)
        raise expected("a choice that is built", str(value), f"not built yet; today: {today}")
    return value


Built = Annotated[_C, AfterValidator(_refuse_unbuilt)]
"""`Built[Edge]`: an Edge that compiles today."""
