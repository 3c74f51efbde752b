"""`check --base` over a table of changes: dangerous ones are refused by the key that changes, and can be done as the
refusal says; safe ones pass."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations

import pytest

from changes import CLUB, STOPPED, Block, Compiler, State, found, merged, moves_in
from matrixfleet.checks import Finding
from matrixfleet.model.moves import ARROW

CA = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"
AT = "ap1.club"
SERVER = {
    "platform": {
        "postgresql": {
            "resources": {"cpu": "1", "memory": "2Gi"},
            "storage": "50Gi",
            "max_connections": 400,
            "pooling": "pgbouncer",
        }
    }
}
ARCHIVE = {"platform": {"postgresql": {"archive": {"bucket": {"region": "nbg", "bucket": "platform"}}}}}
TURN = {"platform": {"turn": {"host": "turn.ap1.example.com", "node_selector": {"matrix-fleet/turn": "shared"}}}}
PLATFORMS: dict[str, Block] = {"ap1": SERVER}
WITH_TURN: dict[str, Block] = {"ap1": merged(SERVER, TURN)}
BUCKETS = {
    "kind": "point-in-time",
    "bucket": {"endpoint": "https://s3.nbg.example.net", "region": "nbg", "bucket": "matrix-backups"},
    "second": {"endpoint": "https://s3.hel.example.net", "region": "hel", "bucket": "matrix-keys"},
    "recipients": [
        "age1h4lhdj54sl3x6ay3kawlg7ds53yd9955c584ddjsz220p9hd8ykqjdr97r",
        "age13zrjcjzywuapuwttxy08hwrvh96fmmwprm2dktup7en9hseq43jskh47uf",
    ],
}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiler:
    return Compiler(tmp_path_factory.mktemp("changes"))


@dataclass(frozen=True)
class Change:
    """A fleet before and after."""

    what: str
    was: State
    now: State
    key: str = ""
    """By which it is refused: a key of the inventory, or a rule's id."""
    at: str = AT
    """The target that declares it."""
    stops: bool = False
    """Whether it is done while the tenants are stopped."""
    never: bool = False
    """Whether nothing allows it."""


def tenant(*blocks: Block, at: str = AT, platforms: dict[str, Block] | None = None) -> State:
    """A fleet of one tenant."""
    return State({at: merged(CLUB, *blocks)}, PLATFORMS if platforms is None else platforms)


def platform(*blocks: Block, tenants: dict[str, Block] | None = None, cluster: str = "ap1") -> State:
    """A cluster and what its platform says, with one tenant unless others are given."""
    return State({f"{cluster}.club": CLUB} if tenants is None else tenants, {cluster: merged(*blocks)})


def one(what: str, was: Block, now: Block, key: str = "", **rest: bool) -> Change:
    """A change of one tenant."""
    return Change(what, tenant(was), tenant(now), key, **rest)


def external(**said: object) -> Block:
    """A database that somebody else runs."""
    return {"database": {"kind": "external", "external": {"host": "postgres.example.net", "ca": CA, **said}}}


KINDS: dict[str, Block] = {
    "statefulset": {"database": {"kind": "statefulset"}},
    "cnpg": {"database": {"kind": "cnpg", "instances": 1}},
    "external": external(),
    "shared": {"database": {"kind": "shared"}},
}
POOLED: Block = {"database": {"pooling": "pgbouncer"}}


def s3(**said: object) -> Block:
    """Media in a bucket."""
    return {"media": {"kind": "s3", "s3": {"region": "nbg", "bucket": "media", **said}}}


def sso(name: str = "sso", **said: object) -> Block:
    """One OpenID provider."""
    provider = {"preset": "keycloak", "issuer": "https://sso.example.net/realms/a", "client_id": "matrix", **said}
    return {"auth": {"kind": "oidc", "providers": {name: provider}}}


