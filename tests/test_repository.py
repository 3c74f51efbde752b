"""What holds of the repository itself: components are drawn, documents are true, nothing stray is in it."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from fleets import TOP
from matrixfleet.model import Fleet

DOCUMENTS = sorted([TOP / "README.md", *(TOP / "docs").rglob("*.md"), *(TOP / "argocd").glob("*.md")])


def tracked() -> list[Path]:
    """Files that git knows, or would take."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=TOP, capture_output=True, text=True, check=True).stdout
    return [path for line in listed.splitlines() if (path := TOP / line).is_file()]


def test_every_component_is_drawn_by_some_target(fleet: Fleet) -> None:
    drawn = {folder for name in fleet.names for folder in fleet.components(name)}
    there = {f"components/{path.name}" for path in (TOP / "components").iterdir() if (path / "__init__.py").exists()}
    assert drawn == there


def test_every_class_is_used(fleet: Fleet) -> None:
    used = {path for name in fleet.names for path in fleet.source.chain(name)}
    # Each of these is put into a cluster by tests/test_providers.py.
    unused = {path for path in fleet.source.class_files.values() if path.parent.name != "provider"} - used
    assert not unused, f"no target uses {[path.name for path in unused]}: a class that nobody uses is not tried"


def test_no_machine_and_no_registry_is_named() -> None:
    stray = re.compile(r"/(?:root|home/\w+|work|Users)/|pypi\.org|files\.pythonhosted|proxy\.golang")
    for path in tracked():
        if path.suffix != ".json" and path.name != Path(__file__).name:
            found = stray.search(path.read_text(encoding="utf-8", errors="replace"))
            assert not found, f"{path.relative_to(TOP)}: {found and found[0]}"


def test_lock_files_have_hashes() -> None:
    for path in (
        TOP / "requirements.lock",
        *(TOP / "tests").glob("*.lock"),
        TOP / "images/synapse-s3/requirements.lock",
    ):
        lines = path.read_text().splitlines()
        pinned = [index for index, line in enumerate(lines) if "==" in line]
        assert pinned
        for index in pinned:
            assert "--hash=sha256:" in lines[index + 1], f"{path.name}: {lines[index]} has no hash"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(TOP)))
def test_links_lead_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text()):
        if "://" not in link:
            assert (path.parent / link).exists(), f"{path.name} links to {link}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(TOP)))
def test_named_files_and_targets_exist(path: Path) -> None:
    text = path.read_text()
    targets = set(re.findall(r"(?m)^([a-z-]+):.*## ", (TOP / "Makefile").read_text()))
    for target in re.findall(r"`make ([a-z-]+)", text) + re.findall(r"(?m)^ {4}make ([a-z-]+)", text):
        assert target in targets, f"{path.name} names make {target}"
    for name in re.findall(r"`((?:inventory|components|lib|compiled|argocd|tests|docs)/[\w./-]+)`", text):
        assert (TOP / name).exists() or "acme" in name, f"{path.name} names {name}"


def test_the_readme_names_both_commands_first() -> None:
    text = (TOP / "README.md").read_text()
    assert text.index("make compile") < text.index("make test") < 900
