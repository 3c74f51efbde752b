"""Secrets from stores and from the cluster: Pods that look the same, rotations without a gap, and the command."""

from __future__ import annotations

import io
import json
import stat
from pathlib import Path
from typing import Any

import pytest

from fleets import TOP, Repository
from matrixfleet.checks import Tree, run
from matrixfleet.cli.compile import read_fleet
from matrixfleet.cli.secrets import create_absent, fresh_values, told
from matrixfleet.drawing import draw_target
from matrixfleet.errors import FleetError
from matrixfleet.model import Fleet
from test_plan import PROD, changed, drawn

ACCOUNT = {"namespace": "external-secrets", "name": "external-secrets"}
PROVIDERS: dict[str, dict[str, Any]] = {
    "VAULT": {"server": "https://vault.example.com", "role": "matrix-fleet", "account": ACCOUNT},
    "AWS": {"region": "eu-central-1", "account": ACCOUNT},
    "GCP": {"project": "example", "cluster_location": "europe-west3", "cluster_name": "eu1", "account": ACCOUNT},
    "AZURE": {"vault_url": "https://example.vault.azure.net", "account": ACCOUNT},
    "KUBERNETES": {"ca": "external-secrets/kube-root-ca.crt", "namespace": "secrets", "account": ACCOUNT},
}


def external(provider: str, **block: Any) -> dict[str, Any]:
    store = {"name": "fleet", "provider": provider.lower(), **block}
    return {"kind": "external-secrets", "store": store}


# EXTERNAL_SECRETS with each store, made by the platform or there already, and VAULT's own operator.
SOURCES: dict[str, dict[str, Any]] = {
    **{f"EXTERNAL_SECRETS, {name}": external(name, **{name.lower(): block}) for name, block in PROVIDERS.items()},
    "EXTERNAL_SECRETS, a store that is there": external("AWS"),
    "VAULT": {"kind": "vault", "vault": {"auth": "vault-secrets-operator/fleet"}},
}
ROTATED = [
    (("matrix", "secrets"), 2),
    (("matrix", "turn", "secret"), 3),
    (("matrix", "database", "credentials"), 2),
    (("matrix", "synapse", "signing_key"), "secret"),
]


def sourced(fleet: Fleet, source: dict[str, Any], *changes: Any) -> Fleet:
    return changed(fleet, (("cluster", "secrets"), source), *changes)


@pytest.mark.parametrize("rotated", [False, True], ids=["first generation", "rotated"])
@pytest.mark.parametrize("source", SOURCES)
def test_every_rule_holds(source: str, rotated: bool, fleet: Fleet) -> None:
    tree = drawn(sourced(fleet, SOURCES[source], *(ROTATED if rotated else [])))
    assert [str(finding) for finding in run(tree, whole_fleet=False)] == []
    stores = tree.of_kind("ClusterSecretStore")
    assert len(stores) == (1 if source.startswith("EXTERNAL_SECRETS, ") and "there" not in source else 0)


@pytest.mark.parametrize("source", SOURCES)
def test_pods_look_the_same_and_nobody_may_make_secrets(source: str, fleet: Fleet) -> None:
    here, there = (draw_target(one, PROD, TOP) for one in (fleet, sourced(fleet, SOURCES[source])))
    pods = [path for path in here if "/synapse/" in path or "/turn/" in path or "/postgresql/" in path]
    assert pods and all(here[path] == there[path] for path in pods)
    assert any("/bootstrap/" in path for path in here) and not [path for path in there if "bootstrap" in path]
    assert not [path for path in there if path.startswith("fence/role")]


def test_names_in_stores(fleet: Fleet) -> None:
    def remote(source: str) -> str:
        (order,) = [
            one
            for one in drawn(sourced(fleet, SOURCES[source])).of_kind("ExternalSecret", "VaultStaticSecret")
            if one.name == "matrix-prod-synapse-1"
        ]
        return str(order.spec.get("path") or order.spec["data"][0]["remoteRef"]["key"])

    assert remote("VAULT") == remote("EXTERNAL_SECRETS, AWS") == "matrix-fleet/eu1/matrix-prod/synapse-1"
    assert remote("EXTERNAL_SECRETS, AZURE") == "matrix-fleet--eu1--matrix-prod--synapse-1"


def touched(fleet: Fleet, *changes: Any) -> set[str]:
    """Folders and files of the fence that a change reaches."""
    before, after = (draw_target(one, PROD, TOP) for one in (fleet, changed(fleet, *changes)))
    paths = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    return {path.split("/")[1] for path in paths} - {"README.md"}


