"""How backups look in a Pod. The tools read their settings from the environment, and keys from files alone."""

from __future__ import annotations

from collections.abc import Sequence

from matrixfleet.backup.archivers import AUTHORITIES, FOLDER
from matrixfleet.kubernetes.emit import Object
from matrixfleet.kubernetes.pods import Mount, container, scratch, secret_files, tls_files
from matrixfleet.model.choices import SigningKey
from matrixfleet.model.media import S3Bucket
from matrixfleet.plan import TenantPlan
from matrixfleet.plan.backup import COPY, SECRETS, SIDECAR, copies_media, duties
from matrixfleet.plan.storage import MEDIA
from matrixfleet.templates import read

# Seconds: a backup a day, looked for every ten minutes; two days are too old.
INTERVAL, PAUSE, OLDEST = 86400, 600, 2 * 86400


def scripts(plan: TenantPlan, *names: str) -> dict[str, str]:
    """Scripts of this folder with what they source, and the authorities of the buckets."""
    found = {f"{name}.sh": read(__file__, f"{name}.sh") for name in ("lib", *names)}
    spec = plan.tenant.backup
    known = (spec.bucket, spec.second, plan.tenant.media.s3)
    private = dict.fromkeys(bucket.ca for bucket in known if bucket and bucket.ca)
    return found | ({AUTHORITIES: "".join(one for one in private if one)} if private else {})


def files(plan: TenantPlan) -> dict[str, str]:
    """What the sidecars of Synapse's Pods read."""
    return scripts(plan, "loop", *sorted({duty for what in duties(plan.tenant).values() for duty in what}))


def environment(plan: TenantPlan, *, places: bool = False, media: bool = False, **more: str) -> list[Object]:
    """What the scripts and their tools read. restic reaches its bucket through rclone: by itself it asks for the whole
    bucket, which keys to a part of one may not.

    places: whether it reaches the second place of keys too
    media: whether it reaches the bucket of media too
    """
    spec = plan.tenant.backup
    buckets: dict[str, tuple[S3Bucket | None, str]] = {"first": (spec.bucket, "backup")}
    buckets |= {"second": (spec.second, "backup-second")} if places else {}
    buckets |= {"media": (plan.tenant.media.s3, "media")} if media else {}
    values = {
        "SERVER_NAME": plan.tenant.server_name,
        "RESTIC_PASSWORD_FILE": plan.secret("backup-key").path("passphrase"),
        "RESTIC_CACHE_DIR": "/tmp/restic",
        "RCLONE_CONFIG": "/dev/null",
        # What fails is tried again by the clock: a bucket that is away is told soon instead of in a quarter of an hour.
        "RCLONE_CONTIMEOUT": "10s",
        "RCLONE_LOW_LEVEL_RETRIES": "2",
    }
    for place, (bucket, purpose) in buckets.items():
        assert bucket
        remote = f"RCLONE_CONFIG_{place.upper()}_"
        values |= {
            f"PLACE_{place.upper()}": f"{place}:{bucket.bucket}/{plan.tenant.folder(bucket)}",
            remote + "TYPE": "s3",
            remote + "PROVIDER": "Other" if bucket.endpoint else "AWS",
            remote + "ENDPOINT": f"https://{bucket.host}:{bucket.port}",
            remote + "REGION": bucket.region,
            remote + "ENV_AUTH": "true",
            remote + "SHARED_CREDENTIALS_FILE": plan.secret(purpose).path("credentials"),
            remote + "NO_CHECK_BUCKET": "true",
        }
    if copies_media(plan.tenant):
        # Encrypted by what lib.sh adds: the passphrase.
        values |= {"RCLONE_CONFIG_COPY_TYPE": "crypt", "RCLONE_CONFIG_COPY_REMOTE": f"{values['PLACE_FIRST']}/{COPY}"}
    if any(bucket and bucket.ca for bucket, _ in buckets.values()):
        # Go's programs read it beside the authorities that everybody trusts.
        values["SSL_CERT_FILE"] = f"{FOLDER}/{AUTHORITIES}"
    return [{"name": name, "value": value} for name, value in (values | more).items()]


