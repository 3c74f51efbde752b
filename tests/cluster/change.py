"""Pull requests: a change to a copy of the inventory, compiled as `make compile` does, and pushed where Argo CD reads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from repository import TOP, Repository

import fleets


class PullRequests:
    """A copy of the inventory that changes add up in."""

    def __init__(self, folder: Path, repository: Repository) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        self.source, self.repository = fleets.Repository(folder), repository
        for name in ("compiled", "argocd"):
            shutil.copytree(TOP / name, folder / name)
        git = ["git", "-c", "user.name=t", "-c", "user.email=t@example.com"]
        for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "base"]):
            subprocess.run([*git, *words], cwd=folder, check=True, capture_output=True)
        self.git = git

    def compile(self) -> None:
        """`make compile` in the copy, and its outcome in the clone that is pushed."""
        self.run("compile")
        self.repository.put(self.source.top)

    def check(self) -> str:
        """What `matrix-fleet check --base` has against it since the last merge; nothing if nothing."""
        done = self.run("check", "--base", "main", good=False)
        return done.stdout + done.stderr if done.returncode else ""

    def merge(self) -> None:
        """It is the base of the next."""
        for words in (["add", "-A"], ["commit", "-q", "--allow-empty", "-m", "merged"]):
            subprocess.run([*self.git, *words], cwd=self.source.top, check=True, capture_output=True)

    def run(self, *words: str, good: bool = True) -> subprocess.CompletedProcess[str]:
        """matrix-fleet in the copy."""
        env = {**os.environ, "PYTHONPATH": str(TOP / "lib")}
        command = [sys.executable, "-c", "from matrixfleet.cli import main; main()", *words]
        done = subprocess.run(command, cwd=self.source.top, env=env, capture_output=True, text=True)
        assert not good or not done.returncode, done.stdout + done.stderr
        return done