def test_a_new_database_password_restarts_no_database(fleet: Fleet) -> None:
    change = (("matrix", "database", "credentials"), 2)
    assert touched(fleet, change) == {"synapse", "roles", "bootstrap", "role-matrix-prod-bootstrap.yaml"}
    tree = drawn(changed(fleet, change))
    config = tree.find("eu1", "ConfigMap", "matrix-prod", "matrix-prod-synapse")
    assert config is not None and "user: synapse_even" in config.doc["data"]["homeserver.yaml"]
    (job,) = [job for job in tree.of_kind("Job") if "roles" in job.name]
    assert job.spec["template"]["spec"]["containers"][0]["command"][-1] == "synapse_even"


def test_coturn_holds_the_generation_before_too(fleet: Fleet) -> None:
    def files(generation: int) -> list[str]:
        tree = drawn(changed(fleet, (("matrix", "turn", "secret"), generation)))
        (turn,) = [one for one in tree.of_kind("DaemonSet") if one.name == "matrix-prod-turn"]
        command = turn.spec["template"]["spec"]["initContainers"][0]["command"]
        assert {place for place in command if place.startswith("/secrets/")} == {
            f"{mount['mountPath']}/shared_secret"
            for mount in turn.spec["template"]["spec"]["initContainers"][0]["volumeMounts"]
            if mount["mountPath"].startswith("/secrets/")
        }
        volumes = turn.spec["template"]["spec"]["volumes"]
        return [volume["secret"]["secretName"] for volume in volumes if volume["name"].startswith("secret-")]

    assert files(1) == ["matrix-prod-turn-1"]
    assert files(3) == ["matrix-prod-turn-3", "matrix-prod-turn-2"]


def test_an_order_keeps_its_generation(fleet: Fleet) -> None:
    for source, policy in (("VAULT", {"version": 1}), ("EXTERNAL_SECRETS, AWS", {"refreshPolicy": "CreatedOnce"})):
        orders = drawn(sourced(fleet, SOURCES[source])).of_kind("ExternalSecret", "VaultStaticSecret")
        assert {(order.namespace, order.name) for order in orders} == {
            ("matrix-prod", "matrix-prod-synapse-1"),
            ("matrix-prod", "matrix-prod-database-1"),
            ("matrix-prod", "matrix-prod-turn-1"),
            ("matrix-prod-turn", "matrix-prod-turn-1"),
        }
        for order in orders:
            assert policy.items() <= order.spec.items()
            assert order.annotations["argocd.argoproj.io/compare-options"] == "IgnoreExtraneous"


EU1 = "inventory/classes/cluster/eu1.yml"


def of_store(tmp_path: Path, line: str) -> Repository:
    repository = Repository(tmp_path)
    repository.write(EU1, repository.read(EU1) + line)
    return repository


@pytest.mark.parametrize(
    ("said", "says"),
    [
        ("{kind: vault}", "secrets: expected secrets.vault, since secrets.kind is vault, got 'none'"),
        (
            "{kind: external-secrets, vault: {auth: a/b}}",
            "secrets: expected secrets.store, since secrets.kind is external-secrets, got 'none'",
        ),
        (
            "{kind: kubernetes, vault: {auth: a/b}}",
            "secrets: expected no secrets.vault, since secrets.kind is kubernetes, got 'one'",
        ),
        (
            "{kind: external-secrets, store: {name: a, provider: aws, azure: "
            "{vault_url: 'https://a.b', account: {namespace: a, name: b}}}}",
            "secrets.store: expected the block aws, as provider says, got 'azure'; remove one of them",
        ),
        ("{kind: vault, vault: {auth: fleet}}", "secrets.vault.auth: expected namespace/name, got 'fleet'"),
        (
            "{path: 'a b'}",
            "secrets.path: expected words joined by '/' or '-' (matrix/fleet), got 'a b'",
        ),
    ],
)
def test_what_is_wrong_is_told(said: str, says: str, tmp_path: Path) -> None:
    of_store(tmp_path, f"    secrets: {said}\n")
    with pytest.raises(FleetError) as caught:
        read_fleet(tmp_path)
    lines = str(caught.value).splitlines()
    appended = len((TOP / EU1).read_text().splitlines()) + 1
    assert f"{EU1}:{appended}: cluster.{says}" in lines, lines


def test_the_command_tells_every_secret() -> None:
    said = told(TOP, PROD)
    tree = Tree.read(TOP / "compiled", targets={PROD})
    assert {line for line in said.splitlines() if line and not line.startswith(" ")} == {
        f"{namespace}/{name}" for _, namespace, name in tree.produced_secrets
    }
    assert (
        """\
matrix-prod/matrix-prod-database-1
  keys      password
  made by   Job matrix-prod-bootstrap-"""
        in said
    )
    assert "rotate    matrix.database.credentials: 2 in inventory/targets/eu1/matrix-prod.yml" in said
    assert "read by   Issuer matrix-prod-postgresql-ca\n  rotate    nothing to do: cert-manager renews it" in said
    assert "nobody" not in said


