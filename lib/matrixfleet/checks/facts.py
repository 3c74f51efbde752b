"""Facts that make a homeserver what it is, read from compiled objects, each by the inventory's key that decides it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

from matrixfleet.checks.pods import MAIN
from matrixfleet.checks.tree import ARGOCD, Entry, Json, Pod, Tree
from matrixfleet.model.fleet import PLATFORM
from matrixfleet.model.media import server_of


@dataclass(frozen=True, slots=True)
class Fact:
    """One value."""

    value: str
    entry: Entry
    """The object that shows it."""


Facts = dict[str, Fact]


def homeservers(tree: Tree) -> Iterator[tuple[Entry, Json]]:
    """Yield each ConfigMap with a homeserver.yaml, and its options."""
    for entry in tree.of_kind("ConfigMap"):
        text = (entry.doc.get("data") or {}).get("homeserver.yaml")
        options = yaml.load(text, Loader=yaml.CSafeLoader) if text else None
        if isinstance(options, dict):
            yield entry, options


def follows(tree: Tree, target: str) -> bool:
    """Return whether a target's database follows another cluster's: whether it is a standby."""
    return any(
        one.target == target and (one.spec.get("replica") or {}).get("enabled") for one in tree.of_kind("Cluster")
    )


@dataclass
class Known:
    """Every target's facts."""

    tree: Tree
    by_target: dict[str, Facts] = field(default_factory=dict)
    servers: dict[str, set[str]] = field(default_factory=dict)
    """Targets by server_name."""

    @classmethod
    def of(cls, tree: Tree) -> Known:
        """Read a tree."""
        known = cls(tree)
        objects: dict[str, list[Entry]] = {}
        for entry in tree.objects:
            objects.setdefault(entry.target, []).append(entry)
        for entry, options in homeservers(tree):
            known.servers.setdefault(str(options.get("server_name")), set()).add(entry.target)
            mine = objects[entry.target]
            found = known.by_target.setdefault(entry.target, {})
            for key, value in (*_own(entry, options), *_database(mine, options), *_version(mine)):
                found[key] = Fact(value, entry)
        for target, mine in objects.items():
            if target.rpartition(".")[2] == PLATFORM:
                known.by_target.setdefault(target, {}).update(_platform(mine))
        for entry, key, number in _generations(tree):
            found = known.by_target.setdefault(entry.target, {})
            if key not in found or int(found[key].value) < number:
                found[key] = Fact(str(number), entry)
        return known


_KEY_FILES = {"/data/signing-key/signing.key": "volume", "/secrets/signing-key/signing.key": "secret"}


def _own(entry: Entry, options: Json) -> Iterator[tuple[str, str]]:
    yield "matrix.server_name", str(options.get("server_name"))
    yield "matrix.namespace", entry.namespace
    path = str(options.get("signing_key_path"))
    yield "matrix.synapse.signing_key", _KEY_FILES.get(path, path)
    yield "media_store_path", str(options.get("media_store_path"))
    yield from _media(options)
    yield from _logins(options)


def _media(options: Json) -> Iterator[tuple[str, str]]:
    buckets = [one["config"] for one in options.get("media_storage_providers") or () if "bucket" in one["config"]]
    yield "matrix.media.kind", "s3" if buckets else "pvc"
    for config in buckets:
        yield "matrix.media.s3.endpoint", server_of(config.get("endpoint_url"))
        yield "matrix.media.s3.bucket", str(config["bucket"])
        yield "matrix.media.s3.prefix", str(config.get("prefix", "")).rstrip("/")


_ENTRA = "https://login.microsoftonline.com/"
"""Its claim `sub` is another one for each client_id (Microsoft, "ID token claims reference": a pairwise identifier)."""


def _logins(options: Json) -> Iterator[tuple[str, str]]:
    providers = options.get("oidc_providers") or ()
    yield "matrix.auth.providers", ", ".join(sorted(str(one["idp_id"]) for one in providers))
    for one in providers:
        key = f"matrix.auth.providers.{one['idp_id']}"
        issuer = str(one.get("issuer")).rstrip("/")
        config = (one.get("user_mapping_provider") or {}).get("config") or {}
        subject = config.get("subject_template") or f"{{{{ user.{config.get('subject_claim', 'sub')} }}}}"
        yield f"{key}.issuer", issuer
        yield f"{key}.mapping.subject", re.sub(r"\s+", " ", re.sub(r"{{\s*(.*?)\s*}}", r"{{ \1 }}", str(subject)))
        if issuer.startswith(_ENTRA) and "user.oid" not in subject:
            yield f"{key}.client_id", str(one.get("client_id"))


def tag_of(image: str) -> str:
    """Return the tag of an image's reference, or "" where it has none."""
    return image.partition("@")[0].rpartition("/")[2].partition(":")[2]


def major_of(image: str) -> str:
    """Return PostgreSQL's major version in an image's tag."""
    found = re.match(r"\d+", tag_of(image))
    return found[0] if found else tag_of(image)


