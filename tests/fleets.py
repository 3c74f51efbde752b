"""Fleets for tests: a copy of the reference inventory, changed."""

from __future__ import annotations

import shutil
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
LINTED = ".cache/yamllint"  # as in matrixfleet.cli.compile, which not every environment here can import


PAIR = "inventory/classes/homeserver/pair.yml"
"""The class of a homeserver that two clusters have: `with_standby` writes it."""
MEDIA = 'media: {kind: s3, s3: {endpoint: "https://s3.nbg.example.net", region: nbg, bucket: matrix-media-pair}}'
_PAIR = f"""\
classes:
  - pattern.single-tenant
  - feature.backups
parameters:
  matrix:
    active: eu1
    size: small
    server_name: pair.example.com
    hosts: {{matrix: matrix.pair.example.com}}
    turn: {{kind: none}}
    database: {{kind: cnpg, instances: 1}}
    {MEDIA}
    backup: {{bucket: {{bucket: matrix-backups-group}}}}
"""


class Repository:
    """A copy of the repository that a test may change: inventory copied, the rest linked, and what yamllint
    found clean."""

    def __init__(self, top: Path) -> None:
        self.top = top
        shutil.copytree(TOP / "inventory", top / "inventory")
        for name in ("components", "lib", ".kapitan"):
            (top / name).symlink_to(TOP / name)
        (top / LINTED).parent.mkdir()
        (top / LINTED).symlink_to(TOP / LINTED)

    def read(self, path: str) -> str:
        """A file's text."""
        return (self.top / path).read_text(encoding="utf-8")

    def write(self, path: str, text: str) -> None:
        """A file, new or in another's place."""
        (self.top / path).parent.mkdir(parents=True, exist_ok=True)
        (self.top / path).write_text(text, encoding="utf-8")

    def edit(self, path: str, old: str, new: str) -> None:
        """One piece of text for another; it must be there once."""
        text = self.read(path)
        assert text.count(old) == 1, f"{path} has {text.count(old)} times {old!r}"
        self.write(path, text.replace(old, new))


def with_standby(repository: Repository) -> None:
    """A homeserver on eu1, followed by a standby on another cluster like it, eu2."""
    with_another_cluster(repository)
    repository.write(PAIR, _PAIR)
    for name in ("eu1/pair", "eu2/pair-standby"):
        repository.write(f"inventory/targets/{name}.yml", "classes:\n  - homeserver.pair\n")


def with_another_cluster(repository: Repository) -> None:
    """A cluster like eu1, called eu2."""
    cluster = repository.read("inventory/classes/cluster/eu1.yml")
    repository.write("inventory/classes/cluster/eu2.yml", cluster.replace("name: eu1", "name: eu2"))
    platform = repository.read("inventory/targets/eu1/platform.yml")
    repository.write("inventory/targets/eu2/platform.yml", platform.replace("cluster.eu1", "cluster.eu2"))
