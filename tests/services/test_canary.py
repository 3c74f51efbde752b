"""The canary of a tenant that has one: it says what stands in its way, and does what people do where nothing does."""

import base64
import re
from pathlib import Path

import pytest
from harness import bring_up, eventually, variant

from fleetnode import overlays

NAME = "mine"
TENANT = f"""\
classes:
  - pattern.single-tenant
  - feature.closed-federation
parameters:
  matrix:
    size: small
    server_name: {NAME}.example.org
    hosts: {{matrix: matrix.{NAME}.example.org}}
    probes: {{canary: true}}
"""
FORBIDDEN = (
    "canary: log in: 403 M_FORBIDDEN: Invalid username or password; is the user registered, with the password of"
    " this Secret? docs/monitoring.md has the command\n"
)


@pytest.fixture(scope="module")
def mine(node, world, tmp_path_factory):
    folder = variant(tmp_path_factory.mktemp("fleet"), NAME, TENANT)
    return bring_up(node, world, folder, (*overlays.SINGLE_TENANT, overlays.trusting(world.pem)))


def register(mine, password):
    """As docs/monitoring.md says: the password comes on standard input, where no audit log sees it."""
    said = "python -m synapse._scripts.register_new_matrix_user --config /etc/synapse/homeserver.yaml --user canary"
    said = f"printf %s {password} | {said} --password-file /dev/stdin --no-admin http://localhost:8008"
    output = Path(mine.node.directory, "canary.txt")
    code = mine.pod("synapse").container("synapse").execute(["sh", "-c", said], 60, output)
    assert code == 0, output.read_text()


def test_whoever_is_not_there_is_told_of(mine):
    assert mine.job("canary") == ("Failed", FORBIDDEN)


def test_it_writes_and_reads(mine, node):
    secret = node.objects.need("Secret", mine.namespace, f"{NAME}-canary-1")
    register(mine, base64.b64decode(secret["data"]["password"]).decode())
    for _ in range(2):
        phase, said = mine.job("canary")
        assert phase == "Succeeded" and re.fullmatch(r"canary: a message was written and read after [\d.]+ s\n", said)
    messages = "SELECT count(*), count(DISTINCT room_id) FROM events WHERE type = 'm.room.message'"
    assert mine.sql(messages) == [["2", "1"]], "each time into the same room"
    for table in ("access_tokens", "devices"):
        assert mine.sql(f"SELECT count(*) FROM {table} WHERE device_id = 'canary'") == [["0"]], "and logs out"


def test_it_says_who_does_not_answer(mine, node):
    """The router says so while Synapse is away, and nobody while the router is."""
    for component, wanted in (
        ("synapse", r"canary: log in: 50\d M_UNKNOWN: .+\n"),
        ("router", rf"canary: log in: no answer of http://{NAME}-router\.{NAME}\.svc\.cluster\.local:8080: .+\n"),
    ):
        taken = node.objects.need("Deployment", mine.namespace, f"{NAME}-{component}")
        node.remove("Deployment", mine.namespace, f"{NAME}-{component}")
        try:
            phase, said = mine.job("canary")
            assert phase == "Failed" and re.fullmatch(wanted, said), said
        finally:
            node.wait_ready(120, node.apply([taken]))
    eventually(lambda: mine.job("canary")[0] == "Succeeded", 120)