def entra(**said: object) -> Block:
    """Entra ID."""
    directory = "0a1b2c3d-0000-4000-8000-000000000001"
    return {
        "auth": {
            "kind": "oidc",
            "providers": {"sso": {"preset": "entra", "directory": directory, "client_id": "m", **said}},
        }
    }


COTURN: Block = {"hosts": {"turn": "turn.club.example.org"}, "turn": {"kind": "daemonset"}}


def generations(number: int) -> dict[str, tuple[Block, Block]]:
    """Each key of a generation, with what it needs and what it says."""
    alerts = {"alerts": {"slack": {"channel": "#ops", "generation": number}}}
    bridge = {"generation": number}
    backup = merged({"kind": "dumps"}, {key: value for key, value in BUCKETS.items() if key != "kind"})
    return {
        "matrix.secrets": ({}, {"secrets": number}),
        "matrix.database.credentials": ({}, {"database": {"credentials": number}}),
        "matrix.redis.password": ({"workers": {"generic": {"replicas": 1}}}, {"redis": {"password": number}}),
        "matrix.turn.secret": (
            COTURN,
            {"turn": {"secret": number}},
        ),
        "matrix.media.s3.generation": (s3(), {"media": {"s3": {"generation": number}}}),
        "matrix.auth.providers.sso.generation": (sso(), sso(generation=number)),
        "matrix.email.generation": (
            {},
            {"email": {"host": "mail.example.org", "sender": "chat@example.org", "user": "m", "generation": number}},
        ),
        "matrix.backup.bucket.generation": (
            {"backup": backup},
            {"backup": {"bucket": {"generation": number}}},
        ),
        "matrix.backup.second.generation": (
            {"backup": backup},
            {"backup": {"second": {"generation": number}}},
        ),
        "matrix.alerts.slack.generation": ({}, alerts),
        "matrix.appservices.irc.generation": ({}, {"appservices": {"irc": bridge}}),
    }


def homeserver(name: str = "club.example.org", **said: object) -> Block:
    """A tenant with a name."""
    return merged(CLUB, {"server_name": name, "hosts": {"matrix": f"matrix.{name}"}}, said)


def standby(active: str, **said: object) -> Block:
    """A homeserver that two clusters may have."""
    wanted = {
        "active": active,
        "database": {"kind": "cnpg", "instances": 1},
        "backup": BUCKETS,
        **s3(endpoint="https://s3.one.example.net"),
    }
    return homeserver(**merged(wanted, said))


PAIR = {"eu1.club": standby("eu1"), "eu2.club-standby": standby("eu1")}
FAILED_OVER = {"eu1.club": standby("eu2"), "eu2.club-standby": standby("eu2")}

