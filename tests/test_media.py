"""Media in a bucket: its cache is kept small, and its image is the release's Synapse."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

from fleets import TOP
from matrixfleet.model import Fleet

SCRIPT = TOP / "lib/matrixfleet/synapse/clean_cache.py"
MIB = 1024**2


def put(folder: Path, name: str, age: int) -> Path:
    """A file of 1 MiB that nobody touched for so many seconds."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(os.urandom(MIB))
    os.utime(path, (time.time() - age,) * 2)
    return path


def running(folder: Path, limit: int) -> subprocess.Popen[bytes]:
    alive = folder.with_name(f"{folder.name}-alive")
    return subprocess.Popen([sys.executable, str(SCRIPT), str(folder), str(limit), str(alive)])


def test_the_longest_unused_goes_and_what_is_young_stays(tmp_path: Path) -> None:
    old = put(tmp_path, "local_content/aa/bb/old", 7200)
    read = put(tmp_path, "local_content/aa/bb/read", 9000)
    os.utime(read, (time.time() - 1800, time.time() - 9000))
    young = [put(tmp_path, f"remote_content/{number}", 10) for number in range(3)]
    started = running(tmp_path, 4 * MIB)
    deadline = time.time() + 20
    alive = tmp_path.with_name(f"{tmp_path.name}-alive")
    # Its probe asks for it.
    while (old.exists() or not alive.exists()) and time.time() < deadline:
        time.sleep(0.05)
    assert alive.exists()
    started.send_signal(signal.SIGTERM)
    assert started.wait(5) == 0, "it ends when its Pod does"
    assert not old.exists()
    assert read.exists(), "what is left is within the limit"
    assert all(path.exists() for path in young)


def test_what_is_on_its_way_to_the_bucket_stays_whatever_the_limit(tmp_path: Path) -> None:
    old, young = put(tmp_path, "old", 3600), put(tmp_path, "young", 60)
    started = running(tmp_path, 1)
    deadline = time.time() + 20
    while old.exists() and time.time() < deadline:
        time.sleep(0.05)
    started.terminate()
    started.wait(5)
    assert not old.exists() and young.exists()


def test_the_image_is_the_releases_synapse_and_the_locks_provider(fleet: Fleet) -> None:
    folder = TOP / "images/synapse-s3"
    dockerfile = (folder / "Dockerfile").read_text()
    (provider,) = re.findall(r"(?m)^synapse-s3-storage-provider==(\S+)", (folder / "requirements.lock").read_text())
    for name in fleet.names:
        images = fleet.target(name).release.images
        assert f"\nFROM {images.synapse.reference}\n" in dockerfile
        assert images.synapse_s3.tag == f"{images.synapse.tag}-{provider}"
        assert dockerfile.count(f"{images.synapse_s3.repository}:{images.synapse_s3.tag}") == 2, "as its comment says"
        same = ("uid", "gid", "commands", "ports", "writes", "keeps")
        assert all(getattr(images.synapse_s3, key) == getattr(images.synapse, key) for key in same)
