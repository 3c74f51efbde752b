"""One Matrix homeserver: what its operator says of it. Everything else follows in the plan."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from matrixfleet.model.base import Model
from matrixfleet.model.choices import (
    Auth,
    Backup,
    Built,
    Calls,
    Database,
    Logs,
    Media,
    Pattern,
    Pooling,
    SigningKey,
    State,
    Turn,
)
from matrixfleet.model.types import (
    Cidr,
    Cpu,
    Host,
    HttpsUrl,
    Memory,
    Name,
    Port,
    bytes_of,
    expected,
    millicores_of,
)

Generation = Annotated[int, Field(ge=1, le=9999)]


class Resources(Model):
    """Requests and limits of one container. Memory is requested as it is limited, so a Pod is never the
    node's first choice to evict; CPU is not limited, since a throttled Synapse stalls everybody."""

    cpu: Cpu
    """CPU requested."""
    memory: Memory
    """Memory requested, and the limit."""


class Hosts(Model):
    """Public names."""

    matrix: Host
    """Clients and other servers talk to this one."""
    element: Host | None = None
    """Element Web. Without it the tenant has none."""
    turn: Host | None = None
    """The TURN relay: points at the nodes that run Coturn."""


class WellKnown(Model):
    """Delegation from server_name to hosts.matrix (Matrix specification, server discovery)."""

    serve: bool = True
    """Whether the edge serves /.well-known/matrix/ on server_name. Where another web server owns that
    name, say false: the two bodies to publish there are in the tenant's docs/."""


class Caches(Model):
    """Synapse's caches."""

    global_factor: float = Field(default=0.5, gt=0, le=20)
    """`caches.global_factor`; the default is Synapse's own."""
    memory_share: float = Field(default=0.5, gt=0, le=0.8)
    """The share of the memory limit at which `cache_autotuning` evicts. The rest is the process itself,
    joins of large rooms and fragmentation."""


class ConnectionPool(Model):
    """Connections that each Synapse process keeps to PostgreSQL (`cp_min`, `cp_max`)."""

    min: int = Field(default=5, ge=1)
    """Kept open."""
    max: int = Field(default=10, ge=1)
    """At most; enters the connection budget once a process."""

    @model_validator(mode="after")
    def _ordered(self) -> ConnectionPool:
        if self.min > self.max:
            raise expected(f"min at most max ({self.max})", self.min)
        return self


class Rate(Model):
    """A token bucket as Synapse has it."""

    per_second: float = Field(gt=0)
    """Refilled in a second."""
    burst_count: int = Field(ge=1)
    """Size of the bucket."""


class RateLimits(Model):
    """Synapse's `rc_*` options, per user or client address. Defaults are Synapse's own but for login and
    registration, where one office behind one address must be able to come to work."""

    message: Rate = Rate(per_second=0.2, burst_count=10)
    """`rc_message`, per user."""
    login_address: Rate = Rate(per_second=0.2, burst_count=20)
    """`rc_login.address`, per client address."""
    login_account: Rate = Rate(per_second=0.05, burst_count=5)
    """`rc_login.account`, per account."""
    login_failed: Rate = Rate(per_second=0.05, burst_count=5)
    """`rc_login.failed_attempts`, per account."""
    registration: Rate = Rate(per_second=0.05, burst_count=5)
    """`rc_registration`, per client address."""


class AdminApi(Model):
    """/_synapse/admin. Closed at the public edge; `kubectl port-forward` reaches it always."""

    allow: tuple[Cidr, ...] = ()
    """Client networks that reach it through the edge."""


class Federation(Model):
    """Other homeservers."""

    enabled: bool = True
    """Off: no other server is talked to or listened to."""
    allow: tuple[Host, ...] = ()
    """`federation_domain_whitelist`: only these servers. Empty means all."""


