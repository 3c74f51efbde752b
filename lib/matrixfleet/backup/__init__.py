"""What the Pods that make, try and restore backups share: scripts, environment, keys."""

from matrixfleet.backup.archivers import archive, archiver
from matrixfleet.backup.pods import environment, files, from_postgresql, mounts, scripts, sidecar

__all__ = ["archive", "archiver", "environment", "files", "from_postgresql", "mounts", "scripts", "sidecar"]