DANGEROUS = [
    *(
        Change(f"{was} to {now}", tenant(KINDS[was]), tenant(KINDS[now]), "matrix.database.kind", stops=True)
        for was, now in permutations(KINDS, 2)
    ),
    *(
        one(
            f"pooled {was} to {now}",
            merged(KINDS[was], POOLED),
            merged(KINDS[now], POOLED),
            "matrix.database.kind",
            stops=True,
        )
        for was, now in (("statefulset", "cnpg"), ("external", "shared"), ("shared", "external"), ("cnpg", "external"))
    ),
    one("another host", external(), external(host="other.example.net"), "matrix.database.external.host", stops=True),
    one("another port", external(), external(port=6432), "matrix.database.external.port", stops=True),
    one("another database", external(), external(name="other"), "matrix.database.external.name", stops=True),
    one(
        "another host behind PgBouncer",
        merged(external(), POOLED),
        merged(external(host="other.example.net"), POOLED),
        "matrix.database.external.host",
        stops=True,
    ),
    one(
        "another host, and PgBouncer before it",
        external(),
        merged(external(host="other.example.net"), POOLED),
        "matrix.database.external.host",
        stops=True,
    ),
    one("a volume to a bucket", {}, s3(), "matrix.media.kind", stops=True),
    one("a bucket to a volume", s3(), {}, "matrix.media.kind", stops=True),
    one("another bucket", s3(), s3(bucket="other"), "matrix.media.s3.bucket", stops=True),
    one("another prefix", s3(), s3(prefix="other"), "matrix.media.s3.prefix", stops=True),
    one("a prefix less", s3(prefix="other"), s3(), "matrix.media.s3.prefix", stops=True),
    one("another endpoint", s3(), s3(endpoint="https://s3.one.example.net"), "matrix.media.s3.endpoint", stops=True),
    one(
        "another port of an endpoint",
        s3(endpoint="https://s3.one.example.net:9000"),
        s3(endpoint="https://s3.one.example.net:9001"),
        "matrix.media.s3.endpoint",
        stops=True,
    ),
    one(
        "Amazon in place of an endpoint",
        s3(endpoint="https://s3.one.example.net"),
        s3(),
        "matrix.media.s3.endpoint",
        stops=True,
    ),
    one(
        "a key to a volume",
        {},
        {"synapse": {"signing_key": "volume"}},
        "matrix.synapse.signing_key",
        stops=True,
    ),
    one(
        "a key to a Secret",
        {"synapse": {"signing_key": "volume"}},
        {},
        "matrix.synapse.signing_key",
        stops=True,
    ),
    one("another namespace", {}, {"namespace": "elsewhere"}, "matrix.namespace", stops=True),
    one("its own namespace again", {"namespace": "elsewhere"}, {}, "matrix.namespace", stops=True),
    one("another server_name", {}, {"server_name": "other.example.org"}, "matrix.server_name", never=True),
    one("another realm", sso(), sso(issuer="https://sso.example.net/realms/b"), "matrix.auth.providers.sso.issuer"),
    one(
        "another host of a provider",
        sso(),
        sso(issuer="https://login.example.net/realms/a"),
        "matrix.auth.providers.sso.issuer",
    ),
    one(
        "another directory",
        entra(),
        entra(directory="0a1b2c3d-0000-4000-8000-000000000002"),
        "matrix.auth.providers.sso.issuer",
    ),
    one("another client of Entra ID", entra(), entra(client_id="other"), "matrix.auth.providers.sso.client_id"),
    one("another provider by the same id", sso(), entra(), "matrix.auth.providers.sso.issuer"),
    one("a provider renamed", sso(), sso("login"), "matrix.auth.providers"),
    one(
        "a provider renamed and moved",
        sso(),
        sso("login", issuer="https://b.example.net/realms/b"),
        "matrix.auth.providers",
    ),
    one(
        "a provider renamed beside another",
        merged(sso(), sso("two", issuer="https://two.example.net/realms/b")),
        merged(sso("three"), sso("two", issuer="https://two.example.net/realms/b")),
        "matrix.auth.providers",
    ),
    one(
        "two providers exchanged",
        merged(sso("one"), sso("two", issuer="https://two.example.net/realms/b")),
        merged(sso("two"), sso("one", issuer="https://two.example.net/realms/b")),
        "matrix.auth.providers.one.issuer",
    ),
    one(
        "people by mail",
        sso(),
        sso(mapping={"subject": "{{ user.email }}"}),
        "matrix.auth.providers.sso.mapping.subject",
    ),
    one(
        "people by sub again",
        sso(mapping={"subject": "{{ user.email }}"}),
        sso(),
        "matrix.auth.providers.sso.mapping.subject",
    ),
    *(
        one(
            f"{key} {was} to {now}", merged(base, generations(was)[key][1]), merged(base, generations(now)[key][1]), key
        )
        for was, now in ((1, 3), (4, 2))
        for key, (base, _) in generations(1).items()
    ),
    # Storage.
    one("media shrinks", {"media": {"storage": "20Gi"}}, {"media": {"storage": "19Gi"}}, "no-shrinking", never=True),
    one(
        "the bundled volume shrinks",
        {"database": {"storage": "20Gi"}},
        {"database": {"storage": "10Gi"}},
        "immutable",
        never=True,
    ),
    one(
        "the bundled volume's template grows",
        {"database": {"storage": "20Gi"}},
        {"database": {"storage": "30Gi"}},
        "immutable",
        never=True,
    ),
    one(
        "CloudNativePG's volumes shrink",
        merged(KINDS["cnpg"], {"database": {"storage": "20Gi"}}),
        merged(KINDS["cnpg"], {"database": {"storage": "10Gi"}}),
        "no-shrinking",
        never=True,
    ),
    *(
        Change(
            f"another class of {kind}",
            tenant(KINDS[kind]),
            tenant(
                KINDS[kind], platforms=merged(PLATFORMS, {"ap1": {"cluster": {"storage": {purpose: {"name": "slow"}}}}})
            ),
            "immutable",
            never=True,
        )
        for kind, purpose in (("cnpg", "database"), ("statefulset", "database"), ("shared", "media"))
    ),
    # Removal.
    Change("a tenant that runs is removed", tenant(), State({}, PLATFORMS), "data-kept"),
    Change("the same, with nothing on volumes", tenant(external(), s3()), State({}, PLATFORMS), "data-kept"),
    # Another place.
    *(
        Change(
            f"{what} of {kind}",
            State({"eu1.club": merged(homeserver(), said)}, {"eu2": {}}),
            State({to: merged(homeserver(), said, extra)}, {"eu1": {}, "eu2": {}}),
            "matrix.server_name",
            at=to,
            stops=True,
        )
        for kind, said in (("statefulset", {}), ("cnpg", KINDS["cnpg"]), ("external", merged(external(), s3())))
        for what, to, extra in (
            ("a file renamed", "eu1.other", {}),
            ("a file renamed in its namespace", "eu1.other", {"namespace": "club"}),
            ("another cluster", "eu2.club", {}),
            ("another cluster and name", "eu2.other", {}),
        )
    ),
    Change(
        "two names exchanged",
        State({"eu1.a": homeserver("a.example.org"), "eu1.b": homeserver("b.example.org")}),
        State({"eu1.a": homeserver("b.example.org"), "eu1.b": homeserver("a.example.org")}),
        "matrix.server_name",
        never=True,
    ),
    Change(
        "two names exchanged between clusters",
        State({"eu1.a": homeserver("a.example.org"), "eu2.b": homeserver("b.example.org")}),
        State({"eu1.a": homeserver("b.example.org"), "eu2.b": homeserver("a.example.org")}),
        "matrix.server_name",
        never=True,
    ),
    Change(
        "a name taken over by another target",
        State({"eu1.a": homeserver("a.example.org"), "eu1.b": homeserver("b.example.org")}),
        State({"eu1.b": homeserver("a.example.org")}),
        "matrix.server_name",
        never=True,
    ),
    Change(
        "the active one is removed",
        State(PAIR),
        State({"eu2.club-standby": merged(PAIR["eu2.club-standby"], {"active": "eu2"})}, {"eu1": {}}),
        "matrix.server_name",
        never=True,
    ),
    Change(
        "a second one is added as the active one",
        State({"eu1.club": standby("eu1")}, {"eu2": {}}),
        State(FAILED_OVER),
        "matrix.server_name",
        never=True,
    ),
    # The cluster.
    *(
        Change(
            f"{key} on {cluster}",
            platform(cluster=cluster),
            platform({"cluster": {"argocd": {key: value}}}, cluster=cluster),
            f"cluster.argocd.{key}",
            at=f"{cluster}.platform",
        )
        for cluster in ("eu1", "us1")
        for key, value in (("namespace", "gitops"), ("server", "https://other.k8s.example.com:6443"))
    ),
    *(
        Change(what, platform(was, cluster=at), platform(now, cluster=at), key, at=f"{at}.platform")
        for what, at, was, now, key in (
            (
                "another path of secrets",
                "us1",
                {},
                {"cluster": {"secrets": {"path": "elsewhere"}}},
                "cluster.secrets",
            ),
            (
                "a store of secrets instead of the cluster",
                "eu1",
                {},
                {"cluster": {"secrets": {"kind": "external-secrets", "store": {"name": "s", "provider": "aws"}}}},
                "cluster.secrets",
            ),
            (
                "the cluster instead of a store of secrets",
                "us1",
                {},
                {"cluster": {"~secrets": {"kind": "kubernetes"}}},
                "cluster.secrets",
            ),
            (
                "Vault instead of external-secrets",
                "us1",
                {},
                {"cluster": {"~secrets": {"kind": "vault", "vault": {"auth": "vault/fleet"}}}},
                "cluster.secrets",
            ),
            (
                "another mount of Vault",
                "eu1",
                {"cluster": {"secrets": {"kind": "vault", "vault": {"auth": "vault/fleet"}}}},
                {"cluster": {"secrets": {"kind": "vault", "vault": {"auth": "vault/fleet", "mount": "kv"}}}},
                "cluster.secrets",
            ),
            (
                "another store",
                "us1",
                {},
                {"cluster": {"secrets": {"store": {"name": "other"}}}},
                "cluster.secrets",
            ),
            (
                "another region of the store",
                "us1",
                {},
                {"cluster": {"secrets": {"store": {"aws": {"region": "eu-west-1"}}}}},
                "cluster.secrets.store",
            ),
        )
    ),
    Change("the platform's PostgreSQL removed", platform(SERVER), platform(), "platform.postgresql", at="ap1.platform"),
    Change(
        "the platform's PostgreSQL removed under its tenant",
        platform(SERVER, tenants={AT: merged(CLUB, KINDS["shared"])}),
        platform(tenants={AT: CLUB}),
        "platform.postgresql",
        never=True,
    ),
    Change(
        "the platform's PostgreSQL shrunk",
        platform(SERVER),
        platform(SERVER, {"platform": {"postgresql": {"storage": "40Gi"}}}),
        "no-shrinking",
        never=True,
    ),
    Change(
        "another class of the platform's PostgreSQL",
        platform(SERVER),
        platform(SERVER, {"cluster": {"storage": {"database": {"name": "slow"}}}}),
        "immutable",
        never=True,
    ),
    *(
        Change(
            f"the platform's {what} skip",
            platform(SERVER, ARCHIVE, block(1), cluster="eu1"),
            platform(SERVER, ARCHIVE, block(3), cluster="eu1"),
            key,
            at="eu1.platform",
        )
        for what, key, block in (
            (
                "keys to its archive",
                "platform.postgresql.archive.bucket.generation",
                lambda number: {"platform": {"postgresql": {"archive": {"bucket": {"generation": number}}}}},
            ),
            (
                "addresses of alerts",
                "platform.alerts.webhook.generation",
                lambda number: {"platform": {"alerts": {"webhook": {"generation": number}}}},
            ),
        )
    ),
    Change(
        "the platform's TURN secret skips",
        platform(TURN),
        platform(TURN, {"platform": {"turn": {"secret": 3}}}),
        "platform.turn.secret",
        at="ap1.platform",
    ),
]


