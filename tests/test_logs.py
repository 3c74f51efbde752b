"""What the agent makes of log lines: the compiled program, in Vector's own runtime, over lines of the real programs.

tests/logs/ holds lines as the running programs of the service suite wrote them, a file a component.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from vrl_python import VRLRuntime

from fleets import TOP
from matrixfleet.checks import Tree
from matrixfleet.checks.tree import Entry

LINES = TOP / "tests/logs"
LOKI, ELASTICSEARCH = "eu1", "ap1"
TOKEN = "syt_YWxpY2U_kXjQhZLmNoPqRsTuVwXy_0aB1cD"


def configuration(tree: Tree, cluster: str) -> dict[str, str]:
    """The agent's compiled files."""
    found = tree.find(cluster, "ConfigMap", "fleet-logs", "platform-logs")
    assert isinstance(found, Entry)
    return dict(found.doc["data"])


@pytest.fixture(scope="module")
def program(tree: Tree) -> str:
    return configuration(tree, LOKI)["clean.vrl"]


def cleaned(
    program: str, line: str, labels: dict[str, str] | None = None, namespace: str = "acme-eu"
) -> dict[str, Any]:
    """A line as the agent's source gives it, and what becomes of it."""
    said = labels or {"app.kubernetes.io/instance": "acme-eu", "app.kubernetes.io/component": "synapse"}
    event = {
        "message": line,
        "timestamp": "2026-11-24T13:03:51Z",
        "stream": "stdout",
        "kubernetes": {
            "pod_labels": said,
            "pod_namespace": namespace,
            "pod_name": "acme-eu-synapse-0",
            "container_name": "synapse",
            "pod_node_name": "node-1",
        },
    }
    return dict(VRLRuntime().execute(program, event).processed_event)


def real_lines() -> Iterator[tuple[str, str]]:
    for path in sorted(LINES.glob("*.txt")):
        yield from ((path.stem, line) for line in path.read_text().splitlines())


def test_real_lines_keep_what_they_say(program: str) -> None:
    for component, line in real_lines():
        labels = {"app.kubernetes.io/instance": "acme-eu", "app.kubernetes.io/component": component}
        found = cleaned(program, line, labels)
        assert (found["tenant"], found["component"]) == ("acme-eu", component)
        # But for the host's part of addresses nothing is lost, and JSON stays JSON.
        hosts = re.compile(r"\b(\d+\.\d+\.\d+\.)\d+\b")
        assert found["message"] == hosts.sub(r"\g<1>0", line)
        if line.startswith("{"):
            assert json.loads(found["message"])


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ('{"log":"Failed password login for user @alice:example.com","level":"WARNING"}', "warning"),
        ("2026-11-24 13:04:03.998 GMT [102] synapse_odd@synapse FATAL:  terminating connection", "fatal"),
        ("2026-11-24 13:03:32.314 GMT [1] LOG:  starting PostgreSQL 15.20", "info"),
    ],
)
def test_levels(program: str, line: str, level: str) -> None:
    assert cleaned(program, line)["level"] == level


@pytest.mark.parametrize(
    ("line", "clean"),
    [
        (f"GET /_matrix/client/v3/sync?access_token={TOKEN}&since=s1", "access_token=<token>&since=s1"),
        (f"DETAIL:  Key (token)=({TOKEN}) already exists.", "Key (token)=(<token>) already exists."),
        (f"Authorization: Bearer {TOKEN}", "Authorization: Bearer <token>"),
        ('{"type":"m.login.password","password":"correct horse"}', '"password":"<secret>"}'),
        ('{"log":"body {\\"refresh_token\\":\\"syr_abcdefgh\\"}"}', '\\"refresh_token\\":\\"<'),
        (
            "GET /_synapse/client/oidc/callback?code=4/0AbCdEf&state=xyz HTTP",
            "callback?code=<secret>&state=<secret> HTTP",
        ),
        ("password reset for alice.b@mail.example.com", "password reset for <mail>"),
        ('{"medium": "msisdn", "address": "447700900123"}', "<number>"),
        ('{"client":"203.0.113.77","path":"/"}', '{"client":"203.0.113.0","path":"/"}'),
        ("from 2001:db8:85a3::8a2e:370:7334 at 12:34:56", "from 2001:db8:: at 12:34:56"),
        ("from [2001:db8::1]:443", "from [2001:db8::]:443"),
    ],
)
def test_what_nobody_may_read_is_taken_out(program: str, line: str, clean: str) -> None:
    found = cleaned(program, line)["message"]
    assert clean in found
    for secret in (
        TOKEN,
        "correct",
        "horse",
        "syr_abcdefgh",
        "4/0AbCdEf",
        "alice.b",
        "447700900123",
        "203.0.113.77",
        "370:7334",
    ):
        assert secret not in found


