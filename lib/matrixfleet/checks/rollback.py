"""How far back Synapse can go: an older version refuses a database whose compatibility version is above its own schema.

Source: SCHEMA_VERSION and SCHEMA_COMPAT_VERSION in synapse/storage/schema/__init__.py of each release (Synapse,
docs/development/database_schema.md). Only a release with another minor version changes them.
"""

from __future__ import annotations

import re

Version = tuple[int, int]
"""Major and minor."""
ROWS: tuple[tuple[Version, int, Version], ...] = (
    ((1, 106), 84, (1, 100)),
    ((1, 98), 83, (1, 97)),
)
"""The first version with a SCHEMA_COMPAT_VERSION, that number, and the oldest version whose schema is not below it."""
KNOWN: Version = (1, 163)
"""The newest version that was looked at."""


def version_of(tag: str) -> Version | None:
    """Return the version in an image's tag (v1.163.2); None where it holds none."""
    found = re.match(r"v?(\d+)\.(\d+)(?=[.\-+_rb]|$)", tag)
    return (int(found[1]), int(found[2])) if found else None


def oldest(version: Version) -> Version:
    """Return the oldest version that opens a database which a version has upgraded: itself where that is not known."""
    if version <= KNOWN:
        for since, _, back_to in ROWS:
            if version >= since:
                return back_to
    return version
