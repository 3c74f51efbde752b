"""What may not change between two commits: each rule with a change that it refuses."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from fleets import TOP, Repository
from matrixfleet.checks import Tree
from matrixfleet.checks.base import RULES, changes
from matrixfleet.checks.rollback import KNOWN, ROWS, version_of
from matrixfleet.cli.check import check_fleet
from matrixfleet.errors import FleetError
from rules.breaking import MEDIA, POSTGRESQL, PROD, SYNAPSE, drop, put

CHESS = "inventory/targets/eu1/chess-club.yml"
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
            "matrix.server_name: expected 'example.com' as before, got 'example.net'",
        ),
        (
            replace("/data/signing-key/", "/secrets/signing-key/"),
            "matrix.synapse.signing_key: expected 'volume' as before, got 'secret'",
        ),
        (moved, "matrix.namespace: expected 'matrix-prod' as before, got 'elsewhere'"),
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


SHARED = "ap1/matrix-tenants/fence/resourcequota-matrix-tenants-fence.yaml"
BESIDE = "ap1/tenant-b/workload/postgresql/statefulset-tenant-b-postgresql.yaml"


def smaller_for_all(tree: Tree) -> Tree:
    """The same of a namespace of several tenants, which is no tenant and so never stopped."""
    tree = put(BESIDE, "spec", "template", "metadata", "annotations", to={"a": "b"})(tree)
    return put(SHARED, "spec", "hard", "limits.memory", to="1Gi")(tree)


REFUSED["room-to-shrink"] = [
    (
        smaller_for_all,
        "limits.memory falls to 1073741824, and while StatefulSet matrix-tenants/tenant-b-postgresql rolls",
    ),
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


def committed(top: Path, files: dict[str, bytes]) -> None:
    """A repository with one commit."""
    git(top, "init", "-q")
    for path, content in files.items():
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_bytes(content)
    git(top, "add", "-A")
    git(top, "commit", "-qm", "base")


BEFORE = (TOP / "compiled" / MEDIA).read_bytes()


@pytest.mark.parametrize(
    "odd",
    [
        b"\xff\xfe",
        b"kind: \xe9\n",
        b"\x00\x01",
        b"[" * 5000,
        b"a: &a [*a]\n",
        b"- 1\n",
        b"kind: Pod\nmetadata: []\n",
        b"kind: Pod\nmetadata: {name: a, labels: 1}\nspec: 1\n",
        b"kind: Job\nmetadata: {name: a}\nspec: {template: 1}\n",
        b"kind: ConfigMap\nmetadata: {name: a}\ndata: {homeserver.yaml: '['}\n",
        b"",
    ],
)
def test_a_base_may_hold_anything(odd: bytes, tmp_path: Path, tree: Tree) -> None:
    """Nothing in a commit is a traceback, and what is beside it is compared."""
    names = ("x/y/z/odd.yaml", "eu1/matrix-prod/workload/odd\u00e9.yaml")
    committed(tmp_path, {f"compiled/{MEDIA}": BEFORE, **{f"compiled/{name}": odd for name in names}})
    smaller = put(MEDIA, "spec", "resources", "requests", "storage", to="1Gi")(tree)
    assert "10Gi cannot become 1Gi" in "\n".join(map(str, changes(tmp_path, "HEAD", smaller)))


def test_a_base_with_bytes_that_are_no_text_is_still_compared(tmp_path: Path, tree: Tree) -> None:
    text = BEFORE.replace(b"spec:", b"# caf\xe9\nspec:")
    committed(tmp_path, {f"compiled/{MEDIA}": text})
    smaller = put(MEDIA, "spec", "resources", "requests", "storage", to="1Gi")(tree)
    assert len(list(changes(tmp_path, "HEAD", smaller))) == 1
    assert list(changes(tmp_path, "HEAD", tree)) == []


def test_attributes_of_git_hide_nothing(tmp_path: Path, tree: Tree) -> None:
    """`git archive` leaves out what .gitattributes says; the check must not."""
    committed(tmp_path, {f"compiled/{MEDIA}": BEFORE, ".gitattributes": b"compiled/** export-ignore\n* export-subst\n"})
    smaller = put(MEDIA, "spec", "resources", "requests", "storage", to="1Gi")(tree)
    assert len(list(changes(tmp_path, "HEAD", smaller))) == 1


def test_links_and_options_in_a_base(tmp_path: Path, tree: Tree) -> None:
    (tmp_path / "compiled/a/b").mkdir(parents=True)
    (tmp_path / "compiled/a/b/c.yaml").symlink_to("/nowhere")
    committed(tmp_path, {f"compiled/{MEDIA}": BEFORE})
    assert list(changes(tmp_path, "HEAD", tree)) == []
    for base in ("--all", "-h", "HEAD:compiled", ""):
        with pytest.raises(FleetError, match="no commit"):
            list(changes(tmp_path, base, tree))


def test_a_repository_below_another_is_compared(tmp_path: Path, tree: Tree) -> None:
    """`git ls-tree` counts from the folder that it runs in."""
    committed(tmp_path, {f"fleet/compiled/{MEDIA}": BEFORE})
    smaller = put(MEDIA, "spec", "resources", "requests", "storage", to="1Gi")(tree)
    assert len(list(changes(tmp_path / "fleet", "HEAD", smaller))) == 1


def test_how_far_synapse_goes_back_is_known() -> None:
    """The pinned version's own numbers. A newer one needs a look at its source, and KNOWN after it."""
    source = (TOP / ".cache/synapse/source/synapse/storage/schema/__init__.py").read_text()
    compat = re.search(r"(?m)^SCHEMA_COMPAT_VERSION = \(\n(?:\s*#.*\n)*\s*(\d+)", source)
    (pinned,) = re.findall(r"(?m)^matrix-synapse==(\d+)\.(\d+)", (TOP / "tests/synapse.lock").read_text())
    version = int(pinned[0]), int(pinned[1])
    assert compat and version <= KNOWN
    assert next(number for since, number, _ in ROWS if version >= since) == int(compat[1])
    assert version_of("v1.163.2-1.7.0") == (1, 163) and version_of("latest") is None


