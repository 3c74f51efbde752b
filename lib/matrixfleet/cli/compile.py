"""`matrix-fleet compile`: Kapitan in a folder aside, the checks over what it made, then one rename.

Kapitan alone gives the same bytes. What this adds: faults with file and line before anything is
compiled, no target that is silently ignored, and a compiled/ that is either the old one or the new.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from matrixfleet.checks import Finding, Tree, run
from matrixfleet.checks.rules.yamllint import remember
from matrixfleet.checks.tree import ARGOCD
from matrixfleet.cli.codeowners import FILE as CODEOWNERS
from matrixfleet.cli.codeowners import codeowners
from matrixfleet.drawing import draw_target
from matrixfleet.errors import Fault, FleetError, did_you_mean
from matrixfleet.kubernetes.argocd import FOLDER
from matrixfleet.model import Fleet
from matrixfleet.plan import plan_of
from matrixfleet.plan.warnings import warnings_of

COMPILED = "compiled"
BOOTSTRAP = "bootstrap"
LINTED = ".cache/yamllint"
_CONTROL = re.compile(r"\x1b\[[0-9;]*m")


def read_fleet(top: Path) -> Fleet:
    """The inventory, with every target read and planned. Raises FleetError with all faults at once."""
    fleet = Fleet.read(top / "inventory")
    faults: list[Fault] = list(fleet.clashes)
    for name in fleet.names:
        try:
            plan_of(fleet, name)
        except FleetError as error:
            faults.extend(error.faults)
    if faults:
        raise FleetError(faults)
    return fleet


def refuse(findings: Iterable[Finding]) -> None:
    """Raise FleetError where there are findings."""
    faults = [Fault(found.path, 0, "", f"{found.message} [{found.rule}]") for found in findings]
    if faults:
        raise FleetError(faults)


def compile_fleet(top: Path, targets: list[str], *, verbose: bool = False) -> str:
    """Compile all, or some targets. Returns a line that says what was done."""
    fleet = read_fleet(top)
    unknown = [name for name in targets if name not in fleet.names]
    if unknown:
        # Kapitan ignores an unknown name beside a known one and counts it as compiled.
        raise FleetError(
            Fault("inventory/targets", 0, "", f"no target {name!r}{did_you_mean(name, fleet.names)}")
            for name in unknown
        )
    (top / ".cache").mkdir(exist_ok=True)
    remember(top / LINTED)
    with tempfile.TemporaryDirectory(dir=top / ".cache", prefix="compile-") as aside:
        staged = Path(aside) / COMPILED
        _kapitan(top, Path(aside), targets, verbose=verbose)
        _stage_argocd(top, staged, fleet, targets)
        tree = Tree.read(staged, fleet)
        refuse(run(tree, whole_fleet=not targets))
        _publish(top, staged, targets)
    publish_bootstrap(top)
    publish_codeowners(top, fleet)
    for warning in warnings_of(fleet):
        print(f"warning: {warning}", file=sys.stderr)
    return f"{len(targets or fleet.names)} targets, {len(tree.entries)} objects: compiled and checked"


def _kapitan(top: Path, output: Path, targets: list[str], *, verbose: bool) -> None:
    command = [sys.executable, "-m", "kapitan", "compile", "--output-path", str(output)]
    if targets:
        command += ["-t", *targets]
    done = subprocess.run(command, cwd=top, capture_output=not verbose, text=True, check=False)
    if done.returncode:
        said = _CONTROL.sub("", (done.stdout or "") + (done.stderr or ""))
        message = said.strip().splitlines()[-1] if said.strip() else "see above"
        # Where a component failed its own message comes last; the traceback before it is for its author.
        if "this is a bug" in message or not message.startswith("Error compiling"):
            sys.stderr.write(said)
        raise FleetError([Fault("", 0, "", message)])


def _publish(top: Path, staged: Path, targets: list[str]) -> None:
    """Put what was made in the place of what was, by renames: no reader sees half of it."""
    if not targets:
        _swap(staged, top / COMPILED)
        return
    for name in targets:
        below = Path(*name.split("."))
        _swap(staged / below, top / COMPILED / below)
    for folder in sorted({Path(name.partition(".")[0], ARGOCD) for name in targets}):
        _merge(staged / folder, top / COMPILED / folder, set(targets))


def _stage_argocd(top: Path, staged: Path, fleet: Fleet, targets: Iterable[str]) -> None:
    """Argo CD objects of single targets: `kapitan compile -t` copies no more than the targets' own folders."""
    for name in targets:
        for path, text in draw_target(fleet, name, top).items():
            if path.startswith(f"{FOLDER}/"):
                file = staged / name.partition(".")[0] / ARGOCD / Path(path).name
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text, encoding="utf-8")


def _merge(new: Path, old: Path, targets: set[str]) -> None:
    """Put single targets' Argo CD objects beside those of the others; what such a target has no more goes."""
    fresh = {path.name: path for path in new.glob("*.yaml")}
    for path in old.glob("*.yaml"):
        if path.name not in fresh and _target_of(path) in targets:
            path.unlink()
    old.mkdir(parents=True, exist_ok=True)
    for name, path in fresh.items():
        path.replace(old / name)


def _target_of(file: Path) -> str:
    """Whose an Argo CD object is, by its label."""
    tree = Tree.of({f"{file.parent.parent.name}/{ARGOCD}/{file.name}": file.read_text(encoding="utf-8")})
    return next((entry.target for entry in tree.objects), "")


def _swap(new: Path, old: Path) -> None:
    old.parent.mkdir(parents=True, exist_ok=True)
    aside = new.with_name(new.name + ".old")
    if old.exists():
        old.rename(aside)
    try:
        new.rename(old)
    except OSError:
        if aside.exists():
            aside.rename(old)
        raise
    shutil.rmtree(aside, ignore_errors=True)


def bootstrap_files(compiled: Path) -> dict[str, str]:
    """What argocd/ holds, by file name: one file a cluster, its platform's bootstrap objects in it."""
    files = {}
    for folder in sorted(compiled.glob(f"*/*/{BOOTSTRAP}")):
        cluster = folder.parent.parent.name
        parts = [path.read_text(encoding="utf-8") for path in sorted(folder.glob("*.yaml"), reverse=True)]
        header = f"# Applied once by hand: kubectl apply -f argocd/{cluster}.yaml (see argocd/README.md).\n"
        files[f"{cluster}.yaml"] = header + "---\n" + "---\n".join(parts)
    return files


def publish_codeowners(top: Path, fleet: Fleet) -> None:
    """Write CODEOWNERS; where no cluster names owners there is none."""
    wanted, path = codeowners(fleet), top / CODEOWNERS
    if not wanted:
        path.unlink(missing_ok=True)
    elif not path.is_file() or path.read_text(encoding="utf-8") != wanted:
        fresh = path.with_suffix(".new")
        fresh.write_text(wanted, encoding="utf-8")
        fresh.replace(path)


def publish_bootstrap(top: Path) -> None:
    """Write argocd/<cluster>.yaml; a cluster that is gone loses its file."""
    wanted = bootstrap_files(top / COMPILED)
    folder = top / "argocd"
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.yaml"):
        if path.name not in wanted:
            path.unlink()
    for name, text in wanted.items():
        path = folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            fresh = path.with_suffix(".new")
            fresh.write_text(text, encoding="utf-8")
            fresh.replace(path)
