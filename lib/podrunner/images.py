"""Which installed program stands for an image: the one table, filled by who runs the node."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from podrunner.objects import Unsupported

SYSTEM_PATH = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")


@dataclass(frozen=True)
class Image:
    """A program in an image's place."""

    program: str
    """What it is and its version, for people."""
    path: tuple[str, ...] = ()
    """Directories searched before the system's own, as they are called inside the container."""
    binds: Mapping[str, Path] = field(default_factory=dict)
    """Directories and files of this machine by where they lie inside."""
    users: Mapping[int, str] = field(default_factory=dict)
    """The image's own lines of /etc/passwd: some programs refuse a user without a name."""
    command: tuple[str, ...] = ()
    """The image's entry point, for a container that names no command of its own."""
    stop: signal.Signals = signal.SIGTERM
    """The image's STOPSIGNAL."""
    drop_environment: frozenset[str] = frozenset()
    """Variables that mean nothing to this program."""
    root: Path = Path("/")
    """The tree that is its root; this machine's own where none is named."""

    @property
    def search_path(self) -> str:
        return ":".join((*self.path, *SYSTEM_PATH))


def repository(reference: str) -> str:
    """An image reference without tag and digest."""
    without_digest = reference.partition("@")[0]
    head, slash, last = without_digest.rpartition("/")
    return head + slash + last.partition(":")[0]


def image_of(images: Mapping[str, Image], reference: str) -> Image:
    """Raises Unsupported where no program stands for it."""
    found = images.get(repository(reference))
    if found is None:
        known = ", ".join(sorted(images))
        raise Unsupported(f"no program stands for the image {reference}; the table has {known}")
    return found
