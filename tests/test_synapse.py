"""Synapse itself agrees: its own parser reads every configuration, and its own documentation knows every
option in it (the parser accepts unknown ones silently)."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleets import TOP
from matrixfleet.checks import Entry, Tree
from matrixfleet.model import Fleet

SYNAPSE = TOP / ".cache/synapse"
PYTHON = SYNAPSE / "venv/bin/python"
DOCUMENTATION = SYNAPSE / "source/docs/usage/configuration/config_documentation.md"
# Handed to psycopg2.connect as they are: PostgreSQL documentation, 34.1.2 Parameter Key Words.
LIBPQ = {"user", "dbname", "host", "port", "sslmode", "sslrootcert"}
LIBPQ |= {"keepalives_idle", "keepalives_interval", "keepalives_count"}

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="make test installs Synapse's parser")


def configurations(tree: Tree) -> list[Entry]:
    return [entry for entry in tree.of_kind("ConfigMap") if "homeserver.yaml" in entry.doc["data"]]


def moved(text: str, top: Path) -> str:
    """The configuration with its folders below another one: a test may not write /secrets."""
    return re.sub(r"(?m)(?<=[ ])/(secrets|tls|data|etc)/", rf"{top}/\1/", text)


def parsed(top: Path, text: str) -> subprocess.CompletedProcess[str]:
    """What Synapse's parser says of a configuration, every file that it names being there."""
    home = top / "homeserver.yaml"
    home.write_text(moved(text, top))
    for value in re.findall(rf"{top}/\S+", home.read_text()):
        path = Path(value)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.name == "signing.key":
            generate = [PYTHON, "-m", "synapse._scripts.generate_signing_key", "-o", path]
            subprocess.run(generate, check=True)
        elif "secrets" in value:
            path.write_text("0" * 64)
    command = [PYTHON, "-m", "synapse.config", "-c", home, "--no-secrets-in-config"]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_parser_is_the_version_that_runs(fleet: Fleet) -> None:
    program = "import importlib.metadata; print(importlib.metadata.version('matrix-synapse'))"
    version = subprocess.run([PYTHON, "-c", program], capture_output=True, text=True, check=True)
    for name in fleet.names:
        assert fleet.target(name).release.images.synapse.tag == f"v{version.stdout.strip()}", name


def test_every_configuration_loads(tree: Tree, tmp_path: Path) -> None:
    for entry in configurations(tree):
        folder = tmp_path / entry.target
        folder.mkdir()
        (folder / "etc/synapse").mkdir(parents=True)
        (folder / "etc/synapse/log.yaml").write_text(entry.doc["data"]["log.yaml"])
        done = parsed(folder, entry.doc["data"]["homeserver.yaml"])
        # Its exit code is 0 in one case of failure: the words decide.
        assert done.stdout.strip() == "Config parses OK!", f"{entry}: {done.stdout}{done.stderr}"


def test_a_secret_in_line_is_refused(tree: Tree, tmp_path: Path) -> None:
    text = configurations(tree)[0].doc["data"]["homeserver.yaml"]
    done = parsed(tmp_path, text + "form_secret: here\n")
    assert "form_secret" in done.stderr and "parses OK" not in done.stdout


@cache
def sections() -> dict[str, str]:
    """Each documented option and the text about it."""
    parts = re.split(r"(?m)^### `([a-z0-9_]+)`", DOCUMENTATION.read_text())
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def options(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key in a configuration."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield (*path, key)
            yield from options(inner, (*path, key))
    elif isinstance(value, list):
        for inner in value:
            yield from options(inner, path)


def undocumented(config: dict[str, Any]) -> list[str]:
    """Keys that the pinned version's documentation does not know, each below its option's heading."""
    return [
        ".".join(path)
        for path in options(config)
        if path[0] not in sections()
        or (len(path) > 1 and not re.search(rf"\b{path[-1]}\b", sections()[path[0]]) and path[-1] not in LIBPQ)
    ]


def test_every_option_is_documented(tree: Tree) -> None:
    for entry in configurations(tree):
        assert undocumented(yaml.safe_load(entry.doc["data"]["homeserver.yaml"])) == [], str(entry)


def test_a_misspelt_option_is_found() -> None:
    assert undocumented({"max_upload_sise": "1M", "caches": {"global_facter": 1}}) == [
        "max_upload_sise",
        "caches.global_facter",
    ]


def test_log_configurations_are_pythons_own(tree: Tree, tmp_path: Path) -> None:
    program = "import logging.config, sys, yaml; logging.config.dictConfig(yaml.safe_load(sys.stdin))"
    for entry in configurations(tree):
        text = entry.doc["data"]["log.yaml"].replace("/data/logs/", f"{tmp_path}/")
        done = subprocess.run([PYTHON, "-c", program], input=text, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{entry}: {done.stderr}"
