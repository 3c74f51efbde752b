"""`matrix-fleet compile`: Kapitan in a folder aside, the checks over what it made, then one rename.

Kapitan alone gives the same bytes. What this adds: faults with file and line before anything is
compiled, no target that is silently ignored, and a compiled/ that is either the old one or the new.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from matrixfleet.checks import Finding, Tree, run
from matrixfleet.checks.rules.yamllint import remember
from matrixfleet.checks.tree import ARGOCD
from matrixfleet.cli.codeowners import FILE as CODEOWNERS
from matrixfleet.cli.codeowners import codeowners
from matrixfleet.drawing import draw_target, draw_targets
from matrixfleet.errors import Fault, FleetError, did_you_mean
from matrixfleet.kubernetes.argocd import FOLDER
from matrixfleet.leaks import inventory_faults
from matrixfleet.model import Fleet
from matrixfleet.plan import PlatformPlan, plan_of
from matrixfleet.plan.ceilings import Requests, over_cluster
from matrixfleet.plan.warnings import warnings_of
from matrixfleet.registry.pins import disagreements

COMPILED = "compiled"
BOOTSTRAP = "bootstrap"
ASIDE = "compile-"
"""What folders of running compiles are called, below .cache."""
LINTED = ".cache/yamllint"
_CONTROL = re.compile(r"\x1b\[[0-9;]*m")


def read_fleet(top: Path) -> Fleet:
    """The inventory, with every target read and planned. Raises FleetError with all faults at once."""
    fleet = Fleet.read(top / "inventory")
    faults: list[Fault] = list(fleet.clashes)
    requests: dict[str, list[Requests]] = {}
    for name in fleet.names:
        try:
            plan = plan_of(fleet, name)
            if not (isinstance(plan, PlatformPlan) or plan.target.neighbours):
                requests.setdefault(fleet.platform_name(name), []).append(plan.requests)
        except FleetError as error:
            faults.extend(error.faults)
    for platform, of_tenants in requests.items():
        ceiling = fleet.platform(platform).cluster.tenants.size.cluster
        key = ("cluster", "tenants", "size", "cluster")
        faults.extend(fleet.fault(platform, key, message) for message in over_cluster(ceiling, of_tenants))
    if not faults:
        faults.extend(disagreements(top, fleet))
    if faults:
        raise FleetError(faults)
    return fleet


def warn(fleet: Fleet) -> None:
    """Print what compiles and should not stay."""
    for warning in warnings_of(fleet):
        print(f"warning: {warning}", file=sys.stderr)


def refuse_secrets(top: Path) -> None:
    """Raise FleetError where the inventory holds a secret: before anything else, since messages show values."""
    faults = inventory_faults(top / "inventory")
    if faults:
        raise FleetError(faults)


def refuse(findings: Iterable[Finding]) -> None:
    """Raise FleetError where there are findings."""
    faults = [Fault(found.path, found.line, found.key, f"{found.message} [{found.rule}]") for found in findings]
    if faults:
        raise FleetError(faults)


def compile_fleet(top: Path, targets: list[str], *, verbose: bool = False) -> str:
    """Compile all, or some targets. Returns a line that says what was done."""
    refuse_secrets(top)
    fleet = read_fleet(top)
    unknown = [name for name in targets if name not in fleet.names]
    if unknown:
        # Kapitan ignores an unknown name beside a known one and counts it as compiled.
        raise FleetError(
            Fault("inventory/targets", 0, "", f"no target {name!r}{did_you_mean(name, fleet.names)}")
            for name in unknown
        )
    with _alone(top / ".cache"), tempfile.TemporaryDirectory(dir=top / ".cache", prefix=ASIDE) as aside:
        remember(top / LINTED)
        staged = Path(aside) / COMPILED
        _kapitan(top, Path(aside), targets, verbose=verbose)
        _stage_argocd(top, staged, fleet, targets)
        _stage_namespaces(top, staged, fleet, targets)
        tree = Tree.read(staged, fleet)
        refuse(run(tree, whole_fleet=not targets))
        _publish(top, staged, targets)
    publish_bootstrap(top)
    publish_codeowners(top, fleet)
    warn(fleet)
    return f"{len(targets or fleet.names)} targets, {len(tree.entries)} objects: compiled and checked"


@contextmanager
def _alone(cache: Path) -> Iterator[None]:
    """Hold off other compiles of this checkout, and remove what killed ones left."""
    cache.mkdir(exist_ok=True)
    with (cache / "lock").open("w") as lock:
        try:
            # The kernel lets go of it when this process ends, however it ends.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            message = "another compile of this checkout is running; wait for it"
            raise FleetError([Fault(str(cache.name), 0, "", message)]) from None
        for left in cache.glob(f"{ASIDE}*"):
            if left.is_dir():
                shutil.rmtree(left, ignore_errors=True)
        for left in (*(cache.parent / ARGOCD).glob("*.new"), cache.parent / f"{CODEOWNERS}.new"):
            left.unlink(missing_ok=True)
        yield


def _kapitan(top: Path, output: Path, targets: list[str], *, verbose: bool) -> None:
    command = [sys.executable, "-m", "kapitan", "compile", "--output-path", str(output)]
    if targets:
        command += ["-t", *targets]
    # Kapitan's own temporary folder goes with this one, even where both are killed.
    environment = {**os.environ, "TMPDIR": str(output)}
    done = subprocess.run(command, cwd=top, capture_output=not verbose, text=True, check=False, env=environment)
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


def _stage_namespaces(top: Path, staged: Path, fleet: Fleet, targets: Iterable[str]) -> None:
    """The shared namespaces of single targets, which rules hold their Pods against. They are not published."""
    shared = {f"{name.partition('.')[0]}.{fleet.raw(name, ('matrix', 'namespace'))}" for name in targets}
    missing = sorted(shared.intersection(fleet.names) - set(targets))
    for path, text in draw_targets(fleet, missing, top).items():
        (staged / path).parent.mkdir(parents=True, exist_ok=True)
        (staged / path).write_text(text, encoding="utf-8")


def _merge(new: Path, old: Path, targets: set[str]) -> None:
    """Put single targets' Argo CD objects beside those of the others; what such a target has no more goes."""
    fresh = {path.name: path for path in new.glob("*.yaml") if _target_of(path) in targets}
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
    if old.exists() or old.is_symlink():
        old.rename(aside)
    try:
        new.rename(old)
    except OSError:
        if aside.exists():
            aside.rename(old)
        raise
    if aside.is_symlink() or aside.is_file():
        aside.unlink()
    shutil.rmtree(aside, ignore_errors=True)


