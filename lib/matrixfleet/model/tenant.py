"""One Matrix homeserver: what its operator says of it. Everything else follows in the plan."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from matrixfleet.model.alerts import Alerts
from matrixfleet.model.auth import AuthSpec
from matrixfleet.model.backup import BackupSpec, Restore
from matrixfleet.model.base import Model
from matrixfleet.model.choices import (
    Backup,
    Built,
    Calls,
    Database,
    Media,
    Mesh,
    Pattern,
    RestoreFrom,
    SigningKey,
    State,
    Turn,
)
from matrixfleet.model.database import DatabaseSpec
from matrixfleet.model.media import MediaSpec, S3Bucket
from matrixfleet.model.moves import TenantMoves
from matrixfleet.model.networks import ClientNetworks
from matrixfleet.model.resources import Generation, Resources, starts_with
from matrixfleet.model.retention import Retention
from matrixfleet.model.services import AppService, Consent, Mail, Module
from matrixfleet.model.turn import TurnSpec
from matrixfleet.model.types import (
    Email,
    Host,
    HttpsUrl,
    Id,
    Line,
    Memory,
    Name,
    ObjectName,
    Title,
    at_most,
    bytes_of,
    expected,
    millicores_of,
    words,
)
from matrixfleet.model.workers import Workers


class Hosts(Model):
    """Public names."""

    matrix: Host
    """Clients and other servers talk to this one."""
    element: Host | None = None
    """Element Web. Without it the tenant has none."""
    turn: Host | None = None
    """The tenant's own TURN relay: resolves to the nodes that run Coturn, or to its balancer."""

    @model_validator(mode="after")
    def _one_name_each(self) -> Hosts:
        for one, other in (("element", "matrix"), ("turn", "matrix"), ("turn", "element")):
            name = getattr(self, one)
            if name is not None and name == getattr(self, other):
                raise expected(f"{one} other than {other}", name, _ONE_NAME)
        return self


_ONE_NAME = "each is served by something else"


class WellKnown(Model):
    """Delegation from server_name to hosts.matrix (Matrix specification, server discovery)."""

    serve: bool = True
    """Whether the edge serves /.well-known/matrix/ on server_name. Where another web server owns that
    name, say false: the two bodies to publish there are in the tenant's docs/."""


class Caches(Model):
    """Synapse's caches."""

    global_factor: float = Field(default=0.5, ge=0.01, le=20)
    """`caches.global_factor`; the default is Synapse's own."""
    memory_share: float = Field(default=0.5, ge=0.05, le=0.8)
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

    per_second: float = Field(ge=0.001)
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

    allow: ClientNetworks = ()
    """Client networks that reach it through the edge: those of administrators. Never the edge's own, the cluster's
    Pods or nodes, or the Internet: whoever has none uses `kubectl port-forward`."""


class Federation(Model):
    """Other homeservers."""

    enabled: bool = True
    """Off: no other server is talked to or listened to."""
    allow: tuple[Host, ...] = ()
    """`federation_domain_whitelist`: only these servers. Empty means all."""

    @model_validator(mode="after")
    def _nobody_is_nobody(self) -> Federation:
        if self.allow and not self.enabled:
            raise expected("enabled: true, since allow names servers", False, "remove one of the two")
        return self


class OldKey(Model):
    """The public part of a signing key that is used no more."""

    key: Annotated[str, BeforeValidator(words(r"[A-Za-z0-9+/]{43}", "an ed25519 public key in base64 without padding"))]
    """As /_matrix/key/v2/server of another server, or of a backup, shows it (`verify_keys`)."""
    expired_ts: int = Field(ge=1_400_000_000_000)
    """When it was last used, in milliseconds since 1970."""