class Synapse(Model):
    """The homeserver."""

    resources: Resources
    """Of the main process."""
    caches: Caches = Caches()
    """Cache sizes."""
    connection_pool: ConnectionPool = ConnectionPool()
    """Database connections a process."""
    rate_limits: RateLimits = RateLimits()
    """How fast one client may go."""
    max_upload_size: Memory = "50Mi"
    """The largest upload; the router refuses larger bodies before they travel on."""
    url_previews: bool = True
    """Whether Synapse fetches pages that are linked in messages, private networks denied."""
    presence: bool = True
    """Who is online. The most expensive feature per user; off in large rooms of many servers."""
    guests: bool = False
    """Guest accounts: Synapse lets them register even with registration closed."""
    admin_api: AdminApi = AdminApi()
    """Who reaches /_synapse/admin from outside."""
    federation: Federation = Federation()
    """Who it talks to."""
    signing_key: Built[SigningKey] = SigningKey.SECRET
    """Where the signing key lies."""
    log_level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"
    """Of the root logger. DEBUG writes what people say into the log: Synapse warns of it."""


class Registration(Model):
    """How accounts come to be. Open registration has no place here: a server open to the world without
    verification is a spam source within days."""

    shared_secret: bool = True
    """Accounts by an administrator with the registration shared secret."""


class DatabaseSpec(Model):
    """PostgreSQL."""

    kind: Built[Database] = Database.STATEFULSET
    """Where it comes from."""
    pooling: Built[Pooling] = Pooling.NONE
    """What stands before it."""
    resources: Resources
    """Of the server."""
    storage: Memory = "20Gi"
    """Its volume. May grow where the storage class allows it, never shrink."""
    max_connections: int = Field(default=100, ge=20, le=2000)
    """`max_connections`. The connection budget must fit."""
    credentials: Generation = 1
    """Generation of the role's password. The one before opens the database too until this is raised again."""


class MediaSpec(Model):
    """Uploaded and fetched media."""

    kind: Built[Media] = Media.PVC
    """Where it lies."""
    storage: Memory = "10Gi"
    """Its volume."""


class Theme(Model):
    """A custom theme of Element Web (`setting_defaults.custom_themes`)."""

    name: str
    """As people choose it."""
    is_dark: bool = False
    """Which built-in theme it stands on."""
    colors: dict[str, str] = Field(min_length=1)
    """Element's own colour names ("accent-color": "#0dbd8b")."""


class Branding(Model):
    """What Element Web looks like."""

    brand: str = "Element"
    """The name in titles and texts, and of the installed app."""
    logo: HttpsUrl | None = None
    """On the login page."""
    welcome_background: HttpsUrl | None = None
    """Behind the login page."""
    footer_links: dict[str, HttpsUrl] = Field(default_factory=dict)
    """Links under the login page: text to address."""
    accent: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")] = "#0dbd8b"
    """The installed app's colour (PWA manifest)."""
    themes: tuple[Theme, ...] = ()
    """Custom themes."""
    default_theme: str = "light"
    """light, dark, or `custom-NAME`."""

    @model_validator(mode="after")
    def _theme_exists(self) -> Branding:
        known = ["light", "dark", *(f"custom-{theme.name}" for theme in self.themes)]
        if self.default_theme not in known:
            raise expected(f"default_theme one of {', '.join(known)}", self.default_theme)
        return self


class Integrations(Model):
    """An integration manager for bots and widgets in Element Web. None unless named: the manager sees
    the account's OpenID token."""

    ui_url: HttpsUrl
    """`integrations_ui_url`."""
    rest_url: HttpsUrl
    """`integrations_rest_url`."""


class Element(Model):
    """Element Web."""

    resources: Resources = Resources(cpu="20m", memory="64Mi")
    """Of its nginx: it serves files."""
    branding: Branding = Branding()
    """Name, pictures, colours."""
    integrations: Integrations | None = None
    """The integration manager."""


class PortRange(Model):
    """UDP ports, both ends included."""

    first: Port = 49152
    """`min-port`; the default begins the IANA's dynamic range."""
    last: Port = 65535
    """`max-port`."""

    @model_validator(mode="after")
    def _ordered(self) -> PortRange:
        if self.first >= self.last:
            raise expected(f"first below last ({self.last})", self.first)
        return self


