"""What is true of one cluster: said once in its class, read by every target on it.

Nothing here has a default that opens a network: who may come in, and what "outside" means, is named.
"""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from matrixfleet.model.base import Model
from matrixfleet.model.choices import Built, Cni, Edge, IpFamily, Mesh, Metrics, Provision, Tracing
from matrixfleet.model.logs import LogCollection
from matrixfleet.model.networks import LOOPBACK, METADATA, ClientNetworks, is_internet, overlaps
from matrixfleet.model.peers import Peer, Reach
from matrixfleet.model.release import Tag
from matrixfleet.model.resources import Resources, starts_with
from matrixfleet.model.stores import SecretsSpec
from matrixfleet.model.tenants import TenantPolicy
from matrixfleet.model.types import (
    Address,
    CertificateArn,
    Cidr,
    Email,
    Host,
    HttpsUrl,
    LabelKey,
    LabelValue,
    Line,
    Memory,
    Name,
    ObjectName,
    Owner,
    Plain,
    Port,
    at_least,
    expected,
    words,
)

Revision = Annotated[
    str,
    BeforeValidator(
        words(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._/-]{0,199}", "a branch, a tag or a commit of git (refs/heads/main)")
    ),
]
"""What git calls a moment of a repository."""
Driver = Annotated[
    str, BeforeValidator(words(r"[a-z0-9][a-z0-9.-]{0,62}(/[a-z0-9.-]{1,63})?", "a CSI driver (ebs.csi.aws.com)"))
]
"""The name of a CSI driver."""
Parameter = Annotated[str, BeforeValidator(words(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,127}", "the name of a parameter"))]
"""What a driver calls one of its parameters."""
PriorityName = Annotated[
    ObjectName, AfterValidator(words(r"(?!system-).*", "a name without system-, Kubernetes's own"))
]
"""A PriorityClass."""
Priority = Annotated[int, Field(ge=-(2**31), le=1_000_000_000)]
"""Kubernetes keeps higher numbers for itself."""
IN_CLUSTER = "https://kubernetes.default.svc"
"""The API server as an Argo CD knows the cluster that it runs in itself."""


class ArgoCD(Model):
    """The Argo CD that syncs this cluster, in it or on a hub."""

    namespace: Name = "argocd"
    """The namespace of Argo CD, where AppProjects and Applications live."""
    server: HttpsUrl = IN_CLUSTER
    """The API server as that Argo CD knows it. The default is the cluster that Argo CD runs in; a hub
    names the registered cluster."""
    repository: HttpsUrl
    """This repository, as Argo CD clones it."""
    revision: Revision = "refs/heads/main"
    """What is synced, fully qualified: a short name costs Argo CD a look-up of branches and tags."""


class GatewayRef(Model):
    """A Gateway that the cluster has: its owner says ports, certificates and addresses, tenants attach to it."""

    namespace: Name
    """Its namespace."""
    name: ObjectName
    """The Gateway. Its listeners must admit HTTPRoutes of the tenants' namespaces (`allowedRoutes`)."""
    http_listener: ObjectName = "http"
    """The listener on port 80: it redirects."""
    https_listeners: tuple[ObjectName, ...] = Field(default=("https",), min_length=1)
    """The listeners that serve; one on port 8448 among them, where there is one."""


def _known(peers: tuple[Peer, ...]) -> tuple[Peer, ...]:
    """Refuse the Internet, whole or in pieces."""
    networks = [network for peer in peers for network in peer.cidrs]
    if is_internet(networks):
        hint = "whoever connects to a router directly writes its own X-Forwarded-For; name the load balancer's networks"
        raise expected("networks of the edge alone", ", ".join(networks), hint)
    return peers


def _known_one(peer: Peer | None) -> Peer | None:
    """Refuse the Internet, whole or in pieces."""
    if peer and is_internet(peer.cidrs):
        raise expected("networks of monitoring alone", ", ".join(peer.cidrs), "metrics name rooms' sizes and servers")
    return peer


def _balancers(networks: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse what is more than a balancer, and what no balancer has."""
    for network in networks:
        if ip_network(network).prefixlen < (64 if ":" in network else 24):
            raise expected("addresses of the edge: a /24 of IPv4 and a /64 of IPv6 at most", network)
        for special in (*METADATA, *LOOPBACK):
            if overlaps(network, special):
                raise expected("addresses of the edge", network, f"{special} is nobody's balancer")
    return networks


class EdgeSpec(Model):
    """The way in: which controller, and who stands before the tenant's router. docs/edges.md compares them."""

    controller: Built[Edge] = Edge.TRAEFIK
    """The kind of edge."""
    class_name: ObjectName = "traefik"
    """The IngressClass; the GatewayClass where controller is gateway-api. Every other controller than
    traefik must be told it, but for istio, which has none."""
    peers: Annotated[tuple[Peer, ...], Field(min_length=1), AfterValidator(_known)]
    """Where the edge's connections come from. Only these reach a router or Element Web, and their word on a client's
    address is believed (`trusted_hops`), so the Internet is refused. A load balancer of a cloud is no Pod: its
    networks, and those of its health checks."""
    pod_ports: tuple[Port, ...] = ()
    """Ports on which the Pods among `peers` serve HTTPS (Traefik's chart: 8443). What tenants open to public names
    ends there where the cluster itself serves the name. Default: every TCP port of them. Set it to keep tenants
    from the edge's other ports, its metrics and its own API."""
    addresses: Annotated[tuple[Cidr, ...], AfterValidator(_balancers)] = ()
    """Addresses that public names of this cluster resolve to from inside, where they are private or nodes': of an
    internal balancer, MetalLB's pool, split DNS. Synapse otherwise refuses them as destinations, and the cluster's
    tenants cannot federate. Default: none, which is right for a balancer with public addresses. Whatever answers there
    can be named in URL previews, so nothing else should."""
    trusted_hops: int = Field(default=1, ge=1, le=5)
    """How many proxies append to X-Forwarded-For before the router sees it: 1 for the edge alone, 2 with
    an HTTP load balancer before it. The client's address is that many entries from the right; whatever
    stands further left was written by the client and is not believed. Google's load balancers append two
    entries, the client's address and their own: 2 or more with gke."""
    federation_on_8448: bool = False
    """Whether the edge serves the same on port 8448 too, for servers that neither read
    /.well-known/matrix/server nor an SRV record. 443 stays; .well-known goes on to name it."""
    http_entrypoint: Name = "web"
    """Traefik's entry point for port 80."""
    https_entrypoint: Name = "websecure"
    """Traefik's entry point for port 443."""
    federation_entrypoint: Name = "federation"
    """Traefik's entry point for port 8448."""
    gateway: GatewayRef | None = None
    """A Gateway that all tenants share, with its owner's certificates; with controller istio one of Istio's own
    kind (networking.istio.io), whose listeners are not named here. Without, each tenant has a Gateway of
    its own: a tenant's listeners in a shared one would be a change to somebody else's object."""
    envoy_gateway: bool = False
    """gateway-api: whether Envoy Gateway implements the class. It decodes `%2F` in paths, which breaks some
    aliases, unless a ClientTrafficPolicy says otherwise: each tenant's own Gateway gets one. A shared
    `gateway` is its owner's to set."""
    ssl_policy: Name | None = None
    """gke: the SSL policy of Google Cloud that load balancers use; you make it (`gcloud compute ssl-policies create`).
    Default: none, so that they speak TLS 1.0 too, and `compile` warns."""
    load_balancer_group: Name | None = None
    """aws-alb: the load balancer that all tenants share (IngressGroup); needs certificate_arns. Default: each tenant
    has its own. A balancer has 100 rules and 25 certificates unless AWS raises them, so about 30 tenants; everybody who
    may write an Ingress in the cluster can join a group."""
    certificate_arns: tuple[CertificateArn, ...] = ()
    """aws-alb: certificates of AWS Certificate Manager; a load balancer there reads no Secrets."""
    certificate_discovery: bool = False
    """aws-alb: instead of certificate_arns, the controller looks in AWS Certificate Manager for a certificate
    of each host."""
    source_ranges: ClientNetworks = ()
    """aws-alb: the networks that may connect; everybody unless said. Elsewhere the load balancer is the
    controller's Service (`loadBalancerSourceRanges`) or the cloud's own firewall."""

    @model_validator(mode="after")
    def _the_class_is_the_controllers(self) -> EdgeSpec:
        if self.controller not in (Edge.TRAEFIK, Edge.ISTIO) and "class_name" not in self.model_fields_set:
            raise expected(f"class_name, since controller is {self.controller}", "none")
        return self

    @model_validator(mode="after")
    def _keys_of_this_controller(self) -> EdgeSpec:
        for key, owner in _OF_ONE_CONTROLLER.items():
            if self.controller is not owner and key in self.model_fields_set:
                raise expected(f"controller: {owner}, since {key} is said", str(self.controller))
        return self

    @model_validator(mode="after")
    def _gateways_are_named(self) -> EdgeSpec:
        if self.gateway and self.controller not in (Edge.GATEWAY_API, Edge.ISTIO):
            raise expected("controller: gateway-api or istio, since gateway is said", str(self.controller))
        if self.gateway and self.envoy_gateway:
            hint = (
                "whoever owns the Gateway makes its ClientTrafficPolicy, with path.escapedSlashesAction: KeepUnchanged"
            )
            raise expected("no envoy_gateway, since gateway is said", True, hint)
        return self

    @model_validator(mode="after")
    def _federation_has_a_listener(self) -> EdgeSpec:
        hint = _NO_8448.get(self.controller, "")
        if self.gateway:
            hint = "whoever owns the Gateway adds a listener; name it in gateway.https_listeners"
        if self.federation_on_8448 and hint:
            raise expected("federation_on_8448: false", True, hint)
        return self

    @model_validator(mode="after")
    def _balancers_have_certificates(self) -> EdgeSpec:
        if self.controller is Edge.AWS_ALB and bool(self.certificate_arns) == self.certificate_discovery:
            raise expected(
                "either certificate_arns or certificate_discovery: true, since controller is aws-alb",
                "both" if self.certificate_discovery else "neither of them",
            )
        if self.load_balancer_group and self.certificate_discovery:
            hint = "a host for which no certificate is found stops the changes of every tenant of the group"
            raise expected("certificate_arns, since load_balancer_group is said", "certificate_discovery", hint)
        return self

    @model_validator(mode="after")
    def _google_appends_twice(self) -> EdgeSpec:
        if self.controller is Edge.GKE and self.trusted_hops < 2:
            raise expected(
                "trusted_hops of 2 or more, since controller is gke",
                self.trusted_hops,
                "its load balancer appends the client's address and its own",
            )
        return self

    @model_validator(mode="after")
    def _istio_has_one_gateway(self) -> EdgeSpec:
        if self.controller is Edge.ISTIO and (len(self.peers) != 1 or not self.peers[0].service_account):
            raise expected(
                "peers: the gateway's Pods alone, with their service_account, since controller is istio",
                f"{len(self.peers)} of them" if len(self.peers) > 1 else "none with service_account",
                "tenants' Gateways select these Pods, and certificates lie beside them",
            )
        return self

    @property
    def certificate_namespace(self) -> str:
        """Where certificates must lie; "" for the tenant's own namespace. Pods of Istio's gateway read
        Secrets of theirs alone."""
        return (self.peers[0].namespace or "") if self.controller is Edge.ISTIO and not self.gateway else ""

    @property
    def reads_secrets(self) -> bool:
        """Whether it serves with certificates that cert-manager puts in the tenant's Secrets."""
        return self.controller is not Edge.AWS_ALB and self.gateway is None


_OF_ONE_CONTROLLER = {
    "http_entrypoint": Edge.TRAEFIK,
    "https_entrypoint": Edge.TRAEFIK,
    "federation_entrypoint": Edge.TRAEFIK,
    "envoy_gateway": Edge.GATEWAY_API,
    "ssl_policy": Edge.GKE,
    "load_balancer_group": Edge.AWS_ALB,
    "certificate_arns": Edge.AWS_ALB,
    "certificate_discovery": Edge.AWS_ALB,
    "source_ranges": Edge.AWS_ALB,
}
_NO_8448 = {
    Edge.INGRESS_NGINX: "ingress-nginx has one HTTPS port for all Ingresses",
    Edge.HAPROXY: "HAProxy Ingress has one HTTPS port for all Ingresses",
    Edge.GKE: "Ingress on GKE listens on 80 and 443 alone",
}
# Why an HTTP-01 solver's own Ingress gets no request there.
_NO_HTTP01 = {
    Edge.NGINX: "a host of two Ingresses is a collision there, and the solver's Ingress loses",
    Edge.ISTIO: "the gateway sends the authority on to HTTPS, for which there is no certificate yet",
    Edge.GKE: "the solver's Ingress would get a load balancer and an address of its own",
}


class ApiServer(Model):
    """The Kubernetes API as NetworkPolicies must name it: its endpoints, not the Service."""

    cidrs: tuple[Cidr, ...] = Field(min_length=1)
    """Networks of the endpoints (`kubectl get endpointslices -n default kubernetes`)."""
    port: Port = 6443
    """The endpoints' port."""
    service: Address | None = None
    """Address of the Service `kubernetes` in `default`, on port 443: the first of the Service network. Needed where a
    policy is asked before Services are translated (`cni: aws-vpc-cni`); allowed everywhere. Default: none."""

    @property
    def networks(self) -> tuple[str, ...]:
        """Networks of all ways."""
        return tuple(network for networks, _ in self.ways for network in networks)

    @property
    def ways(self) -> tuple[tuple[tuple[str, ...], int], ...]:
        """Networks and port of each way that a NetworkPolicy may see."""
        service = (((f"{self.service}/{ip_address(self.service).max_prefixlen}",), 443),) if self.service else ()
        return ((self.cidrs, self.port), *service)


class Network(Model):
    """The outside as this cluster sees it."""

    dns: tuple[Peer, ...] = Field(min_length=1)
    """The cluster's DNS servers: Pods, and the node-local cache's address where there is one."""
    api_server: ApiServer
    """The Kubernetes API, for the few Pods that talk to it."""
    monitoring: Annotated[Peer | None, AfterValidator(_known_one)] = None
    """Prometheus. Without it no Pod admits a scrape."""
    private: tuple[Cidr, ...] = Field(min_length=1)
    """Networks that are not the Internet: the cluster's own Pods, Services and nodes, and what lies
    behind them. They are cut out of every allowance "to the Internet", URL previews and TURN relays."""
    nodes: tuple[Cidr, ...] = ()
    """Addresses of the nodes, the public ones too. They are no destination of URL previews, federation or TURN
    relays, and no tenant may name them in `reach`: kubelets listen there. Set it wherever nodes have public
    addresses, or addresses outside of `private`."""
    domain: Host = "cluster.local"
    """The cluster's DNS domain."""
    cni: Built[Cni] = Cni.OTHER
    """What enforces NetworkPolicies. Default: `other`. Set it on every cluster."""
    ip_family: Built[IpFamily] = IpFamily.IPV4
    """Addresses of Pods and Services: `ipv4`, `ipv6` or `dual`. All programs listen accordingly. With IPv6 `private`
    must name the cluster's IPv6 networks. Change it where Services have IPv6 addresses."""

    @model_validator(mode="after")
    def _policies_see_services(self) -> Network:
        if self.cni is Cni.AWS_VPC_CNI and self.api_server.service is None:
            hint = "kubectl get service kubernetes -n default"
            raise expected("api_server.service, since cni is aws-vpc-cni", "none", hint)
        return self

    @model_validator(mode="after")
    def _private_has_the_family(self) -> Network:
        version = {IpFamily.IPV4: "IPv4", IpFamily.IPV6: "IPv6", IpFamily.DUAL: "IPv6"}[self.ip_family]
        if not any((":" in one) == (version == "IPv6") for one in self.private):
            raise expected(f"private: an {version} network of the cluster, since ip_family is {self.ip_family}", "none")
        return self


class StorageClassSpec(Model):
    """One storage class. With a provisioner the platform target makes it; without, the cluster has it."""

    name: ObjectName
    """The StorageClass."""
    provisioner: Driver | None = None
    """The CSI driver, where the platform makes the class."""
    parameters: dict[Parameter, Line] = Field(default_factory=dict)
    """The driver's own parameters: disk type, encryption key."""
    encrypted: bool = False
    """Whether volumes of this class are encrypted at rest. Required of signing keys."""


class Storage(Model):
    """Storage classes by purpose, mapped to what the cluster offers."""

    media: StorageClassSpec
    """High capacity, moderate performance."""
    database: StorageClassSpec
    """High performance; honours fsync."""
    signing_key: StorageClassSpec
    """Small and encrypted."""
    logs: StorageClassSpec
    """Fast, for debugging; may be lost."""
    scratch: StorageClassSpec | None = None
    """Volumes that live as long as a Pod: restore tests of backups. Its reclaim policy must be Delete, or each test
    leaves a disk. Default: the cluster's default class."""
    least: Annotated[Memory, at_least("1Mi")] = "1Gi"
    """Size of volumes that hold next to nothing: a signing key, the lock of a main process. Default: 1Gi, since XFS
    needs 300Mi and most providers round up to that. Say 1Mi where volumes of an earlier version cannot be expanded."""

    @property
    def named(self) -> tuple[StorageClassSpec, ...]:
        """The classes that claims name."""
        found = (self.media, self.database, self.signing_key, self.logs)
        return (*found, self.scratch) if self.scratch else found

    @model_validator(mode="after")
    def _keys_are_encrypted(self) -> Storage:
        if not self.signing_key.encrypted:
            raise expected(
                "storage.signing_key.encrypted: true", False, "a signing key at rest is the server's identity"
            )
        return self

    @model_validator(mode="after")
    def _scratch_is_not_kept(self) -> Storage:
        for one in (self.media, self.database, self.signing_key, self.logs) if self.scratch else ():
            if self.scratch and one.name == self.scratch.name and (one.provisioner or self.scratch.provisioner):
                hint = "a class that the platform makes for volumes that are kept has reclaimPolicy: Retain"
                raise expected("storage.scratch.name: another class than those that are kept", one.name, hint)
        return self


class Acme(Model):
    """An ACME account for a ClusterIssuer that the platform makes."""

    server: HttpsUrl = "https://acme-v02.api.letsencrypt.org/directory"
    """The ACME directory."""
    email: Email
    """Who is told of expiring certificates."""
    dns01: dict[Line, Plain] | None = None
    """cert-manager's `dns01` solver. Without it HTTP-01 through the edge is used."""


class Issuer(Model):
    """A ClusterIssuer of cert-manager: made by the platform (with acme), or one the cluster has."""

    name: ObjectName
    """The ClusterIssuer."""
    acme: Acme | None = None
    """How to make it; without, it exists."""


class Issuers(Model):
    """Who signs certificates."""

    web: Issuer
    """For hosts behind the edge."""
    dns: Issuer | None = None
    """By DNS-01, for hosts that no edge answers for: TURN with TLS needs it, since its name points at
    nodes and not at the edge."""


class CloudNativePG(Model):
    """CloudNativePG, where it is."""

    provision: Built[Provision] = Provision.EXISTING
    """`managed` adds an Argo CD Application on the upstream chart."""
    version: Tag | None = None
    """Of provision existing, required: its version (1.30.0). It must be the release's or newer: those before let the
    owner of a database become a superuser (CVE-2026-44477, CVE-2026-55769)."""
    namespace: Name = "cnpg-system"
    """Its namespace: from there it connects to the instances that it runs."""
    pods: dict[LabelKey, LabelValue] = Field(default_factory=lambda: {"app.kubernetes.io/name": "cloudnative-pg"})
    """Labels of its Pods; the default are those of its manifests and of its chart."""
    barman_cloud: bool = False
    """Whether the Barman Cloud plugin is there, by which its clusters archive their log. With provision managed it is
    installed too, by its chart in the release class; otherwise you install it. It needs cert-manager."""

    @model_validator(mode="after")
    def _version_of_existing(self) -> CloudNativePG:
        if self.provision is Provision.EXISTING and self.version is None:
            raise expected("the version of the operator that is there", "none")
        if self.provision is Provision.MANAGED and self.version is not None:
            raise expected("no version where the release's chart installs it", self.version)
        return self


class Operators(Model):
    """Operators that tenants rely on."""

    cert_manager: Built[Provision] = Provision.EXISTING
    """`managed` adds an Argo CD Application on the upstream chart, pinned in the release class."""
    cloudnative_pg: CloudNativePG | None = None
    """CloudNativePG, of which databases of kind cnpg and shared are. Without it there are none."""


class Istio(Model):
    """The Istio that the cluster has. Sidecars are native (Kubernetes 1.29 or later), so that Jobs end."""

    cni: bool = False
    """Whether its CNI node agent runs. Without it the injected init container asks for NET_ADMIN, which Pod
    Security `restricted` refuses: so it must be true."""
    namespace: Name = "istio-system"
    """Where istiod is."""
    pods: dict[LabelKey, LabelValue] = Field(default_factory=lambda: {"app": "istiod"})
    """Labels of istiod's Pods; the default are its chart's."""
    revision: Name | None = None
    """The revision that injects; the default one unless said."""
    proxy: Annotated[Resources, starts_with("64Mi")] = Resources(cpu="100m", memory="128Mi")
    """Of each sidecar; the default are the requests of Istio's chart. Memory is its limit too."""
    access_logs: bool = False
    """Whether sidecars log each connection, by the mesh's own provider `envoy`. Programs log their requests
    themselves, and a second log of addresses outlives what retention says."""

    @model_validator(mode="after")
    def _restricted_needs_the_agent(self) -> Istio:
        if not self.cni:
            raise expected(
                "istio.cni: true",
                False,
                "without Istio's CNI node agent injected Pods break Pod Security restricted; install it, then say so",
            )
        return self


class Monitoring(Model):
    """How Prometheus finds what is compiled for it, and people what an alert means."""

    labels: dict[LabelKey, LabelValue] = Field(default_factory=dict)
    """Labels of monitors and rules, where Prometheus selects by them (`release: kube-prometheus-stack`)."""
    runbooks: HttpsUrl = "https://git.example.com/platform/matrix-fleet/blob/main/docs/runbooks/"
    """Where docs/runbooks/ is read: what `runbook_url` of each alert begins with."""


class TracingSpec(Model):
    """Spans of requests through Synapse's processes. They name rooms, people and servers: whoever reads them knows
    who talks to whom."""

    kind: Built[Tracing] = Tracing.NONE
    """Where they go."""
    host: Host | None = None
    """The agent's name, of jaeger: a Service of Jaeger, or of OpenTelemetry's collector."""
    reach: Reach | None = None
    """Where the agent is; the port is UDP, 6831 unless somebody moved it."""
    share: float = Field(default=0.001, ge=0.0001, le=1)
    """Of requests that are traced. The default is jaeger-client's own."""

    @model_validator(mode="after")
    def _an_agent(self) -> TracingSpec:
        for key in ("host", "reach"):
            if (getattr(self, key) is None) == (self.kind is Tracing.JAEGER):
                what = f"{key}, since kind is {self.kind}"
                raise expected(what if self.kind is Tracing.JAEGER else f"no {what}", getattr(self, key))
        return self


class Cluster(Model):
    """One Kubernetes cluster."""

    name: Name
    """The cluster, and the folder of its targets."""
    argocd: ArgoCD
    """Who syncs it."""
    owners: tuple[Owner, ...] = ()
    """Who must agree to a change of what is equivalent to root on this cluster: names of GitHub or GitLab, or e-mail
    addresses. `make compile` writes CODEOWNERS from them; nothing where no cluster says any. Set it where a branch is
    protected by reviews of code owners."""
    edge: EdgeSpec
    """How the world comes in."""
    network: Network
    """What is outside."""
    storage: Storage
    """What volumes it has."""
    issuers: Issuers
    """Who signs certificates."""
    operators: Operators = Operators()
    """What is installed by whom."""
    tenants: TenantPolicy = TenantPolicy()
    """What tenants may have of this cluster. docs/security.md."""
    priority_classes: dict[PriorityName, Priority] = Field(default_factory=dict)
    """PriorityClasses that the platform makes: name and value, up to 1000000000. Tenants name one."""
    secrets: SecretsSpec = SecretsSpec()
    """Who makes Secrets."""
    mesh: Built[Mesh] = Mesh.NONE
    """Which service mesh the platform's own parts are in, and every tenant that does not say otherwise."""
    istio: Istio | None = None
    """How Istio is there, where it is. docs/mesh.md."""
    metrics: Built[Metrics] = Metrics.PROMETHEUS_OPERATOR
    """How Prometheus learns what to scrape. Needs network.monitoring unless `none`."""
    logs: LogCollection = LogCollection()
    """Where log lines go. docs/logs.md."""
    tracing: TracingSpec = TracingSpec()
    """Where spans go. docs/monitoring.md."""
    monitoring: Monitoring = Monitoring()
    """What Prometheus selects by, and where runbooks are."""
    require_digests: bool = False
    """Refuses what would pull an image on this cluster by its tag alone. Default: false. Set it once
    `matrix-fleet images --renew` has filled the release classes that the cluster offers."""

    @model_validator(mode="after")
    def _scrapes_come_from_somewhere(self) -> Cluster:
        if self.metrics is not Metrics.NONE and self.network.monitoring is None:
            raise expected(
                "network.monitoring, since metrics are scraped",
                "none",
                "name Prometheus's Pods, or set metrics: none",
            )
        return self

    @model_validator(mode="after")
    def _balancers_are_no_api_server(self) -> Cluster:
        for network in self.edge.addresses:
            for other in self.network.api_server.cidrs:
                if overlaps(network, other):
                    raise expected("edge.addresses without the API server", network, f"network.api_server has {other}")
        return self

    @model_validator(mode="after")
    def _istio_is_told(self) -> Cluster:
        reasons = {"mesh": self.mesh is Mesh.ISTIO, "edge.controller": self.edge.controller is Edge.ISTIO}
        for key in (key for key, needed in reasons.items() if needed and self.istio is None):
            raise expected(f"istio, since {key} is istio", "none", "istio: {cni: true}, where its CNI node agent runs")
        return self

    @model_validator(mode="after")
    def _solvers_are_reached(self) -> Cluster:
        acme, why = self.issuers.web.acme, _NO_HTTP01.get(self.edge.controller)
        if acme and acme.dns01 is None and why:
            raise expected(f"issuers.web.acme.dns01, since edge.controller is {self.edge.controller}", "HTTP-01", why)
        return self