def image(name: str, tag: str, cluster: str = "ap1") -> dict[str, Block]:
    """Platforms whose release has another tag of an image."""
    return merged(PLATFORMS, {cluster: {"releases": {"stable": {"images": {name: {"tag": tag}}}}}})


SYNAPSE, POSTGRESQL = "v1.163.2", "18.6-standard-trixie"
DANGEROUS += [
    *(
        Change(
            f"Synapse {was} to {now}",
            tenant(platforms=image("synapse", was)),
            tenant(platforms=image("synapse", now)),
            "matrix.release",
            stops=True,
        )
        for was, now in (
            (SYNAPSE, "v1.99.0"),
            (SYNAPSE, "v1.90.0"),
            ("v1.106.0", "v1.99.0"),
            ("v1.105.0", "v1.96.1"),
            ("v1.300.0", SYNAPSE),
        )
    ),
    Change(
        "Synapse with the S3 provider, lowered",
        tenant(s3()),
        tenant(s3(), platforms=image("synapse_s3", "v1.99.0-1.7.0")),
        "matrix.release",
        stops=True,
    ),
    Change(
        "CloudNativePG's next major",
        tenant(KINDS["cnpg"]),
        tenant(KINDS["cnpg"], platforms=image("cloudnative_pg", "19.1-standard-trixie")),
        "matrix.database.major",
        stops=True,
    ),
    Change(
        "CloudNativePG's last major",
        tenant(KINDS["cnpg"]),
        tenant(KINDS["cnpg"], platforms=image("cloudnative_pg", "17.1-standard-trixie")),
        "matrix.database.major",
        never=True,
    ),
    Change(
        "the platform's next major",
        platform(SERVER, tenants={AT: merged(CLUB, KINDS["shared"])}),
        State(
            {AT: merged(CLUB, KINDS["shared"])},
            merged({"ap1": SERVER}, image("cloudnative_pg", "19.1-standard-trixie")),
        ),
        "platform.postgresql.major",
        at="ap1.platform",
        stops=True,
    ),
    Change(
        "the bundled server's next major",
        tenant(),
        tenant(platforms=image("postgresql", "19.1-trixie")),
        "postgresql-major",
        never=True,
    ),
]