def test_the_command_tells_what_is_in_backups() -> None:
    said = {part.splitlines()[0].partition("/")[2]: part for part in told(TOP, "eu1.matrix-ha").split("\n\n")}
    keys = "with the tenant's keys, encrypted to its recipients, in both buckets"
    for name, makes, kept in (
        ("signing-key-1", "Job matrix-ha-bootstrap-", keys),
        ("backup-key-1", "Job matrix-ha-bootstrap-", keys),
        ("backup-1", "a person; Job matrix-ha-bootstrap-", "none: whoever gave it has it"),
        ("turn-1", "Job matrix-ha-bootstrap-", "none: another one is made"),
        ("turn-tls", "Certificate matrix-ha-turn", "none: cert-manager has another one signed"),
    ):  # fmt: skip
        assert f"  made by   {makes}" in said[f"matrix-ha-{name}"], name
        assert f"  backup    {kept}" in said[f"matrix-ha-{name}"], name
    assert "rotate    never: what is backed up is read with it" in said["matrix-ha-backup-key-1"]
    assert "  backup    none: it is lost with the cluster" in told(TOP, PROD)
    assert "  backup    none: the store has it" in told(TOP, "us1.research")


def test_the_command_tells_how_to_fill_a_store() -> None:
    said = told(TOP, "us1.research")
    assert "made by   ExternalSecret, from ClusterSecretStore matrix-fleet" in said
    assert (
        "  fill      matrix-fleet secrets us1.research --fresh research-database-1 | aws secretsmanager create-secret"
        " --name matrix-fleet/us1/research/database-1 --secret-string file:///dev/stdin" in said
    )
    assert (
        """  fill      jq -n --rawfile v0 client_secret '{"client_secret": $v0}' | aws secretsmanager create-secret"""
        " --name matrix-fleet/us1/research/oidc-lab-1 --secret-string file:///dev/stdin" in said
    )
    assert "rotate    never: it is the server's identity" in said
    with pytest.raises(FleetError, match="--create: Secrets of us1 come from a store"):
        create_absent(TOP, "us1.research", "us1")


def test_fresh_values_go_into_a_pipe_alone() -> None:
    out = io.StringIO()
    fresh_values(TOP, PROD, "matrix-prod-synapse-1", out)
    values = json.loads(out.getvalue())
    assert set(values) == {"macaroon_secret_key", "form_secret", "registration_shared_secret"}
    assert {len(value) for value in values.values()} == {64} and len(set(values.values())) == 3
    out.isatty = lambda: True  # type: ignore[method-assign]
    with pytest.raises(FleetError, match="expected a pipe, got a terminal"):
        fresh_values(TOP, PROD, "matrix-prod-synapse-1", out)
    with pytest.raises(FleetError, match="no Secret 'matrix-prod-synapse', did you mean matrix-prod-synapse-1"):
        fresh_values(TOP, PROD, "matrix-prod-synapse", out)


KUBECTL = """\
#!/bin/sh
# A stand-in that keeps Secrets as files: kubectl --context C get|create --raw PATH [-f -]
echo "$@" >>"$STORE/arguments"
name=$STORE/$(basename "$5")
case $3 in
  get) [ -e "$name" ] || { echo 'Error from server (NotFound): no' >&2; exit 1; }; cat "$name" ;;
  create)
    cat >"$STORE/body"
    name=$STORE/$(sed 's/.*"name": "\\([^"]*\\)".*/\\1/' "$STORE/body")
    [ ! -e "$name" ] || { echo 'Error from server (AlreadyExists): no' >&2; exit 1; }
    cp "$STORE/body" "$name"; cat "$name" ;;
esac
"""


def test_what_is_absent_is_created_and_the_rest_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store, tools = tmp_path / "store", tmp_path / "bin"
    store.mkdir()
    tools.mkdir()
    program = tools / "kubectl"
    program.write_text(KUBECTL)
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setenv("STORE", str(store))
    kept = '{"data": {"password": "a2VwdA=="}}'
    (store / "matrix-prod-database-1").write_text(kept)
    assert create_absent(TOP, PROD, "eu1") == "3 Secrets are there"
    assert (store / "matrix-prod-database-1").read_text() == kept
    made = json.loads((store / "matrix-prod-synapse-1").read_text())
    assert made["immutable"] is True and set(made["data"]) > {"form_secret"}
    arguments = (store / "arguments").read_text()
    assert all(line.startswith("--context eu1 ") for line in arguments.splitlines())
    assert not [value for value in made["data"].values() if value in arguments]