def test_the_inventory_is_compared_where_compiled_is_older(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Who changed the inventory and compiled nothing is told of that, and of what the compile would lose."""
    repository = Repository(tmp_path)
    for name in ("compiled", "argocd"):
        shutil.copytree(TOP / name, tmp_path / name)
    shutil.copy(TOP / "CODEOWNERS", tmp_path)
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "inventory", "compiled", "argocd", "CODEOWNERS")
    git(tmp_path, "commit", "-qm", "base")
    assert "nothing lost since HEAD" in check_fleet(tmp_path, "HEAD")
    repository.edit(CHESS, "    size: small\n", "    size: small\n    database: {kind: cnpg, instances: 1}\n")
    with pytest.raises(FleetError) as refused:
        check_fleet(tmp_path, "HEAD")
    told = str(refused.value).splitlines()
    assert any(line.endswith("run make compile [drift]") for line in told)
    expected = (
        f"{CHESS}:7: matrix.database.kind: expected 'statefulset' as before, got 'cnpg'; the data does not move by"
        " itself: dump it and load it (docs/databases.md); to do it, stop it first and declare it (docs/moves.md):"
        ' matrix.moves: {"matrix.database.kind": "statefulset -> cnpg"} [identity]'
    )
    assert expected in told


def test_a_commit_that_is_not_whole_here_is_told(tmp_path: Path, tree: Tree) -> None:
    committed(tmp_path, {f"compiled/{MEDIA}": BEFORE})
    command = ["git", "rev-parse", f"HEAD:compiled/{MEDIA}"]
    blob = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()
    (tmp_path / ".git/objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(FleetError, match="--base: expected all of 'HEAD' here, got no 'eu1/matrix-prod"):
        list(changes(tmp_path, "HEAD", tree))
