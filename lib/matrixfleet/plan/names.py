"""Names of objects: `<tenant>-<component>`, and how long a tenant's name may be for all to fit."""

from __future__ import annotations

# The longest suffix behind a tenant's name, and what Kubernetes adds to it: a StatefulSet's Pods carry
# the label controller-revision-hash `<name>-<10 characters>`, and labels end at 63.
LONGEST_SUFFIX = len("-registration-0000")
LONGEST_TENANT = 63 - 11 - LONGEST_SUFFIX


def component_name(tenant: str, component: str) -> str:
    """The name of a tenant's object."""
    return f"{tenant}-{component}"


def secret_name(tenant: str, purpose: str, generation: int) -> str:
    """A Secret's name. Its generation is part of it: raising it is a change of every reference, so
    consumers roll and a revert is a rollback."""
    return f"{tenant}-{purpose}-{generation}"


def volume_name(tenant: str, purpose: str) -> str:
    """A PersistentVolumeClaim's name."""
    return f"{tenant}-{purpose}"