KeyId = Annotated[str, BeforeValidator(words(r"ed25519:[A-Za-z0-9_]+", "the id of a signing key (ed25519:a_1234)"))]
"""A signing key's id."""


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
    max_upload_size: Annotated[Memory, at_most("2Gi", "Synapse counts an upload's bytes in 32 bits")] = "50Mi"
    """The largest upload; the router refuses a larger one before it travels on. Other requests may be as large as
    Synapse reads them (12.5 MiB)."""
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
    old_signing_keys: dict[KeyId, OldKey] = Field(default_factory=dict)
    """`old_signing_keys`: what it signed with before, by id. Without it a lost key makes everything that it signed
    worthless to servers that did not see it then."""
    signing_key: Built[SigningKey] = SigningKey.SECRET
    """Where the signing key lies."""
    log_level: Annotated[str, Field(pattern="^(DEBUG|INFO|WARNING|ERROR)$")] = "INFO"
    """Of the root logger. DEBUG writes what people say into the log: Synapse warns of it."""


ColorName = Annotated[str, BeforeValidator(words(r"(--)?[a-z][a-z0-9-]{0,63}", "one of Element's colour names"))]
"""A colour of Element's."""
Color = Annotated[
    str,
    BeforeValidator(
        words(
            r"#[0-9a-fA-F]{3,8}|[a-zA-Z]{1,32}|(rgb|hsl)a?\([0-9., %]{1,40}\)",
            "a colour of CSS (#0dbd8b, rgba(0, 0, 0, 0.1))",
        )
    ),
]
"""A colour, as CSS writes it: it stands in the page's style."""


class Theme(Model):
    """A custom theme of Element Web (`setting_defaults.custom_themes`)."""

    name: Title
    """As people choose it."""
    is_dark: bool = False
    """Which built-in theme it stands on."""
    colors: dict[ColorName, Color] = Field(min_length=1)
    """Element's own colour names ("accent-color": "#0dbd8b")."""


class Branding(Model):
    """What Element Web looks like."""

    brand: Title = "Element"
    """The name in titles and texts, and of the installed app."""
    logo: HttpsUrl | None = None
    """On the login page."""
    welcome_background: HttpsUrl | None = None
    """Behind the login page."""
    footer_links: dict[Title, HttpsUrl] = Field(default_factory=dict)
    """Links under the login page: text to address."""
    accent: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")] = "#0dbd8b"
    """The installed app's colour (PWA manifest)."""
    themes: tuple[Theme, ...] = ()
    """Custom themes."""
    default_theme: Line = "light"
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

    replicas: int = Field(default=1, ge=1, le=10)
    """How many; two or more on nodes of their own outlive one of them."""
    resources: Annotated[Resources, starts_with("16Mi")] = Resources(cpu="20m", memory="64Mi")
    """Of its nginx: it serves files."""
    branding: Branding = Branding()
    """Name, pictures, colours."""
    integrations: Integrations | None = None
    """The integration manager."""


class Redis(Model):
    """Redis, where there are workers: it carries what one process tells the others. One Pod without a
    volume: Synapse knows one address, keeps nothing in it, and reconnects when it is back."""

    resources: Annotated[Resources, starts_with("32Mi")] = Resources(cpu="100m", memory="256Mi")
    """Of it."""
    password: Generation = 1
    """Generation of its password, and of the secret that workers show each other."""


class Router(Model):
    """The tenant's HAProxy: path rules, .well-known, body size, the closed admin API."""

    replicas: int = Field(default=1, ge=1, le=10)
    """How many; two or more on nodes of their own outlive one of them."""
    resources: Resources = Resources(cpu="100m", memory="128Mi")
    """Of one router."""


class LogsSpec(Model):
    """Log lines: on stdout, always; where they go from there is the cluster's (`cluster.logs`)."""

    volume: Memory | None = None
    """Keep Synapse's last lines on a volume of the `logs` storage class too, so that they outlive the
    Pod and the node: for clusters that collect no logs. Rotated to fit."""


class ProbesSpec(Model):
    """What is tried beside the tenant's public addresses, which are tried wherever there are Probes."""

    canary: bool = False
    """Whether the user `canary` logs in every five minutes, writes into a room of its own and reads it back. Off unless
    said: it is an account, with the password of the Secret `<tenant>-canary-1`, that a person registers."""


def _server_name(value: str) -> str:
    # A user id has 255 characters at most; the specification's appendix on identifier grammar leaves 230 to servers.
    if len(value) > 230:
        raise expected("a host name of 230 characters or fewer, since it is part of every user id", value)
    return value