def test_what_is_needed_stays(program: str) -> None:
    line = "@alice:example.com sent $abc to !room:example.com; HTTP 401 M_UNKNOWN_TOKEN, error code: 5000, token_id 12"
    assert cleaned(program, line)["message"] == line


@pytest.mark.parametrize(
    ("labels", "whose"),
    [
        ({"cnpg.io/cluster": "acme-eu-postgresql", "app.kubernetes.io/instance": "x"}, ("acme-eu", "postgresql")),
        ({"cnpg.io/poolerName": "acme-eu-pgbouncer", "cnpg.io/cluster": "no"}, ("acme-eu", "pgbouncer")),
    ],
)
def test_an_operators_pods_are_their_tenants(program: str, labels: dict[str, str], whose: tuple[str, str]) -> None:
    found = cleaned(program, "LOG: ready", labels)
    assert (found["tenant"], found["component"]) == whose


def test_a_line_of_nobody_is_not_handed_on(program: str) -> None:
    with pytest.raises(RuntimeError, match="abort"):
        cleaned(program, "a line", {"app": "other"}, namespace="")


def test_every_line_passes_both_and_the_agent_is_no_reader_of_itself(tree: Tree) -> None:
    for cluster in (LOKI, ELASTICSEARCH):
        made = yaml.safe_load(configuration(tree, cluster)["vector.yaml"])
        assert made["sinks"]["store"]["inputs"] == ["limit"] and made["transforms"]["limit"]["inputs"] == ["clean"]
        assert made["transforms"]["clean"]["drop_on_error"] and made["transforms"]["clean"]["inputs"] == ["pods"]
        agent = tree.find(cluster, "DaemonSet", "fleet-logs", "platform-logs")
        assert agent and agent.spec["template"]["metadata"]["labels"]["vector.dev/exclude"] == "true"
    assert tree.find("us1", "DaemonSet", "fleet-logs", "platform-logs") is None


def test_sinks_name_what_the_program_makes(tree: Tree, program: str) -> None:
    """A template of a field that is not there drops the line."""
    made = set(cleaned(program, "a line"))
    for cluster in (LOKI, ELASTICSEARCH):
        text = configuration(tree, cluster)["vector.yaml"]
        names = set(re.findall(r"{{ (\w+) }}", text))
        assert names and names <= made


def test_saved_queries_name_labels_that_there_are(tree: Tree) -> None:
    sink = yaml.safe_load(configuration(tree, LOKI)["vector.yaml"])["sinks"]["store"]
    known = {*sink["labels"], *sink["structured_metadata"]}
    pages = [*(TOP / "docs/runbooks").glob("*.md"), TOP / "docs/logs.md"]
    queries = [query for page in pages for query in re.findall(r"`(\{[a-z]+=~?\"[^`]*)`", page.read_text())]
    assert len(queries) > 10
    for query in queries:
        selector = re.match(r"\{([^}]*)\}", query)
        assert selector and set(re.findall(r"(\w+)=~?\"", selector[1])) <= known, query


def test_the_source_knows_its_node_without_interpolation(tree: Tree) -> None:
    """Vector 0.57 keeps `${VAR}` as it is: nothing in a configuration of it may depend on one."""
    for cluster in (LOKI, ELASTICSEARCH):
        source = yaml.safe_load(configuration(tree, cluster)["vector.yaml"])["sources"]["pods"]
        assert "self_node_name" not in source
        agent = tree.find(cluster, "DaemonSet", "fleet-logs", "platform-logs")
        assert isinstance(agent, Entry)
        (container,) = agent.spec["template"]["spec"]["containers"]
        node = {"fieldRef": {"apiVersion": "v1", "fieldPath": "spec.nodeName"}}
        assert {"name": "VECTOR_SELF_NODE_NAME", "valueFrom": node} in container["env"]


DASHBOARDS = re.compile(r"-dashboard-")


def test_no_program_is_trusted_to_replace_variables(tree: Tree) -> None:
    """Of the compiled files shell scripts and dashboards (Grafana's own variables) alone have `${VAR}`."""
    for entry in tree.of_kind("ConfigMap"):
        if DASHBOARDS.search(entry.name):
            continue
        for name, text in entry.doc["data"].items():
            # A replacement in VRL names its captures so.
            if not name.endswith((".sh", ".vrl")):
                assert not re.search(r"\$\{[A-Za-z_]", text), f"{entry}: {name}"
