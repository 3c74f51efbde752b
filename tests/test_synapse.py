"""Synapse itself agrees: its own parser reads every configuration, and its own documentation knows every
option in it (the parser accepts unknown ones silently)."""

from __future__ import annotations

import json
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
from matrixfleet.checks.pods import references
from matrixfleet.model import Fleet
from test_plan import PROD, VARIANTS, changed, drawn

SYNAPSE = TOP / ".cache/synapse"
PYTHON = SYNAPSE / "venv/bin/python"
DOCUMENTATION = SYNAPSE / "source/docs/usage/configuration/config_documentation.md"
WORKERS = SYNAPSE / "source/docs/workers.md"
# Handed to psycopg2.connect as they are: PostgreSQL documentation, 34.1.2 Parameter Key Words.
AGREED = "Config parses OK!"
LIBPQ = {"user", "dbname", "host", "port", "sslmode", "sslrootcert"}
LIBPQ |= {"keepalives_idle", "keepalives_interval", "keepalives_count"}

pytestmark = pytest.mark.skipif(not PYTHON.exists(), reason="make test installs Synapse's parser")


def configurations(tree: Tree) -> list[Entry]:
    return [entry for entry in tree.of_kind("ConfigMap") if "homeserver.yaml" in entry.doc["data"]]


def moved(text: str, top: Path) -> str:
    """The configuration with its folders below another one: a test may not write /secrets."""
    return re.sub(r"(?m)(?<=[ ])/(secrets|tls|data|etc)/", rf"{top}/\1/", text)


# `python -m synapse.config`, of which importing is by far the most: done once, each configuration in a fork.
PARSER = """
import json, os, sys, traceback
from synapse.config.__main__ import main

for line in sys.stdin:
    said, *arguments = json.loads(line)
    if not (child := os.fork()):
        os.dup2(os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
        os.dup2(1, 2)
        try:
            main(["synapse.config", *arguments])
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(0)
    os.waitpid(child, 0)
    print(flush=True)
"""