def sized(size: str, kind: str = "statefulset") -> Block:
    """A tenant of a size."""
    return merged({"size": size}, KINDS[kind])


UP = (("small", "medium"), ("medium", "large"), ("small", "large"))
LOGS: Block = {"logs": {"volume": "1Gi"}}
BALANCED: Block = {
    "hosts": {"turn": "turn.club.example.org"},
    "turn": {
        "kind": "deployment",
        "external_address": "203.0.113.80",
        "relay_ports": {"first": 50000, "last": 50039},
    },
}
SHARED_TURN: Block = {"turn": {"kind": "shared"}}
SAFE = [
    *(
        one(f"{kind}: {was} to {now}", sized(was, kind), sized(now, kind))
        for kind in ("statefulset", "cnpg")
        for was, now in UP
    ),
    one("shared: small to large", sized("small", "shared"), sized("large", "shared")),
    *(
        one(f"{kind}: {was} to {now}, stopped", merged(STOPPED, sized(was, kind)), merged(STOPPED, sized(now, kind)))
        for kind in ("statefulset", "cnpg")
        for was, now in (*((now, was) for was, now in UP), ("large", "xlarge"), ("xlarge", "small"))
    ),
    one("Coturn removed", COTURN, {}),
    one("Coturn added", {}, COTURN),
    *(
        Change(what, tenant(was, platforms=WITH_TURN), tenant(now, platforms=WITH_TURN))
        for what, was, now in (
            ("Coturn shared", BALANCED, SHARED_TURN),
            ("Coturn its own again", SHARED_TURN, BALANCED),
            ("shared Coturn removed", SHARED_TURN, {}),
        )
    ),
    Change("Coturn on nodes shared", tenant(COTURN), tenant(SHARED_TURN, platforms=WITH_TURN)),
    one("Coturn behind a balancer", COTURN, BALANCED),
    Change("the platform's Coturn removed", platform(TURN), platform()),
    one("a log volume beside a lock", s3(), merged(s3(), LOGS)),
    one("a log volume removed", LOGS, {}),
    one("a log volume removed, a lock instead", merged(s3(), LOGS), s3()),
    one("media grows", {"media": {"storage": "20Gi"}}, {"media": {"storage": "40Gi"}}),
    one("CloudNativePG's volumes grow", KINDS["cnpg"], merged(KINDS["cnpg"], {"database": {"storage": "40Gi"}})),
    one("CloudNativePG gets instances", KINDS["cnpg"], merged(KINDS["cnpg"], {"database": {"instances": 3}})),
    one("CloudNativePG gives instances back", merged(KINDS["cnpg"], {"database": {"instances": 3}}), KINDS["cnpg"]),
    *(one(f"PgBouncer before {kind}", said, merged(said, POOLED)) for kind, said in KINDS.items()),
    *(one(f"no PgBouncer before {kind}", merged(said, POOLED), said) for kind, said in KINDS.items()),
    one("another role on an external server", external(), external(user="other")),
    one("another authority of an external server", external(), external(ca=CA.replace("MIIB", "MIIC"))),
    one("the prefix that it has", s3(), s3(prefix="club.example.org")),
    one(
        "the endpoint's port written out",
        s3(endpoint="https://s3.one.example.net"),
        s3(endpoint="https://s3.one.example.net:443"),
    ),
    one("Amazon's endpoint written out", s3(), s3(endpoint="https://s3.us-east-1.amazonaws.com")),
    one("remote media elsewhere", s3(), s3(store_remote=False)),
    one("a larger cache", s3(), merged(s3(), {"media": {"cache": "4Gi"}})),
    one("a first provider", {}, sso()),
    one("a provider more", sso(), merged(sso(), sso("two", issuer="https://two.example.net/realms/b"))),
    one("a provider less", merged(sso(), sso("two", issuer="https://two.example.net/realms/b")), sso()),
    one("no provider any more", sso(), {}),
    one("another client of Keycloak", sso(), sso(client_id="other")),
    one(
        "other names for people to come",
        sso(),
        sso(mapping={"localpart": "{{ user.email | localpart_from_email }}"}),
    ),
    one("the claim that it is", sso(), sso(mapping={"subject": "{{ user.sub }}"})),
    one("a preset that says the same", sso(), sso(preset="generic")),
    *(
        one(f"{key} {was} to {now}", merged(base, generations(was)[key][1]), merged(base, generations(now)[key][1]))
        for was, now in ((1, 2), (2, 1))
        for key, (base, _) in generations(1).items()
    ),
    Change("a stopped tenant removed", tenant(STOPPED), State({}, PLATFORMS)),
    Change("a stopped tenant with nothing on volumes removed", tenant(external(), s3(), STOPPED), State({}, PLATFORMS)),
    one("stopped", {}, STOPPED),
    one("started", STOPPED, {}),
    Change("a tenant more", State({}, PLATFORMS), tenant()),
    Change("a standby", State({"eu1.club": standby("eu1")}, {"eu2": {}}), State(PAIR)),
    Change("failed over", State(PAIR), State(FAILED_OVER)),
    Change("failed back", State(FAILED_OVER), State(PAIR)),
    Change("a standby removed", State(PAIR), State({"eu1.club": standby("eu1")}, {"eu2": {}})),
    Change(
        "the former one removed",
        State(FAILED_OVER),
        State({"eu2.club-standby": standby("eu2")}, {"eu1": {}}),
    ),
    Change("PostgreSQL for tenants to come", platform(), platform(SERVER)),
    Change(
        "more of the platform's PostgreSQL",
        platform(SERVER),
        platform(SERVER, {"platform": {"postgresql": {"storage": "80Gi"}}}),
    ),
    Change(
        "another login to the store",
        platform(cluster="us1"),
        platform(
            {
                "cluster": {
                    "secrets": {"store": {"aws": {"account": {"namespace": "external-secrets", "name": "other"}}}}
                }
            },
            cluster="us1",
        ),
    ),
    *(
        Change(
            f"Synapse {was} to {now}", tenant(platforms=image("synapse", was)), tenant(platforms=image("synapse", now))
        )
        for was, now in (
            ("v1.150.0", SYNAPSE),
            (SYNAPSE, "v1.150.0"),
            (SYNAPSE, "v1.100.0"),
            (SYNAPSE, "v1.163.0"),
            ("v1.300.1", "v1.300.0"),
            ("v1.105.0", "v1.98.0"),
        )
    ),
    Change(
        "a minor version of CloudNativePG's image",
        tenant(KINDS["cnpg"]),
        tenant(KINDS["cnpg"], platforms=image("cloudnative_pg", "18.7-standard-trixie")),
    ),
]


