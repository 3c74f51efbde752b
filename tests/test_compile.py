"""Compiling as people do it: the real Kapitan and the real command line, in a copy of the repository.

Numbers in names of tests are the traps of Kapitan that docs/kapitan.md tells of.
"""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fleets import TOP, Repository
from matrixfleet import drawing
from matrixfleet.checks import Tree
from matrixfleet.checks import run as checks

BIN = Path(sys.executable).parent


def run(top: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A command of the virtual environment, at a repository's top.

    Where a target fails, Kapitan ends its pool of processes while others still write, and one time in
    hundreds Python's Pool.terminate then waits for ever (docs/kapitan.md): that is tried again.
    """
    for _ in range(3):
        with contextlib.suppress(subprocess.TimeoutExpired):
            return subprocess.run(
                [str(BIN / command[0]), *command[1:]],
                cwd=top,
                capture_output=True,
                text=True,
                check=False,
                timeout=120,
            )
    raise AssertionError(f"{' '.join(command)} hung three times")


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


@pytest.fixture
def compiled(repository: Repository) -> Repository:
    """A repository with compiled/ and argocd/ as they are committed."""
    for name in ("compiled", "argocd"):
        shutil.copytree(TOP / name, repository.top / name)
    shutil.copy(TOP / "CODEOWNERS", repository.top)
    return repository


def test_committed_is_what_plain_kapitan_compiles(repository: Repository) -> None:
    done = run(repository.top, "kapitan", "compile")
    assert done.returncode == 0, done.stderr
    assert files(repository.top / "compiled") == files(TOP / "compiled"), "run make compile and commit what it writes"


def test_one_target_alone_has_the_same_bytes(repository: Repository) -> None:
    done = run(repository.top, "kapitan", "compile", "-t", "eu1.chess-club")
    assert done.returncode == 0, done.stderr
    assert files(repository.top / "compiled/eu1/chess-club") == files(TOP / "compiled/eu1/chess-club")


def test_the_front_door_has_the_same_bytes_and_prunes_7(compiled: Repository) -> None:
    stale = compiled.top / "compiled/eu1/gone/workload"
    stale.mkdir(parents=True)
    (stale / "configmap-gone.yaml").write_text("{}\n")
    (compiled.top / "argocd/gone.yaml").write_text("{}\n")
    done = run(compiled.top, "matrix-fleet", "compile")
    assert done.returncode == 0, done.stderr
    for name in ("compiled", "argocd"):
        assert files(compiled.top / name) == files(TOP / name)


def test_one_target_by_the_front_door_writes_its_argo_cd_objects_and_leaves_the_others(compiled: Repository) -> None:
    folder = compiled.top / "compiled/eu1/argocd"
    before, mine = files(folder), "application-eu1-chess-club.yaml"
    (folder / mine).write_text("kind: Application\n")
    other = folder / "appproject-eu1-matrix-prod.yaml"
    other.write_text(other.read_text() + "# of another target\n")
    # Of a part that it has no more; of another that has none of its own.
    for name, owner in (("appproject-eu1-chess-club-shared.yaml", "chess-club"), ("appproject-eu1-gone.yaml", "gone")):
        (folder / name).write_text(f"metadata: {{labels: {{app.kubernetes.io/instance: {owner}}}}}\n")
    done = run(compiled.top, "matrix-fleet", "compile", "-t", "eu1.chess-club")
    assert done.returncode == 0, done.stderr
    after = files(folder)
    assert after[mine] == before[mine] and after[other.name] != before[other.name]
    assert after.keys() - before.keys() == {"appproject-eu1-gone.yaml"}


def test_check_names_a_folder_without_target_7(compiled: Repository) -> None:
    shutil.copytree(compiled.top / "compiled/eu1/chess-club", compiled.top / "compiled/eu1/gone")
    done = run(compiled.top, "matrix-fleet", "check")
    assert done.returncode == 1
    assert "compiled/eu1/gone" in done.stderr and "make compile" in done.stderr


def test_an_unknown_target_beside_a_known_one_is_refused_2(compiled: Repository) -> None:
    done = run(compiled.top, "matrix-fleet", "compile", "-t", "eu1.chess-club", "-t", "eu1.ches-club")
    assert done.returncode == 1
    assert done.stderr == "inventory/targets: no target 'eu1.ches-club', did you mean eu1.chess-club?\n"


@pytest.mark.parametrize("change", ["inventory", "component", "rule"])
def test_a_failure_leaves_everything_as_it_was_8(compiled: Repository, change: str) -> None:
    if change == "inventory":
        compiled.edit("inventory/targets/eu1/chess-club.yml", "pattern.single-tenant", "pattern.single-tenan")
    else:
        broken = (
            "yield 1 / 0"
            if change == "component"
            else 'yield {"apiVersion": "v1", "kind": "Pood", "metadata": {"name": "x"}}'
        )
        break_component(compiled, broken)
    before = but_caches(compiled.top)
    done = run(compiled.top, "matrix-fleet", "compile")
    assert done.returncode == 1
    assert but_caches(compiled.top) == before


def but_caches(top: Path) -> dict[str, bytes]:
    """Every file but bytecode and what the linter remembers of files that were well."""
    return {path: text for path, text in files(top).items() if "__pycache__" not in path and ".cache/" not in path}


def break_component(repository: Repository, statement: str) -> None:
    """The component docs draws this first."""
    (repository.top / "components").unlink()
    shutil.copytree(TOP / "components", repository.top / "components")
    said = '    """README.md, and recovery.md where there are backups."""\n'
    repository.edit("components/docs/__init__.py", said, f"{said}    {statement}\n")


@pytest.mark.parametrize("door", ["kapitan", "matrix-fleet"])
def test_a_fault_inside_a_component_ends_with_our_message_9(repository: Repository, door: str) -> None:
    break_component(repository, "yield 1 / 0")
    done = run(repository.top, door, "compile")
    assert done.returncode == 1
    line = (repository.top / "components/docs/__init__.py").read_text().splitlines().index("    yield 1 / 0") + 1
    last = done.stderr.strip().splitlines()[-1]
    assert f"components/docs/__init__.py:{line}: drawing " in last
    assert last.endswith(
        "failed with ZeroDivisionError: division by zero; this is a bug of components/docs/__init__.py"
    )


def test_a_secret_that_nobody_planned_is_told(repository: Repository) -> None:
    break_component(repository, 'yield plan.secret("nonesuch")')
    done = run(repository.top, "matrix-fleet", "compile")
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode == 1 and "StopIteration" not in done.stderr
    assert "lib/matrixfleet/plan/plan.py:" in last and "no secret nonesuch is planned for " in last
    assert last.endswith("this is a bug of lib/matrixfleet/plan/plan.py")


@pytest.mark.parametrize("module", ["flows", "postgresql", "turn", "routes"])
def test_a_mistake_in_the_plan_names_its_module(module: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A module of the plan that fails, whichever component asks it first."""
    path = tmp_path / "lib/matrixfleet/plan" / f"{module}.py"
    path.parent.mkdir(parents=True)
    path.write_text("def decide(plan):\n    return plan['nothing']\n")
    spec = importlib.util.spec_from_file_location(module, path)
    assert spec and spec.loader
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    monkeypatch.setattr(drawing, "__file__", str(tmp_path / "lib/matrixfleet/drawing.py"))

    with pytest.raises(KeyError) as caught:
        made.decide({})
    fault = drawing._component_fault("eu1.matrix-prod", caught.value)
    assert str(fault).startswith(f"lib/matrixfleet/plan/{module}.py:2: drawing eu1.matrix-prod failed with KeyError")


@pytest.mark.parametrize(
    ("add", "says"),
    [
        (
            "  kapitan:\n    vars: {target: eu1.matrix-prod}\n",
            'Can\'t overwrite constant key "kapitan"',
        ),
        (
            "    namespace: matrix-prod\n",
            "namespace on cluster eu1 'matrix-prod-turn' is eu1.matrix-prod's already",
        ),
        ("    logs: {volume: '?{plain:size}'}\n", "expected no Kapitan reference"),
    ],
    ids=["a copied target 1", "a clash", "a reference 10"],
)
def test_plain_kapitan_refuses_too(repository: Repository, add: str, says: str) -> None:
    path = "inventory/targets/eu1/chess-club.yml"
    repository.write(path, repository.read(path) + add)
    done = run(repository.top, "kapitan", "compile")
    assert done.returncode == 1
    assert says in done.stderr.strip().splitlines()[-1]
    assert not (repository.top / "compiled").exists()


def test_empty_mappings_survive_5() -> None:
    assert (
        "podSelector: {}"
        in (TOP / "compiled/eu1/matrix-prod/fence/networkpolicy-matrix-prod-default-deny.yaml").read_text()
    )
    assert "prune: false" in (TOP / ".kapitan").read_text()


def test_components_use_nothing_of_kadet_6() -> None:
    for path in (TOP / "components").rglob("*.py"):
        assert "kadet" not in path.read_text(), path


def test_no_cache_4() -> None:
    assert "cache: false" in (TOP / ".kapitan").read_text()


def test_what_is_no_object_is_told_before_rules_trip_over_it(tree: Tree) -> None:
    path = "eu1/matrix-prod/workload/synapse/deployment-matrix-prod-synapse.yaml"
    broken = tree.edited(path, lambda doc: doc["spec"].pop("template"))
    said = [str(finding) for finding in checks(broken)]
    assert len(said) == 1 and "spec.template: required" in said[0], said