@cache
def parser() -> subprocess.Popen[str]:
    """Started once; it ends with its standard input."""
    return subprocess.Popen([PYTHON, "-c", PARSER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@cache
def signing_key() -> str:
    """One that Synapse made."""
    generate = [PYTHON, "-m", "synapse._scripts.generate_signing_key"]
    return subprocess.run(generate, check=True, capture_output=True, text=True).stdout


def supplied(top: Path, text: str) -> Path:
    """The configuration below a folder, every file that it names being there."""
    home = top / "homeserver.yaml"
    home.write_text(moved(text, top))
    for value in re.findall(rf"{top}/\S+", home.read_text()):
        path = Path(value)
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.name == "signing.key":
            path.write_text(signing_key())
        elif "secrets" in value:
            path.write_text("0" * 64)
    return home


def parsed(top: Path, text: str, *more: Path) -> str:
    """What Synapse's parser says of a configuration. The words decide: its exit code is 0 in one case of failure."""
    home = supplied(top, text)
    files = [word for path in (home, *more) for word in ("-c", path)]
    process, said = parser(), top / "said"
    assert process.stdin and process.stdout
    process.stdin.write(json.dumps([str(word) for word in (said, *files, "--no-secrets-in-config")]) + "\n")
    process.stdin.flush()
    assert process.stdout.readline()
    return said.read_text().strip()


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
        assert AGREED in parsed(folder, entry.doc["data"]["homeserver.yaml"]).splitlines(), str(entry)


def test_a_secret_in_line_is_refused(tree: Tree, tmp_path: Path) -> None:
    text = configurations(tree)[0].doc["data"]["homeserver.yaml"]
    said = parsed(tmp_path, text + "form_secret: here\n")
    assert "form_secret" in said and AGREED not in said


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
        # A module's own are its own.
        or (
            path[:2] not in (("modules", "config"), ("media_storage_providers", "config"))
            # The list there is older than the one in docs/workers.md.
            and not (path[0] == "stream_writers" and f"##### The `{path[-1]}` stream" in WORKERS.read_text())
            # Its keys are names of workers.
            and path[0] != "instance_map"
            and len(path) > 1
            and not re.search(rf"\b{path[-1]}\b", sections()[path[0]])
            and path[-1] not in LIBPQ
        )
    ]


def test_every_option_is_documented(tree: Tree) -> None:
    for entry in configurations(tree):
        assert undocumented(yaml.safe_load(entry.doc["data"]["homeserver.yaml"])) == [], str(entry)


def test_the_storage_provider_reads_every_key(tree: Tree, fleet: Fleet) -> None:
    """Those of its own configuration; what it does not know it passes over in silence."""
    (module,) = SYNAPSE.rglob("venv/lib/*/site-packages/s3_storage_provider.py")
    read = set(re.findall(r"""config\[?(?:\.get\()?["'](\w+)["']""", module.read_text()))
    whole = changed(fleet, *VARIANTS["media in a bucket of one's own"])
    for one in (tree, drawn(whole)):
        for entry in configurations(one):
            for provider in yaml.safe_load(entry.doc["data"]["homeserver.yaml"]).get("media_storage_providers", []):
                assert set(provider["config"]) <= read, entry
    assert "bukket" not in read and "bucket" in read


# The reference fleet says little of these.
SAID = {"media", "auth", "consent", "admin_contact", "email", "appservices", "modules", "retention"}
SAYING = [name for name, changes in VARIANTS.items() if SAID & {key[1] for key, _ in changes}]


def mapped_folder(tree: Tree, entry: Entry, mount: str, top: Path) -> None:
    """The files of a ConfigMap that a volume maps to other names, written to where the Pod sees them."""
    for pod in tree.pods:
        volume = pod.volumes.get(mount)
        if volume and volume["configMap"]["name"] == entry.name:
            (place,) = {one["mountPath"] for c in pod.containers for one in c["volumeMounts"] if one["name"] == mount}
            for item in volume["configMap"]["items"]:
                file = top / place.lstrip("/") / item["path"]
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(entry.doc["data"][item["key"]])


@pytest.mark.parametrize("variant", SAYING)
def test_every_variant_loads_and_is_documented(variant: str, fleet: Fleet, tmp_path: Path) -> None:
    tree = drawn(changed(fleet, *VARIANTS[variant]))
    (entry,) = (entry for entry in configurations(tree) if entry.target == PROD)
    text = entry.doc["data"]["homeserver.yaml"]
    mapped_folder(tree, entry, "consent", tmp_path)
    assert AGREED in parsed(tmp_path, text).splitlines()
    assert undocumented(yaml.safe_load(text)) == []


def test_the_mail_password_is_joined_and_nothing_of_the_block_is_lost(fleet: Fleet, tmp_path: Path) -> None:
    tree = drawn(changed(fleet, *VARIANTS["mail by STARTTLS"]))
    (entry,) = (entry for entry in configurations(tree) if entry.target == PROD)
    data = entry.doc["data"]
    for name in ("join_email.py", "homeserver.yaml"):
        (tmp_path / name).write_text(data[name])
    (tmp_path / "password").write_text("not ours\n")
    joined = tmp_path / "email.yaml"
    command = [PYTHON, *(tmp_path / name for name in ("join_email.py", "homeserver.yaml", "password")), joined]
    subprocess.run(command, check=True)
    assert joined.stat().st_mode & 0o777 == 0o600
    said = yaml.safe_load(data["homeserver.yaml"])["email"]
    assert yaml.safe_load(joined.read_text()) == {"email": {**said, "smtp_pass": "not ours"}}
    assert AGREED in parsed(tmp_path, data["homeserver.yaml"], joined).splitlines()
    (pod,) = (pod for pod in tree.pods if pod.entry.name.endswith("-synapse"))
    readers = [c["name"] for c in pod.containers for m in c["volumeMounts"] if m["name"] == "secret-email"]
    assert readers == ["email"], "only the init container sees the password's file"
    assert [one.name for one in references(pod) if one.by == "volume secret-email"] == ["matrix-prod-email-1"]


def test_a_misspelt_option_is_found() -> None:
    assert undocumented({"max_upload_sise": "1M", "caches": {"global_facter": 1}}) == [
        "max_upload_sise",
        "caches.global_facter",
    ]


def test_log_configurations_are_pythons_own(tree: Tree, tmp_path: Path) -> None:
    program = "import logging.config, sys, yaml; logging.config.dictConfig(yaml.safe_load(sys.stdin))"
    # Tenants are alike.
    texts = {entry.doc["data"]["log.yaml"]: entry for entry in configurations(tree)}
    for text, entry in texts.items():
        here = text.replace("/data/logs/", f"{tmp_path}/")
        done = subprocess.run([PYTHON, "-c", program], input=here, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{entry}: {done.stderr}"
