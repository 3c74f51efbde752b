"""`matrix-fleet check` sees every change by hand in compiled/ and argocd/, and nothing that lies there stops it."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fleets import TOP, Repository
from matrixfleet.checks.drift import SHOWN, drift, readable
from matrixfleet.checks.there import There
from matrixfleet.checks.tree import Finding, Tree
from matrixfleet.checks.wanted import Wanted
from matrixfleet.cli.check import BY_HAND
from matrixfleet.cli.compile import BOOTSTRAP, bootstrap_files
from matrixfleet.model import Fleet

BIN = Path(sys.executable).parent
FOLDERS = ("compiled", "argocd")
SYNAPSE = "compiled/eu1/matrix-prod/workload/synapse/deployment-matrix-prod-synapse.yaml"
CONFIG = "compiled/eu1/matrix-prod/workload/synapse/configmap-matrix-prod-synapse.yaml"
EXTRA = "compiled/eu1/matrix-prod/workload/synapse/configmap-extra.yaml"


@pytest.fixture(scope="module")
def wanted(fleet: Fleet) -> tuple[Wanted, dict[str, bytes]]:
    """What the reference inventory compiles to, once."""
    drawn = Wanted(fleet, TOP, BOOTSTRAP, bootstrap_files)
    return drawn, drawn.digests()


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    """A repository with compiled/ and argocd/ as they are committed."""
    repository = Repository(tmp_path)
    for name in FOLDERS:
        shutil.copytree(TOP / name, tmp_path / name)
    shutil.copy(TOP / "CODEOWNERS", tmp_path)
    return repository


Gate = Callable[[], list[Finding]]


@pytest.fixture
def gate(repository: Repository, wanted: tuple[Wanted, dict[str, bytes]]) -> Gate:
    """The comparison alone, in this process."""
    return lambda: drift(There.read(repository.top, FOLDERS), wanted[1], wanted[0].text, BY_HAND)


PART = "compiled/eu1/matrix-prod/workload/synapse"


@pytest.fixture
def part(tmp_path: Path) -> Path:
    """A tenth of it: what lies beside is seen by the same code."""
    for name in (PART, "argocd"):
        shutil.copytree(TOP / name, tmp_path / name)
    shutil.copy(TOP / "CODEOWNERS", tmp_path)
    return tmp_path


def part_of(digests: dict[str, bytes]) -> dict[str, bytes]:
    return {path: digest for path, digest in digests.items() if path.startswith((f"{PART}/", "argocd/"))}


def check(top: Path, command: str = "check") -> subprocess.CompletedProcess[str]:
    """The console script, which must end by itself and say what it says in plain lines."""
    done = subprocess.run(
        [BIN / "matrix-fleet", command],
        cwd=top,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        errors="strict",
    )
    assert "Traceback" not in done.stderr
    assert all(each.isprintable() or each == "\n" for each in done.stderr), repr(done.stderr)
    return done


def compiled_files(top: Path) -> list[Path]:
    """Every file that is compiled."""
    found = [path for name in FOLDERS for path in sorted((top / name).rglob("*")) if path.is_file()]
    return [path for path in found if str(path.relative_to(top)) not in BY_HAND]


def test_an_untouched_tree_passes(repository: Repository, gate: Gate) -> None:
    assert gate() == []
    done = check(repository.top)
    assert done.returncode == 0, done.stderr
    assert all(line.startswith("warning: ") for line in done.stderr.splitlines()), done.stderr


def test_other_umasks_pass(repository: Repository, gate: Gate) -> None:
    """A clone's modes are its umask's, but for the executable bit."""
    for path in compiled_files(repository.top):
        path.chmod(0o600)
    (repository.top / "compiled/eu1").chmod(0o700)
    assert gate() == []


# Every single file.


def flipped(place: Callable[[bytes], int]) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        content = bytearray(path.read_bytes())
        content[place(bytes(content))] ^= 1
        path.write_bytes(content)

    return change


def rewritten(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda path: (path.write_bytes(change(path.read_bytes())), None)[1]


def linked(path: Path) -> None:
    """A link to the same bytes."""
    other = path.with_name(f"{path.name}.same")
    path.rename(other)
    path.symlink_to(other.name)


def renamed_in_case(path: Path) -> None:
    path.rename(path.with_name(path.name.capitalize()))


CHANGES: dict[str, Callable[[Path], None]] = {
    "the first byte": flipped(lambda content: 0),
    "a byte in the middle": flipped(lambda content: len(content) // 2),
    "the last byte": flipped(lambda content: len(content) - 1),
    "a byte more": rewritten(lambda content: content + b"\n"),
    "a byte less": rewritten(lambda content: content[:-1]),
    "a comment": rewritten(lambda content: b"# by hand\n" + content),
    "another document": rewritten(lambda content: content + b"---\nkind: Namespace\n"),
    "a byte order mark": rewritten(lambda content: b"\xef\xbb\xbf" + content),
    "other line ends": rewritten(lambda content: content.replace(b"\n", b"\r\n")),
    "nesting": rewritten(lambda content: content + b"x: " + b"[" * 20_000),
    "a NUL": rewritten(lambda content: content + b"\0"),
    "no UTF-8": rewritten(lambda content: content + b"\xff"),
    "nothing": rewritten(lambda content: b""),
    "executable": lambda path: path.chmod(0o755),
    "executable by its group": lambda path: path.chmod(0o654),
    "set-user-id": lambda path: path.chmod(0o4644),
    "missing": lambda path: path.unlink(),
    "a link to the same": linked,
    "a folder": lambda path: (path.unlink(), path.mkdir())[1],
    "another case": renamed_in_case,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_a_change_of_any_file_is_seen(repository: Repository, gate: Gate, change: Callable[[Path], None]) -> None:
    paths = compiled_files(repository.top)
    assert len(paths) > 700
    for path in paths:
        change(path)
    told = {finding.path: finding.message for finding in gate()}
    for path in paths:
        name = str(path.relative_to(repository.top))
        assert name in told, f"{name} was changed unseen"
        assert "run make compile" in told[name]


def test_one_change_is_told_with_its_line(repository: Repository) -> None:
    text = repository.read(SYNAPSE)
    line = next(number for number, each in enumerate(text.split("\n"), 1) if "replicas: 1" in each)
    repository.edit(SYNAPSE, "  replicas: 1\n", "  replicas: 2\n")
    done = check(repository.top)
    assert done.returncode == 1
    first = f"{SYNAPSE}: line {line}: expected '  replicas: 1', got '  replicas: 2'; run make compile [drift]"
    assert first in done.stderr.splitlines()


def test_a_secret_that_was_put_in_is_not_shown(repository: Repository) -> None:
    value = "hunter2" + "hunter3"
    repository.write(CONFIG, repository.read(CONFIG) + f"  smtp_pass: {value}\n")
    done = check(repository.top)
    assert done.returncode == 1 and CONFIG in done.stderr and value not in done.stderr
    assert "got what looks secret" in done.stderr and "[secret-material]" in done.stderr


def test_many_changes_are_summarised(repository: Repository) -> None:
    paths = compiled_files(repository.top)
    for path in paths:
        path.write_bytes(path.read_bytes() + b"# by hand\n")
    done = check(repository.top)
    lines = [line for line in done.stderr.splitlines() if line.endswith("[drift]")]
    assert done.returncode == 1 and len(lines) == SHOWN + 1
    more = f"compiled: {len(paths) - SHOWN} more paths differ"
    assert any(line.startswith(more) for line in lines)


# What lies there beside.


def bomb() -> str:
    levels = ["a: &a [x, x, x, x, x, x, x, x, x, x]"]
    levels += [f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 10)}]" for n in range(12)]
    return "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: extra}\n" + "\n".join(levels) + "\n"


def fifo(top: Path) -> None:
    os.mkfifo(top / EXTRA)


def device(top: Path) -> None:
    try:
        os.mknod(top / EXTRA, 0o644 | stat.S_IFCHR, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("devices are root's")


def text(path: str, content: str | bytes) -> Callable[[Path], None]:
    def put(top: Path) -> None:
        (top / path).parent.mkdir(parents=True, exist_ok=True)
        (top / path).write_bytes(content.encode() if isinstance(content, str) else content)

    return put


def link(path: str, to: str) -> Callable[[Path], None]:
    return lambda top: (top / path).symlink_to(to)


def huge(top: Path) -> None:
    with (top / EXTRA).open("wb") as file:
        file.truncate(64 * 2**30)


def bytes_in_its_name(top: Path) -> None:
    (Path(os.fsdecode(os.fsencode(top) + b"/compiled/eu1/\xff\xfe.yaml"))).write_text("{}\n")


CONFIG_MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: extra, namespace: matrix-prod}\n"
BESIDE: dict[str, tuple[Callable[[Path], None], str]] = {
    "a manifest": (text(EXTRA, CONFIG_MAP), EXTRA),
    "another extension": (
        text("compiled/eu1/matrix-prod/workload/x.yml", CONFIG_MAP),
        "compiled/eu1/matrix-prod/workload/x.yml",
    ),
    "JSON": (text("compiled/eu1/matrix-prod/workload/x.json", "{}"), "compiled/eu1/matrix-prod/workload/x.json"),
    "no extension": (text("compiled/eu1/matrix-prod/workload/x", "{}"), "compiled/eu1/matrix-prod/workload/x"),
    "hidden": (
        text("compiled/eu1/matrix-prod/.argocd-source.yaml", "{}"),
        "compiled/eu1/matrix-prod/.argocd-source.yaml",
    ),
    "Kustomize": (
        text("compiled/eu1/matrix-prod/workload/kustomization.yaml", "{}"),
        "compiled/eu1/matrix-prod/workload/kustomization.yaml",
    ),
    "at the top": (text("compiled/x.yaml", CONFIG_MAP), "compiled/x.yaml"),
    "in a cluster": (text("compiled/eu1/x.yaml", CONFIG_MAP), "compiled/eu1/x.yaml"),
    "in a hidden folder": (text("compiled/.git/config", "x"), "compiled/.git/config"),
    "a target that is none": (
        text("compiled/eu1/gone/workload/configmap-x.yaml", CONFIG_MAP),
        "compiled/eu1/gone/workload/configmap-x.yaml",
    ),
    "a cluster that is none": (
        text("compiled/eu9/platform/argocd/x.yaml", CONFIG_MAP),
        "compiled/eu9/platform/argocd/x.yaml",
    ),
    "in argocd/": (text("argocd/evil.yml", CONFIG_MAP), "argocd/evil.yml"),
    "hidden in argocd/": (text("argocd/.evil", "x"), "argocd/.evil"),
    "a root of no cluster": (text("argocd/eu9.yaml", CONFIG_MAP), "argocd/eu9.yaml"),
    "deep in argocd/": (text("argocd/eu1/x.yaml", CONFIG_MAP), "argocd/eu1/x.yaml"),
    "an empty folder": (lambda top: (top / "compiled/eu1/empty").mkdir(), "compiled/eu1/empty"),
    "empty folders": (lambda top: (top / "compiled/a/b/c").mkdir(parents=True), "compiled/a/b/c"),
    "an empty folder in argocd/": (lambda top: (top / "argocd/empty").mkdir(), "argocd/empty"),
    "a link to a file": (link(EXTRA, "/etc/passwd"), EXTRA),
    "a link to a folder": (link("compiled/eu1/linked", "/"), "compiled/eu1/linked"),
    "a link to itself": (link("compiled/eu1/linked", "linked"), "compiled/eu1/linked"),
    "a link to above": (link("compiled/eu1/linked", ".."), "compiled/eu1/linked"),
    "a link to nothing": (link("compiled/eu1/linked", "nothing"), "compiled/eu1/linked"),
    "a link in argocd/": (link("argocd/linked.yaml", "/etc/passwd"), "argocd/linked.yaml"),
    "a FIFO": (fifo, EXTRA),
    "a device": (device, EXTRA),
    "no UTF-8": (text(EXTRA, b"\xff\xfe\x00"), EXTRA),
    "NULs": (text(EXTRA, b"a: \0\n"), EXTRA),
    "a file of 64 GiB": (huge, EXTRA),
    "a bomb of YAML": (text(EXTRA, bomb()), EXTRA),
    "an alias of itself": (text(EXTRA, CONFIG_MAP + "data: &a {b: *a}\n"), EXTRA),
    "nesting": (text(EXTRA, CONFIG_MAP + "data: " + "[" * 100_000), EXTRA),
    "nesting in a string": (
        text(EXTRA, CONFIG_MAP + "data:\n  homeserver.yaml: |\n    a: " + "[" * 100_000 + "]" * 100_000),
        EXTRA,
    ),
    "a bomb in a string": (
        text(EXTRA, CONFIG_MAP + "data:\n  homeserver.yaml: |\n    " + bomb().replace("\n", "\n    ")),
        EXTRA,
    ),
    "nesting of blocks": (text(EXTRA, CONFIG_MAP + "data:\n" + "- " * 100_000), EXTRA),
    "nesting of maps": (text(EXTRA, CONFIG_MAP + "data: " + "{a: " * 100_000 + "1" + "}" * 100_000), EXTRA),
    "duplicate keys": (text(EXTRA, CONFIG_MAP + "data: {a: b, a: c}\n"), EXTRA),
    "a time that is none": (text(EXTRA, CONFIG_MAP + "data: {a: 2026-13-45}\n"), EXTRA),
    "a number that is none": (text(EXTRA, CONFIG_MAP + 'data: {a: !!int "x"}\n'), EXTRA),
    "a tag of Python": (text(EXTRA, CONFIG_MAP + "data: !!python/object/apply:os.system [id]\n"), EXTRA),
    "no object": (text(EXTRA, "- 1\n"), EXTRA),
    "an object of wrong types": (text(EXTRA, "apiVersion: [1]\nkind: {a: 1}\nmetadata: x\nspec: 3\n"), EXTRA),
    "a Deployment of wrong types": (
        text(EXTRA, "apiVersion: apps/v1\nkind: Deployment\nmetadata: []\nspec: {template: 1}\n"),
        EXTRA,
    ),
    "a custom resource without a spec": (
        text(EXTRA, "apiVersion: argoproj.io/v1alpha1\nkind: Application\nmetadata: {name: x}\n"),
        EXTRA,
    ),
    "escape codes": (text(EXTRA, CONFIG_MAP + 'data: {a: "\\e[2J\\a"}\n'), EXTRA),
    "a new line in its name": (text("compiled/eu1/a\nb.yaml", "{}\n"), "compiled/eu1/a\\nb.yaml"),
    "escape codes in its name": (text("compiled/eu1/\x1b[2Jx.yaml", "{}\n"), "compiled/eu1/\\x1b[2Jx.yaml"),
    "bytes in its name": (bytes_in_its_name, "compiled/eu1/\\xff\\xfe.yaml"),
}


@pytest.mark.parametrize(("put", "path"), BESIDE.values(), ids=BESIDE.keys())
def test_what_lies_beside_is_refused(
    part: Path, wanted: tuple[Wanted, dict[str, bytes]], put: Callable[[Path], None], path: str
) -> None:
    put(part)
    there, digests = There.read(part, FOLDERS), part_of(wanted[1])
    assert [finding.path for finding in drift(there, digests, wanted[0].text, BY_HAND)] == [path]
    # What rules are given is read to the end, and stands for no more than its text.
    tree = Tree.of(readable(there, digests))
    assert len(tree.entries) >= 5
    assert all("\n" not in finding.message for finding in tree.broken)


def test_the_command_ends_with_a_message_for_each(repository: Repository) -> None:
    """All at once, each by a name of its own."""
    expected = []
    for number, (put, path) in enumerate(BESIDE.values()):
        if path in (EXTRA, "compiled/eu1/linked"):
            put(repository.top)
            path = path.replace("extra", f"{number}").replace("linked", f"linked-{number}")
            (repository.top / (EXTRA if "configmap" in path else "compiled/eu1/linked")).rename(repository.top / path)
            expected.append(path)
    done = check(repository.top)
    assert done.returncode == 1
    told = [line.split(": ")[0] for line in done.stderr.splitlines() if line.endswith("[drift]")]
    assert set(expected) <= set(told), set(expected) - set(told)


# Folders that are none.


def moved(top: Path, name: str) -> None:
    """The same folder elsewhere, and a link in its place."""
    outside = top.parent / f"{top.name}-outside"
    outside.mkdir(exist_ok=True)
    (top / name).rename(outside / "moved")
    (top / name).symlink_to(outside / "moved")


@pytest.mark.parametrize(
    "name", ["compiled", "argocd", "compiled/eu1", "compiled/eu1/matrix-prod", "compiled/eu1/matrix-prod/workload"]
)
def test_a_folder_that_is_a_link_is_refused(repository: Repository, gate: Gate, name: str) -> None:
    moved(repository.top, name)
    told = {finding.path: finding.message for finding in gate()}
    assert told == {name: "expected a folder, got a symbolic link; remove it and run make compile"}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_that_is_not_there_is_refused(repository: Repository, gate: Gate, name: str) -> None:
    there = {str(path.relative_to(repository.top)) for path in compiled_files(repository.top)}
    shutil.rmtree(repository.top / name)
    told = {finding.path: finding.message for finding in gate()}
    assert told.keys() == {path for path in there if path.startswith(f"{name}/")}
    assert set(told.values()) == {"is missing; run make compile"}


def test_what_cannot_be_read_is_refused(wanted: tuple[Wanted, dict[str, bytes]]) -> None:
    """As somebody who is not root."""
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        top.chmod(0o755)
        for folder in FOLDERS:
            shutil.copytree(TOP / folder, top / folder)
        (top / SYNAPSE).chmod(0)
        (top / "compiled/us1").chmod(0)
        me = os.geteuid()
        try:
            if me == 0:
                os.seteuid(65534)
            told = {
                each.path: each.message for each in drift(There.read(top, FOLDERS), wanted[1], wanted[0].text, BY_HAND)
            }
        finally:
            os.seteuid(me)
            (top / "compiled/us1").chmod(0o755)
    assert told.keys() == {SYNAPSE, "compiled/us1"}
    assert "cannot be read" in told[SYNAPSE] and "cannot be read" in told["compiled/us1"]


@pytest.fixture
def spoiled(repository: Repository) -> Iterator[Repository]:
    """Everything at once that a compile must put right."""
    top = repository.top
    moved(top, "argocd")
    (top / SYNAPSE).chmod(0o755)
    (top / "compiled/.hidden").write_text("x")
    (top / "compiled/eu1/empty").mkdir()
    os.mkfifo(top / "compiled/eu1/fifo")
    yield repository


def test_a_compile_puts_it_right_and_writes_through_no_link(spoiled: Repository) -> None:
    top = spoiled.top
    outside = top.parent / f"{top.name}-outside" / "moved"
    (outside / "precious.yaml").write_text("x")
    before = {path.name: path.read_bytes() for path in outside.iterdir()}
    assert check(top).returncode == 1
    shutil.copy(outside / "README.md", top / "README-of-argocd")
    assert check(top, "compile").returncode == 0
    assert {path.name: path.read_bytes() for path in outside.iterdir()} == before
    assert not (top / "argocd").is_symlink()
    assert check(top).returncode == 0
