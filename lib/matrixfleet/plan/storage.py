"""Volumes: which there are, what class they have, who is the one that may mount them."""

from __future__ import annotations

from dataclasses import dataclass

from matrixfleet.model import Cluster, Tenant
from matrixfleet.model.choices import Database, Media, SigningKey
from matrixfleet.plan.names import volume_name

ONE_POD = "ReadWriteOncePod"
"""One Pod at a time, enforced by scheduler and kubelet: what makes a second main process impossible
while a first still terminates (a Deployment's Recreate orders rollouts only)."""

MEDIA = "/data/media"
"""Where media is for Synapse: its volume, or the cache before a bucket."""


@dataclass(frozen=True, slots=True)
class Volume:
    """A claim for a volume. Every one of them is a keeper: no prune and no deletion touches it."""

    purpose: str
    """media, database, signing-key, logs."""
    name: str
    """The claim, or the template's name for a StatefulSet's."""
    storage_class: str
    size: str
    """Kubernetes quantity."""
    owner: str
    """The component whose Pod mounts it."""
    mount: str
    """Where that Pod sees it."""
    access_mode: str = ONE_POD


def media_keeper(tenant: Tenant) -> str:
    """The component whose processes take uploads and serve media."""
    return "media-repository" if tenant.workers.media_repository.replicas else "synapse"


def volumes_of(name: str, tenant: Tenant, cluster: Cluster) -> tuple[Volume, ...]:
    """The volumes of one tenant."""
    classes = cluster.storage
    found = []
    if tenant.media.kind is Media.PVC:
        size = tenant.media.storage
        found.append(Volume("media", volume_name(name, "media"), classes.media.name, size, media_keeper(tenant), MEDIA))
    if tenant.database.kind is Database.STATEFULSET:
        size = tenant.database.storage
        found.append(Volume("database", "data", classes.database.name, size, "postgresql", "/var/lib/postgresql"))
    if tenant.synapse.signing_key is SigningKey.VOLUME:
        key_volume, key_class = volume_name(name, "signing-key"), classes.signing_key.name
        found.append(Volume("signing-key", key_volume, key_class, classes.least, "synapse", "/data/signing-key"))
    if tenant.logs.volume:
        found.append(
            Volume(
                "logs",
                volume_name(name, "logs"),
                classes.logs.name,
                tenant.logs.volume,
                "synapse",
                "/data/logs",
            )
        )
    if not any(volume.owner == "synapse" for volume in found):
        # Main mounts nothing of use then, and must still be held to one: this volume is its lock.
        found.append(
            Volume("lock", volume_name(name, "lock"), classes.signing_key.name, classes.least, "synapse", "/data/lock")
        )
    return tuple(found)
