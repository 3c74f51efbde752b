"""What may not change between two commits: each rule with a change that it refuses."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fleets import TOP, Repository
from matrixfleet.checks import Tree
from matrixfleet.checks.base import RULES, changes
from matrixfleet.errors import FleetError
from rules.breaking import MEDIA, POSTGRESQL, PROD, SYNAPSE, drop, put

CONFIG = f"{PROD}/workload/synapse/configmap-matrix-prod-synapse.yaml"
Change = Callable[[Tree], Tree]


def replace(old: str, new: str) -> Change:
    """In homeserver.yaml."""

    def change(tree: Tree) -> Tree:
        text = tree.entries[CONFIG].doc["data"]["homeserver.yaml"]
        assert old in text
        return put(CONFIG, "data", "homeserver.yaml", to=text.replace(old, new))(tree)

    return change


def moved(tree: Tree) -> Tree:
    return put(CONFIG, "metadata", "namespace", to="elsewhere")(tree)


REFUSED: dict[str, list[tuple[Change, str]]] = {
    "immutable": [
        (
            put(POSTGRESQL, "spec", "serviceName", to="other"),
            "spec.serviceName cannot change while the object lives",
        ),
        (put(SYNAPSE, "spec", "selector", "matchLabels", to={"a": "b"}), "spec.selector cannot change"),
        (put(MEDIA, "spec", "storageClassName", to="other"), "spec.storageClassName cannot change"),
    ],
    "data-kept": [
        (
            drop(MEDIA),
            "removed while eu1.matrix-prod runs; set matrix.state: stopped in a pull request of its own",
        ),
        (
            drop(f"{PROD}/fence/namespace-matrix-prod.yaml"),
            "Namespace matrix-prod: removed while eu1.matrix-prod runs",
        ),
    ],
    "no-shrinking": [
        (
            put(MEDIA, "spec", "resources", "requests", "storage", to="9Gi"),
            "10Gi cannot become 9Gi; expected 10Gi or more",
        ),
    ],
    "identity": [
        (
            replace("server_name: example.com", "server_name: example.net"),
            "server_name was 'example.com', is 'example.net'",
        ),
        (
            replace("/data/signing-key/", "/secrets/signing-key/"),
            "signing_key_path was '/data/signing-key/signing.key'",
        ),
        (moved, "was in namespace matrix-prod; expected no change"),
    ],
    "duties-move-while-stopped": [
        (
            replace("report_stats: false", "report_stats: false\nfederation_sender_instances: [a, b]"),
            "federation_sender_instances changes while eu1.matrix-prod runs; set matrix.state: stopped, then change it",
        ),
    ],
    "postgresql-major": [
        (
            put(POSTGRESQL, "metadata", "labels", "app.kubernetes.io/version", to="19.1"),
            "PostgreSQL 18 cannot become 19 in place",
        ),
    ],
}
QUOTA = f"{PROD}/fence/resourcequota-matrix-prod-fence.yaml"


def smaller(tree: Tree) -> Tree:
    """The database asks for less, and the quota has room for what will be, not for what is."""
    container = ("spec", "template", "spec", "containers", 0)
    tree = put(POSTGRESQL, *container, "resources", "limits", "memory", to="512Mi")(tree)
    return put(QUOTA, "spec", "hard", "limits.memory", to="3Gi")(tree)


REFUSED["room-to-shrink"] = [
    (smaller, "limits.memory falls to 3221225472, and while StatefulSet matrix-prod/matrix-prod-postgresql rolls"),
]
CASES = [
    pytest.param(rule, change, says, id=f"{rule}: {says[:40]}")
    for rule, ones in REFUSED.items()
    for change, says in ones
]


def test_every_rule_has_an_example() -> None:
    assert REFUSED.keys() == RULES.keys()


@pytest.mark.parametrize("rule", RULES)
def test_nothing_is_said_of_nothing(rule: str, tree: Tree) -> None:
    assert list(RULES[rule](tree, tree)) == []


@pytest.mark.parametrize(("rule", "change", "says"), CASES)
def test_refuses(rule: str, change: Change, says: str, tree: Tree) -> None:
    said = [str(finding) for finding in RULES[rule](tree, change(tree))]
    assert any(says in line and f"[{rule}]" in line for line in said), said


def test_a_stopped_tenant_may_go(tree: Tree) -> None:
    stopped = put(SYNAPSE, "spec", "replicas", to=0)(tree)
    gone = stopped
    for path in [path for path in tree.entries if path.startswith(PROD)]:
        gone = gone.without(path)
    assert list(RULES["data-kept"](stopped, gone)) == []


def test_a_stopped_tenant_may_share_out_its_duties_anew(tree: Tree) -> None:
    stopped = put(SYNAPSE, "spec", "replicas", to=0)(tree)
    changed = replace("report_stats: false", "report_stats: false\npusher_instances: [a]")(stopped)
    assert list(RULES["duties-move-while-stopped"](stopped, changed)) == []


def test_a_stopped_tenant_may_shrink(tree: Tree) -> None:
    stopped = put(SYNAPSE, "spec", "replicas", to=0)(tree)
    assert list(RULES["room-to-shrink"](stopped, smaller(stopped))) == []


def test_a_quota_may_fall_that_has_room_left(tree: Tree) -> None:
    quota = tree.entries[QUOTA].spec["hard"]["limits.memory"]
    assert quota.endswith("Mi")
    less = put(QUOTA, "spec", "hard", "limits.memory", to=f"{int(quota[:-2]) - 1}Mi")(tree)
    less = put(POSTGRESQL, "spec", "template", "metadata", "annotations", to={"a": "b"})(less)
    assert list(RULES["room-to-shrink"](tree, less)) == []


def test_a_restore_of_a_dump_may_change_the_major_version(tree: Tree) -> None:
    containers = tree.entries[POSTGRESQL].spec["template"]["spec"]["containers"]
    newer = put(POSTGRESQL, "metadata", "labels", "app.kubernetes.io/version", to="19.1")(tree)
    newer = put(POSTGRESQL, "spec", "template", "spec", "containers", to=[*containers, {"name": "restore"}])(newer)
    assert list(RULES["postgresql-major"](tree, newer)) == []


def test_a_claim_may_grow(tree: Tree) -> None:
    grown = put(MEDIA, "spec", "resources", "requests", "storage", to="1Ti")(tree)
    for rule in RULES.values():
        assert list(rule(tree, grown)) == []


def git(top: Path, *arguments: str) -> None:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com", *arguments]
    subprocess.run(command, cwd=top, check=True, capture_output=True)


def test_a_commit_is_read_from_git(tmp_path: Path, tree: Tree) -> None:
    repository = Repository(tmp_path)
    shutil.copytree(TOP / "compiled", tmp_path / "compiled")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "compiled")
    git(tmp_path, "commit", "-qm", "base")
    repository.edit(f"compiled/{MEDIA}", "storage: 10Gi", "storage: 1Gi")
    found = [str(finding) for finding in changes(tmp_path, "HEAD", Tree.read(tmp_path / "compiled"))]
    assert len(found) == 1 and "10Gi cannot become 1Gi" in found[0]
    with pytest.raises(FleetError, match="no commit 'nowhere' here"):
        list(changes(tmp_path, "nowhere", tree))