def _database(mine: list[Entry], options: Json) -> Iterator[tuple[str, str]]:
    key = "matrix.database.kind"
    args = (options.get("database") or {}).get("args") or {}
    clusters = [entry for entry in mine if entry.kind == "Cluster"]
    if any(
        entry.kind == "StatefulSet" and entry.labels.get("app.kubernetes.io/name") == "postgresql" for entry in mine
    ):
        yield key, "statefulset"
    elif clusters:
        yield key, "cnpg"
        yield "matrix.database.major", major_of(str(clusters[0].spec.get("imageName")))
    elif any(entry.kind == "Database" for entry in mine):
        yield key, "shared"
    else:
        yield key, "external"
        host, port = args.get("host"), args.get("port")
        if pooled := next(_pooled(mine), None):
            host, port = pooled
        yield "matrix.database.external.host", str(host)
        yield "matrix.database.external.port", str(port)
        yield "matrix.database.external.name", str(args.get("dbname"))


def _pooled(mine: list[Entry]) -> Iterator[tuple[str, str]]:
    """Server and port behind a PgBouncer of ours."""
    for entry in mine:
        text = (entry.doc.get("data") or {}).get("pgbouncer.ini", "") if entry.kind == "ConfigMap" else ""
        yield from re.findall(r"(?m)^[^#;\[]*=.*\bhost=(\S+) port=(\d+)", text)


def _version(mine: list[Entry]) -> Iterator[tuple[str, str]]:
    """Synapse's image, of the main process."""
    for entry in mine:
        for container in Pod(entry).containers if entry.kind in ("Deployment", "StatefulSet") else ():
            if MAIN in repr(container):
                yield "matrix.release", tag_of(str(container["image"]))


def _platform(mine: list[Entry]) -> Iterator[tuple[str, Fact]]:
    """Facts of a cluster and its platform. Applications of one cluster all name one Argo CD."""
    for entry in mine:
        if entry.kind == "Application" and entry.part == ARGOCD:
            yield "cluster.argocd.namespace", Fact(entry.namespace, entry)
            yield "cluster.argocd.server", Fact(str((entry.spec.get("destination") or {}).get("server")), entry)
        elif entry.kind == "Cluster":
            yield "platform.postgresql", Fact("cnpg", entry)
            yield "platform.postgresql.major", Fact(major_of(str(entry.spec.get("imageName"))), entry)
        elif entry.kind == "ClusterSecretStore":
            yield "cluster.secrets.store", Fact(_store(entry.spec.get("provider") or {}), entry)


_ADDRESS = ("server", "path", "region", "projectID", "vaultUrl", "remoteNamespace")
"""Where a provider of external-secrets keeps its secrets, by the words of its API; how one logs in is left out."""


def _store(provider: Json) -> str:
    words = []
    for name, spec in sorted(provider.items()):
        found = {key: spec[key] for key in _ADDRESS if isinstance(spec, dict) and key in spec}
        if isinstance(found.get("server"), dict):
            found["server"] = found["server"].get("url")
        words += [name, *(str(one) for one in found.values())]
    return " ".join(words)


_ROTATED = {
    "synapse": "matrix.secrets",
    "database": "matrix.database.credentials",
    "turn": "matrix.turn.secret",
    "workers": "matrix.redis.password",
    "media": "matrix.media.s3.generation",
    "email": "matrix.email.generation",
    "backup": "matrix.backup.bucket.generation",
    "backup-second": "matrix.backup.second.generation",
}
_ROTATED_OF_PLATFORM = {
    "turn": "platform.turn.secret",
    "backup": "platform.postgresql.archive.bucket.generation",
    "logs": "cluster.logs.store.generation",
}
_MANY = {
    "oidc": "auth.providers.{}",
    "appservice": "appservices.{}",
    "alerts": "alerts.{}",
    "module": "modules.{}",
}


def _generations(tree: Tree) -> Iterator[tuple[Entry, str, int]]:
    """Each generation of a Secret that a target has made for itself, by the key that is raised to rotate it."""
    for (_, _, name), (entry, _) in tree.produced_secrets.items():
        owner = entry.target.rpartition(".")[2]
        found = re.fullmatch(rf"{re.escape(owner)}-(.+)-([1-9]\d*)", name)
        if found is None or entry.kind == "Certificate":
            continue
        purpose, number = found[1], int(found[2])
        rotated = _ROTATED_OF_PLATFORM if owner == PLATFORM else _ROTATED
        kind, _, which = purpose.partition("-")
        if purpose in rotated:
            yield entry, rotated[purpose], number
        elif kind in _MANY and which:
            block = "platform" if owner == PLATFORM else "matrix"
            yield entry, f"{block}.{_MANY[kind].format(which)}.generation", number


def sources(tree: Tree) -> dict[tuple[str, str, str], tuple[str, Entry]]:
    """Who makes each Secret, by cluster, namespace and name: the cluster itself, or a store and the path in it."""
    return {place: (_source(entry), entry) for place, (entry, _) in tree.produced_secrets.items()}


def _source(entry: Entry) -> str:
    if entry.kind == "ExternalSecret":
        keys = {_path(str(one["remoteRef"]["key"]), entry) for one in entry.spec.get("data") or ()}
        return f"external-secrets {(entry.spec.get('secretStoreRef') or {}).get('name')} {', '.join(sorted(keys))}"
    if entry.kind == "VaultStaticSecret":
        path = _path(str(entry.spec.get("path")), entry)
        return f"vault {entry.spec.get('vaultAuthRef')} {entry.spec.get('mount')} {path}"
    return "kubernetes"


def _path(remote: str, entry: Entry) -> str:
    """What a secret's name in its store begins with, before cluster and tenant."""
    owner = entry.target.rpartition(".")[2]
    return re.split(rf"(?:/|--){re.escape(entry.cluster)}(?:/|--){re.escape(owner)}(?:/|--)", remote)[0]