def bootstrap_files(texts: Mapping[str, str]) -> dict[str, str]:
    """What argocd/ holds, by file name: one file a cluster, its platform's bootstrap objects in it.

    texts: at least the bootstrap objects, by path from the repository's top."""
    parts: dict[str, list[str]] = {}
    for path, text in sorted(texts.items(), reverse=True):
        parts.setdefault(path.split("/")[1], []).append(text)
    header = "# Applied once by hand: kubectl apply -f argocd/{0}.yaml (see argocd/README.md).\n"
    return {
        f"{cluster}.yaml": header.format(cluster) + "---\n" + "---\n".join(held)
        for cluster, held in sorted(parts.items())
    }


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
    objects = (top / COMPILED).glob(f"*/*/{BOOTSTRAP}/*.yaml")
    wanted = bootstrap_files({path.relative_to(top).as_posix(): path.read_text(encoding="utf-8") for path in objects})
    folder = top / ARGOCD
    if folder.is_symlink() or not folder.is_dir():
        # Nothing is written through a link.
        folder.unlink(missing_ok=True)
    folder.mkdir(exist_ok=True)
    for path in folder.glob("*.yaml"):
        if path.name not in wanted and not (path.is_dir() and not path.is_symlink()):
            path.unlink()
    for name, text in wanted.items():
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            raise FleetError([Fault(f"{ARGOCD}/{name}", 0, "", "expected a plain file, got a folder; remove it")])
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)
