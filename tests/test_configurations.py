"""What of the programs' own configurations a parser in Python can prove, and what browsers hold us to."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import crossplane
import pytest

from fleets import TOP
from matrixfleet.checks import Entry, Tree
from matrixfleet.drawing import draw_target
from matrixfleet.model import Fleet
from test_plan import WITH_WORKERS, changed
from test_plan import drawn as every_worker


def having(tree: Tree, name: str) -> list[Entry]:
    return [entry for entry in tree.of_kind("ConfigMap") if name in entry.doc["data"]]


def test_json_is_json(tree: Tree) -> None:
    for entry in tree.of_kind("ConfigMap"):
        for name, text in entry.doc["data"].items():
            if name.endswith(".json"):
                json.loads(text)


def nginx(entry: Entry, folder: Path) -> list[dict[str, Any]]:
    """nginx.conf as NGINX's own parser reads it, directives of unknown names or places refused."""
    for name, text in entry.doc["data"].items():
        text = text.replace("/etc/element/", f"{folder}/").replace("/etc/nginx/mime.types", f"{folder}/mime.types")
        (folder / name).write_text(text)
    (folder / "mime.types").write_text("types {}\n")
    read = crossplane.parse(str(folder / "nginx.conf"), strict=True, combine=True)
    assert read["status"] == "ok", f"{entry}: {read['errors']}"
    return read["config"][0]["parsed"]  # type: ignore[no-any-return]


def inside(directives: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Every directive of a name, however deep."""
    found = []
    for directive in directives:
        if directive["directive"] == name:
            found.append(directive)
        found += inside(directive.get("block", []), name)
    return found


SECURE = {
    "Content-Security-Policy",
    "X-Frame-Options",
    "X-Content-Type-Options",
    "Referrer-Policy",
    "Strict-Transport-Security",
    "Permissions-Policy",
}


def test_nginx_reads_it_and_every_location_has_the_headers(tree: Tree, tmp_path: Path) -> None:
    entries = having(tree, "nginx.conf")
    assert entries
    for entry in entries:
        folder = tmp_path / entry.target
        folder.mkdir()
        servers = inside(nginx(entry, folder), "server")
        listens = [inside(server["block"], "listen")[0]["args"][0] for server in servers]
        # The one on the Pod's own loopback tells numbers to the exporter beside it, and nothing to the world.
        world = [server for server, at in zip(servers, listens, strict=True) if not at.startswith("127.0.0.1:")]
        assert len(world) == 1
        for location in inside(world, "location"):
            headers = {header["args"][0] for header in inside(location["block"], "add_header")}
            assert headers > SECURE, f"{entry}: location {location['args']} lacks {SECURE - headers}"


def test_a_directive_that_nginx_does_not_know_is_refused(tree: Tree, tmp_path: Path) -> None:
    entry = having(tree, "nginx.conf")[0]
    text = entry.doc["data"]["nginx.conf"].replace("server_tokens off", "server_token off")
    broken = Entry(entry.path, {**entry.doc, "data": {**entry.doc["data"], "nginx.conf": text}})
    with pytest.raises(AssertionError, match="unknown directive"):
        nginx(broken, tmp_path)


def test_scripts_come_from_the_client_alone(tree: Tree) -> None:
    for entry in having(tree, "headers.conf"):
        policy = re.search(r'Content-Security-Policy "([^"]+)"', entry.doc["data"]["headers.conf"])
        assert policy
        rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
        assert rules["default-src"] == "'none'" and rules["object-src"] == "'none'"
        assert rules["script-src"] == "'self' 'wasm-unsafe-eval'"
        assert rules["frame-ancestors"] == "'self'"


def test_element_is_as_the_tenant_says(fleet: Fleet) -> None:
    element = {
        "branding": {
            "brand": "Talk",
            "logo": "https://example.com/logo.svg",
            "footer_links": {"Privacy": "https://example.com/privacy"},
            "themes": [{"name": "Deep", "is_dark": True, "colors": {"accent-color": "#123456"}}],
            "default_theme": "custom-Deep",
        },
        "integrations": {"ui_url": "https://i.example.com/ui", "rest_url": "https://i.example.com/api"},
    }
    changed = fleet.changed("eu1.matrix-prod", ("matrix", "element"), element)
    files = draw_target(changed, "eu1.matrix-prod", TOP)
    data = Tree.of({f"eu1/matrix-prod/{path}": text for path, text in files.items()}).find(
        "eu1", "ConfigMap", "matrix-prod", "matrix-prod-element"
    )
    assert data is not None
    config = json.loads(data.doc["data"]["config.json"])
    assert config["brand"] == "Talk" and config["default_theme"] == "custom-Deep"
    assert config["default_server_config"]["m.homeserver"] == {
        "base_url": "https://matrix.example.com",
        "server_name": "example.com",
    }
    assert config["branding"]["auth_footer_links"] == [{"text": "Privacy", "url": "https://example.com/privacy"}]
    assert config["setting_defaults"]["custom_themes"][0]["name"] == "Deep"
    assert config["integrations_widgets_urls"] == ["https://i.example.com/api/widgets"]
    assert json.loads(data.doc["data"]["manifest.json"])["short_name"] == "Talk"


@pytest.mark.skipif(not shutil.which("haproxy"), reason="HAProxy is not installed; .ci/run installs it")
@pytest.mark.parametrize("which", ["reference fleet", "every worker"])
def test_haproxy_accepts_every_router(which: str, tree: Tree, fleet: Fleet, tmp_path: Path) -> None:
    if which == "every worker":
        tree = every_worker(changed(fleet, *WITH_WORKERS))
    routers = having(tree, "haproxy.cfg")
    assert routers
    for entry in routers:
        folder = tmp_path / entry.name
        folder.mkdir()
        for name, text in entry.doc["data"].items():
            (folder / name).write_text(text.replace("/usr/local/etc/haproxy", str(folder)))
        command = ["haproxy", "-c", "-f", str(folder / "haproxy.cfg")]
        checked = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert checked.returncode == 0, f"{entry}: {checked.stdout}{checked.stderr}"
        assert "[ALERT]" not in checked.stderr, f"{entry}: {checked.stderr}"