def ids(changes: list[Change]) -> list[str]:
    names = [change.what for change in changes]
    assert len(names) == len(set(names)), {name for name in names if names.count(name) > 1}
    return names


def named(findings: list[Finding]) -> set[str]:
    return {word for finding in findings for word in (finding.key, finding.rule)}


@pytest.mark.parametrize("change", DANGEROUS, ids=ids(DANGEROUS))
def test_a_dangerous_change_is_refused(change: Change, compiled: Compiler) -> None:
    findings = found(compiled(change.was), compiled(change.now))
    assert change.key in named(findings), [str(one) for one in findings]
    for finding in findings:
        assert finding.line or not finding.key or not finding.path.startswith("inventory"), str(finding)


@pytest.mark.parametrize(
    "change",
    [one for one in DANGEROUS if one.key != "data-kept"],
    ids=[one.what for one in DANGEROUS if one.key != "data-kept"],
)
def test_stopped_it_is_refused_as_well(change: Change, compiled: Compiler) -> None:
    findings = found(compiled(change.was.every(STOPPED)), compiled(change.now.every(STOPPED)))
    assert change.key in named(findings), [str(one) for one in findings]


DECLARED = [one for one in DANGEROUS if not one.never and one.key != "data-kept"]


def declared(state: State, at: str, moves: dict[str, dict[str, str]]) -> State:
    """A state with moves, a tenant's and a platform's."""
    for block, said in moves.items():
        own = at.endswith(".platform") == (block == "platform")
        state = state.declared(at if own else f"{at.partition('.')[0]}.platform", said)
    return state