def folder(config_map: str) -> Mount:
    """The scripts."""
    return Mount("backup", FOLDER, {"configMap": {"name": config_map}})


def mounts(plan: TenantPlan, component: str, config_map: str) -> list[Mount]:
    """The scripts, and the keys that a component reads."""
    purposes = (*SECRETS, "media") if component in (COPY, "restore") else SECRETS
    keys = [secret_files(one) for one in plan.secrets if one.purpose in purposes and component in one.readers]
    return [folder(config_map), *keys]


def from_postgresql(plan: TenantPlan, component: str) -> tuple[list[Object], list[Mount], dict[str, str]]:
    """How a client reaches PostgreSQL itself, as Synapse does: environment, mounts, files."""
    database = plan.database
    password = {"name": plan.secret("database").name, "key": "password"}
    files, found = {}, []
    if database.server_authority:
        found = [tls_files("database", database.server_authority, ("ca.crt",))]
        authority = "/tls/database/ca.crt"
    else:
        assert plan.tenant.database.external
        files = {"database-ca.crt": plan.tenant.database.external.ca}
        authority = f"{FOLDER}/database-ca.crt"
    values = {
        "PGHOST": database.server.host,
        "PGPORT": str(database.server.port),
        "PGDATABASE": database.name,
        "PGUSER": database.login,
        "PGSSLMODE": "verify-full",
        "PGSSLROOTCERT": authority,
        "PGAPPNAME": component,
    }
    env: list[Object] = [{"name": name, "value": value} for name, value in values.items()]
    return [*env, {"name": "PGPASSWORD", "valueFrom": {"secretKeyRef": password}}], found, files


def sidecar(plan: TenantPlan, component: str, mounted: Sequence[Mount]) -> tuple[list[Object], list[Mount]]:
    """The container that backs up what a Synapse process has, and its mounts; nothing where it has nothing.

    mounted: Synapse's own
    """
    mine = duties(plan.tenant).get(component, ())
    if not mine:
        return [], []
    keys = "keys" in mine
    own = [*mounts(plan, component, plan.called("backup")), scratch("backup-tmp", "/tmp", "1Gi")]
    names = ("secret-synapse", "secret-signing-key", "signing-key") if keys else ()
    seen = [read_only(mount) for mount in mounted if mount.name in (*names, *(("media",) if "media" in mine else ()))]
    more: dict[str, str] = {"INTERVAL": str(INTERVAL), "PAUSE": str(PAUSE)}
    if keys:
        own.append(scratch("backup-keys", "/run/backup", "8Mi", memory=True))
        folders = (signing_key(plan), plan.secret("synapse").path(""), plan.secret("backup-key").path(""))
        more |= {
            "KEYS": " ".join(one.rstrip("/") for one in folders),
            "RECIPIENTS": " ".join(plan.tenant.backup.recipients),
        }
    if "media" in mine:
        more |= {"MEDIA": MEDIA, "KEEP_MEDIA": str(plan.tenant.backup.keep.media)}
    env = environment(plan, places=keys, media=False, **more)
    command = ["bash", f"{FOLDER}/loop.sh", *mine]
    return [container(plan, component, SIDECAR, command, [*own, *seen], env=env)], own


def signing_key(plan: TenantPlan) -> str:
    """Where the signing key is read."""
    if plan.tenant.synapse.signing_key is SigningKey.SECRET:
        return plan.secret("signing-key").path("signing.key")
    (volume,) = (one for one in plan.volumes if one.purpose == "signing-key")
    return f"{volume.mount}/signing.key"


def read_only(mount: Mount) -> Mount:
    """The same, not to be written."""
    return Mount(mount.name, mount.path, mount.source, True, mount.sub_path)
