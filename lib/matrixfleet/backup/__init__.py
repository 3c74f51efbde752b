"""What the Pods that make, try and restore backups share: scripts, environment, keys."""

from matrixfleet.backup.pods import archive, environment, files, from_postgresql, mounts, scripts, sidecar

__all__ = ["archive", "environment", "files", "from_postgresql", "mounts", "scripts", "sidecar"]