class Tenant(Model):
    """One homeserver on one cluster. The target's file name is the tenant's name."""

    server_name: Annotated[Host, AfterValidator(_server_name)]
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
    active: Name | None = None
    """Of a homeserver that several clusters have a target of: the cluster on which it runs. On the others its database
    follows that one's archive, and Synapse does not run. Say it in a class that these targets share: one word moves
    the homeserver, and it is never active twice."""
    hosts: Hosts
    """Its public names."""
    well_known: WellKnown = WellKnown()
    """Delegation."""
    synapse: Synapse
    """The homeserver."""
    workers: Workers = Workers()
    """Processes beside main."""
    redis: Redis = Redis()
    """What they speak through."""
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
    mesh: Built[Mesh] | None = None
    """Which mesh it is in; its cluster's (`cluster.mesh`) unless said. A cluster moves one tenant after the
    other by it."""
    auth: AuthSpec = AuthSpec()
    """Who may log in."""
    consent: Consent | None = None
    """A policy that people agree to."""
    admin_contact: Email | None = None
    """`admin_contact`: whom people are told to write to when the server refuses them for a limit."""
    email: Mail | None = None
    """The mail server. Without it nobody gets mail, and a lost password is an administrator's to reset."""
    appservices: dict[Id, AppService] = Field(default_factory=dict)
    """Bridges and bots, by name."""
    modules: tuple[Module, ...] = ()
    """Modules, in the order in which Synapse asks them."""
    retention: Retention = Retention()
    """How long things are kept. Volumes have a size each: media.storage, database.storage, logs.volume."""
    logs: LogsSpec = LogsSpec()
    """Logs."""
    alerts: Alerts | None = None
    """Who is told of its alerts; whoever Alertmanager's own route names unless said."""
    probes: ProbesSpec = ProbesSpec()
    """What else is tried."""
    backup: BackupSpec = BackupSpec()
    """What is kept elsewhere."""
    restore: Restore | None = None
    """Bring a backup back, while Synapse is stopped."""
    moves: TenantMoves = Field(default_factory=dict)
    """Changes that `matrix-fleet check --base` refuses unless they are declared here, each as `WAS -> IS` by the key
    that the check names. Default: none. Copy the line that the check prints; remove it when the change is merged."""
    priority_class: ObjectName | None = None
    """The cluster's PriorityClass of everything that it runs: what goes last when nodes are short."""
    secrets: Generation = 1
    """Generation of Synapse's own secrets (macaroon, form, registration). Raising it logs everybody out."""

    def folder(self, bucket: S3Bucket) -> str:
        """The first folder of the tenant's keys in a bucket: its own part of it."""
        return bucket.prefix or self.server_name

    @model_validator(mode="after")
    def _turn_has_a_name(self) -> Tenant:
        where = {Turn.DAEMONSET: "the nodes", Turn.DEPLOYMENT: "its balancer"}.get(self.turn.kind)
        if where and self.hosts.turn is None:
            raise expected(
                f"hosts.turn, since turn.kind is {self.turn.kind}", "none", f"name the host that resolves to {where}"
            )
        return self

    @model_validator(mode="after")
    def _server_name_is_no_relay(self) -> Tenant:
        if self.hosts.turn == self.server_name and self.well_known.serve:
            hint = "the edge serves /.well-known/matrix on server_name; name another host, or well_known.serve: false"
            raise expected("hosts.turn other than server_name", self.hosts.turn, hint)
        return self

    @model_validator(mode="after")
    def _an_upload_fits(self) -> Tenant:
        if self.media.kind is Media.PVC and bytes_of(self.media.storage) < 4 * bytes_of(self.synapse.max_upload_size):
            wanted = f"media.storage of four times synapse.max_upload_size ({self.synapse.max_upload_size}) or more"
            raise expected(wanted, self.media.storage)
        return self

    @model_validator(mode="after")
    def _the_canary_has_a_password(self) -> Tenant:
        if self.probes.canary and not self.auth.password:
            raise expected(
                "probes.canary: false, since auth.password is off",
                self.probes.canary,
                "nobody clicks through a provider's pages every five minutes",
            )
        return self

    @model_validator(mode="after")
    def _workers_share_the_key(self) -> Tenant:
        if self.workers.any and self.synapse.signing_key is SigningKey.VOLUME:
            raise expected(
                "synapse.signing_key: secret, since there are workers", "volume", "many processes sign, one can mount"
            )
        return self

    @model_validator(mode="after")
    def _several_keep_media_in_a_bucket(self) -> Tenant:
        count = self.workers.media_repository.replicas
        if count > 1 and self.media.kind is not Media.S3:
            hint = "a volume is mounted by one Pod; media.kind: s3 takes several"
            raise expected("workers.media_repository.replicas of 0 or 1, since media.kind is pvc", count, hint)
        if self.media.kind is Media.S3 and bytes_of(self.media.cache) < 4 * bytes_of(self.synapse.max_upload_size):
            raise expected(
                f"media.cache of four times synapse.max_upload_size ({self.synapse.max_upload_size}) or more",
                self.media.cache,
                "uploads pass through it",
            )
        return self

    @model_validator(mode="after")
    def _archive_of_a_server(self) -> Tenant:
        kind = self.database.kind
        if self.backup.kind is Backup.POINT_IN_TIME and kind not in (Database.STATEFULSET, Database.CNPG):
            whose = "the platform's" if kind is Database.SHARED else "somebody else's"
            raise expected(
                f"backup.kind: dumps, since database.kind is {kind}",
                str(self.backup.kind),
                f"the server is {whose}, and so is its archive",
            )
        return self

    @model_validator(mode="after")
    def _archiver_of_the_bundled_server(self) -> Tenant:
        if "archiver" in self.backup.model_fields_set and self.database.kind is not Database.STATEFULSET:
            hint = "CloudNativePG archives by the Barman Cloud plugin"
            raise expected("database.kind: statefulset, since backup.archiver is said", str(self.database.kind), hint)
        return self

    @model_validator(mode="after")
    def _restore_is_possible(self) -> Tenant:
        if self.restore is None:
            return self
        if self.state is not State.STOPPED:
            raise expected(
                "state: stopped, since restore is said",
                str(self.state),
                "first a change that stops it, then the restore",
            )
        wanted = {RestoreFrom.ARCHIVE: (Backup.POINT_IN_TIME,), RestoreFrom.DUMP: (Backup.DUMPS, Backup.POINT_IN_TIME)}
        if self.backup.kind not in wanted[self.restore.source]:
            told = " or ".join(wanted[self.restore.source])
            raise expected(f"backup.kind: {told}, since restore.source is {self.restore.source}", str(self.backup.kind))
        if self.restore.source is RestoreFrom.ARCHIVE and self.database.kind is not Database.STATEFULSET:
            hint = "to a moment it is restored by the tenant's page recovery.md"
            raise expected(f"restore.source: dump, since database.kind is {self.database.kind}", "archive", hint)
        return self

    @model_validator(mode="after")
    def _active_can_be_followed(self) -> Tenant:
        if self.active is None:
            return self
        wanted = (
            ("database.kind", Database.CNPG, self.database.kind, "CloudNativePG's replica clusters follow an archive"),
            ("backup.kind", Backup.POINT_IN_TIME, self.backup.kind, "a standby follows the archive"),
            ("media.kind", Media.S3, self.media.kind, "a standby cannot mount another cluster's volume"),
            ("synapse.signing_key", SigningKey.SECRET, self.synapse.signing_key, "both clusters sign with one key"),
        )
        for key, needed, said, why in wanted:
            if said is not needed:
                raise expected(f"{key}: {needed}, since active is said", str(said), why)
        return self

    @model_validator(mode="after")
    def _media_is_backed_up_elsewhere(self) -> Tenant:
        media = self.media.s3
        for key, one in (("bucket", self.backup.bucket), ("second", self.backup.second)):
            if media and one and media.is_bucket_of(one):
                wanted = f"backup.{key} in another bucket than media.s3"
                raise expected(wanted, one.bucket, "a bucket is no backup of itself")
        return self

    def follows(self, cluster: str) -> bool:
        """Whether on this cluster it only follows the one that is active."""
        return self.active is not None and self.active != cluster

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