@pytest.mark.parametrize("change", DECLARED, ids=[one.what for one in DECLARED])
def test_it_can_be_done_as_the_refusal_says(change: Change, compiled: Compiler) -> None:
    was, now = (change.was.every(STOPPED), change.now.every(STOPPED)) if change.stops else (change.was, change.now)
    moves = moves_in(found(compiled(was), compiled(now)))
    assert change.key in {key for said in moves.values() for key in said}
    assert [str(one) for one in found(compiled(was), compiled(declared(now, change.at, moves)))] == []
    back = {
        block: {key: ARROW.join(reversed(one.split(ARROW))) for key, one in said.items()}
        for block, said in moves.items()
    }
    assert change.key in named(found(compiled(was), compiled(declared(now, change.at, back)))), "another change"


STOPPING = [one for one in DECLARED if one.stops]


@pytest.mark.parametrize("change", STOPPING, ids=[one.what for one in STOPPING])
def test_nothing_moves_while_it_runs(change: Change, compiled: Compiler) -> None:
    was, now = change.was.every(STOPPED), change.now.every(STOPPED)
    moves = moves_in(found(compiled(was), compiled(now)))
    running, stopped = declared(change.now, change.at, moves), declared(now, change.at, moves)
    for before, after in ((change.was, running), (was, running), (change.was, stopped)):
        findings = found(compiled(before), compiled(after))
        assert change.key in named(findings) and "matrix.state: stopped" in repr(findings)


def test_a_smaller_size_while_it_runs_is_told_the_way(compiled: Compiler) -> None:
    findings = found(compiled(tenant(sized("large"))), compiled(tenant(sized("medium"))))
    assert {one.rule for one in findings} == {"room-to-shrink"}
    assert "set matrix.state: stopped in a pull request of its own first" in str(findings[0])


@pytest.mark.parametrize("change", SAFE, ids=ids(SAFE))
def test_a_safe_change_passes(change: Change, compiled: Compiler) -> None:
    assert [str(one) for one in found(compiled(change.was), compiled(change.now))] == []