class TurnSpec(Model):
    """The relay for calls."""

    kind: Built[Turn] = Turn.NONE
    """Where it comes from."""
    resources: Resources = Resources(cpu="100m", memory="256Mi")
    """Of one Coturn."""
    port: Port = 3478
    """STUN and TURN, UDP and TCP."""
    tls_port: Port = 5349
    """TURN over TLS and DTLS."""
    tls: bool = True
    """Certificates by the cluster's DNS-01 issuer."""
    relay_ports: PortRange = PortRange()
    """Relayed media; the nodes' firewall must admit them."""
    node_selector: dict[str, str] = Field(default_factory=dict)
    """Which nodes carry it. Their public addresses are what hosts.turn resolves to."""
    secret: Generation = 1
    """Generation of the shared secret. Coturn accepts the one before too; raise it one at a time."""


class Router(Model):
    """The tenant's HAProxy: path rules, .well-known, body size, the closed admin API."""

    resources: Resources = Resources(cpu="100m", memory="128Mi")
    """Of one router."""


class AuthSpec(Model):
    """How people prove who they are."""

    kind: Built[Auth] = Auth.PASSWORD
    """Passwords in Synapse, or an OpenID provider."""
    registration: Registration = Registration()
    """How accounts come to be."""


class LogsSpec(Model):
    """Log lines: JSON on stdout, always."""

    kind: Built[Logs] = Logs.STDOUT
    """Where they go from there."""
    volume: Memory | None = None
    """Keep Synapse's last lines on a volume of the `logs` storage class too, so that they outlive the
    Pod and the node: for clusters that collect no logs. Rotated to fit."""


class Tenant(Model):
    """One homeserver on one cluster. The target's file name is the tenant's name."""

    server_name: Host
    """The part after the colon in every user id. It can never change."""
    pattern: Built[Pattern]
    """How it is laid out: set by a pattern class."""
    namespace: Name | None = None
    """Its namespace; the tenant's name unless said."""
    release: Name = "stable"
    """Which of the cluster's releases it runs."""
    size: Name
    """Which of the cluster's sizes gives the numbers; what is said here beside it wins over them."""
    state: Built[State] = State.RUNNING
    """Whether Synapse runs."""
    hosts: Hosts
    """Its public names."""
    well_known: WellKnown = WellKnown()
    """Delegation."""
    synapse: Synapse
    """The homeserver."""
    database: DatabaseSpec
    """PostgreSQL."""
    media: MediaSpec = MediaSpec()
    """Media."""
    element: Element = Element()
    """Element Web, where hosts.element is set."""
    turn: TurnSpec = TurnSpec()
    """Calls."""
    calls: Built[Calls] = Calls.LEGACY
    """What carries calls."""
    router: Router = Router()
    """The router."""
    auth: AuthSpec = AuthSpec()
    """Who may log in."""
    logs: LogsSpec = LogsSpec()
    """Logs."""
    backup: Built[Backup] = Backup.NONE
    """What is kept elsewhere."""
    secrets: Generation = 1
    """Generation of Synapse's own secrets (macaroon, form, registration). Raising it logs everybody out."""

    @model_validator(mode="after")
    def _turn_has_a_name(self) -> Tenant:
        if self.turn.kind is Turn.DAEMONSET and self.hosts.turn is None:
            raise expected(
                "hosts.turn, since turn.kind is daemonset", "none", "name the host that resolves to the nodes"
            )
        return self

    @model_validator(mode="after")
    def _room_for_caches(self) -> Tenant:
        if bytes_of(self.synapse.resources.memory) < bytes_of("512Mi"):
            raise expected(
                "synapse.resources.memory of 512Mi or more",
                self.synapse.resources.memory,
                "Synapse alone takes 250Mi",
            )
        if millicores_of(self.synapse.resources.cpu) < 100:
            raise expected("synapse.resources.cpu of 100m or more", self.synapse.resources.cpu)
        return self
