"""The tenant on one page, and its recovery on another, in real names: for whoever is on call and has never seen it."""

import json
from collections.abc import Iterator

from matrixfleet.drawing import Text, component
from matrixfleet.model.choices import Archiver, Backup, Database
from matrixfleet.model.fleet import PLATFORM, SHARED_NAMESPACE
from matrixfleet.plan import TenantPlan
from matrixfleet.plan.backup import archive_folder, archive_of_platform, archived_by_operator, copies_media, duties
from matrixfleet.plan.names import component_name
from matrixfleet.plan.secrets import CARRIED
from matrixfleet.plan.storage import media_keeper
from matrixfleet.templates import render


@component("docs")
def main(plan: TenantPlan) -> Iterator[Text]:
    """README.md, and recovery.md where there are backups."""
    bodies = {name: json.dumps(content) for name, content in plan.well_known.items()}
    yield Text("README.md", render(__file__, "README.md.j2", plan=plan, well_known=bodies))
    if plan.tenant.backup.kind is Backup.NONE:
        return
    restorable = plan.tenant.database.kind is Database.STATEFULSET
    by_operator = archived_by_operator(plan.tenant)
    archiver = "WAL-G" if plan.tenant.backup.archiver is Archiver.WAL_G else "pgBackRest"
    facts = {
        "archived": archive_folder(plan.tenant),
        "archiver": "Barman" if by_operator else archiver,
        "by_operator": by_operator,
        "media": any("media" in what for what in duties(plan.tenant).values()),
        "copied": copies_media(plan.tenant),
        "keeper": media_keeper(plan.tenant),
        "moment": moment(plan),
        "given": [one.name for one in plan.secrets if one.given and one.purpose not in CARRIED],
        "places": " and ".join(f"`{cluster}` ({name})" for cluster, (name, _) in plan.target.places.items()),
        "sides": sides(plan),
        "restorable": restorable,
        "policy": lambda place: policy(plan, place),
    }
    yield Text("recovery.md", render(__file__, "recovery.md.j2", plan=plan, **facts))


def moment(plan: TenantPlan) -> dict[str, object] | None:
    """The server of CloudNativePG's, archived, that has the tenant's database: it is restored to a moment beside."""
    platform = plan.target.platform
    shared = plan.tenant.database.kind is Database.SHARED
    archive = archive_of_platform(platform, plan.cluster.name) if shared else plan.archive
    if archive is None:
        return None
    return {
        "shared": shared,
        "archive": archive,
        "namespace": SHARED_NAMESPACE if shared else plan.namespace,
        "server": component_name(PLATFORM if shared else plan.name, "postgresql"),
        "spec": platform.postgresql if shared else plan.server,
        "database": PLATFORM if shared else "synapse",
    }


def sides(plan: TenantPlan) -> dict[str, dict[str, str]]:
    """Of a homeserver that two clusters have: where its active and its following server are; nothing of others."""
    if len(plan.target.places) < 2:
        return {}
    return {
        "active" if cluster == plan.tenant.active else "standby": {
            "cluster": cluster,
            "namespace": namespace,
            "server": component_name(name, "postgresql"),
        }
        for cluster, (name, namespace) in plan.target.places.items()
    }


def policy(plan: TenantPlan, place: str) -> str:
    """A bucket's policy of what the tenant's keys need: its own folder, and the names in it."""
    spec = plan.tenant.backup
    bucket = spec.bucket if place == "first" else spec.second
    assert bucket
    lock = place == "first" and spec.lock is not None
    arn, folder = f"arn:aws:s3:::{bucket.bucket}", plan.tenant.folder(bucket)
    objects = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    # Keys in the second place are written once: whoever takes these keys over cannot remove them.
    objects = objects if place == "first" else objects[:2]
    # Barman first asks whether the bucket is there (HeadBucket), and says no prefix with it.
    asks = place == "first" and archived_by_operator(plan.tenant)
    within = {"StringLikeIfExists" if asks else "StringLike": {"s3:prefix": f"{folder}/*"}}
    statements = [
        {"Effect": "Allow", "Action": objects, "Resource": f"{arn}/{folder}/*"},
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": arn, "Condition": within},
        # verify looks whether it keeps versions; nothing of these keys reads or removes one.
        *([{"Effect": "Allow", "Action": "s3:GetBucketVersioning", "Resource": arn}] if lock else []),
    ]
    return json.dumps({"Version": "2012-10-17", "Statement": statements})
