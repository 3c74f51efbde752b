"""The control plane's programs, built once for each go.sum, and the custom resources' definitions."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import time
import zipfile
from pathlib import Path

from matrixfleet.checks.schemas import fetch

HERE = Path(__file__).resolve().parent
MODULE = HERE / "controlplane"
CACHE = HERE.parent.parent / ".cache/controlplane"
CLUSTER = HERE.parent.parent / ".cache/cluster/venv"
"""Go, Traefik, moto and Barman, as PyPI has them."""
ARGOCD = "github.com/argoproj/argo-cd/v3"
PROGRAMS = {
    "etcd": "./cmd/etcd",
    "kube": "./cmd/kube",
    "kwok": "sigs.k8s.io/kwok/cmd/kwok",
    "argocd": f"{ARGOCD}/cmd",
}
OPERATORS = {
    "barmancloud": "github.com/cloudnative-pg/plugin-barman-cloud/cmd/manager",
    "cloudnativepg": "github.com/cloudnative-pg/cloudnative-pg/cmd/manager",
    "externalsecrets": "github.com/external-secrets/external-secrets",
    "prometheusoperator": "github.com/prometheus-operator/prometheus-operator/cmd/operator",
}
"""By their modules' folders beside this file."""
# Without it the API server takes itself for version 0.0.0.
FLAGS = "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.1"
ENVIRONMENT = {"CGO_ENABLED": "0", "GOFLAGS": "-trimpath -buildvcs=false"}


def folder(of: Path = MODULE) -> Path:
    """Where the programs of a module's go.sum are, or will be."""
    return CACHE / hashlib.sha256((of / "go.sum").read_bytes()).hexdigest()[:16]


def crds() -> Path:
    """The custom resources' definitions, of the versions that the checks name."""
    return CACHE / f"crds-{hashlib.sha256(Path(fetch.__file__).read_bytes()).hexdigest()[:16]}.json"


def settings() -> Path:
    """Argo CD's own installation's ConfigMap argocd-cm: what it does not watch, and which changes it passes over."""
    return folder() / "argocd-cm.yaml"


def operator(name: str) -> Path:
    """An operator's program, where it is or will be."""
    return folder(HERE / name) / name


def versions() -> dict[str, tuple[str, str]]:
    """Of each module that a program here is built from: the version that the checks' schemas are of ("-": none is), and
    the one that is built."""
    known = {one.module: one.version for one in fetch.SOURCES}
    found = {}
    for folder_of in (MODULE, *(HERE / name for name in OPERATORS)):
        for line in (folder_of / "go.mod").read_text().splitlines():
            words = line.removeprefix("require ").split()
            if len(words) == 2 and words[1].startswith("v"):
                found[words[0]] = (known.get(words[0], "-"), words[1])
    return found


def build() -> Path:
    """Build what is not there yet; the folder of the programs."""
    place = folder()
    if not crds().exists():
        definitions(crds())
    if not settings().exists():
        settings().parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(module(ARGOCD) / "manifests/base/config/argocd-cm.yaml", settings())
    if (place / "ready").exists():
        return place
    for program, package in PROGRAMS.items():
        compile_one(MODULE, package, place / program)
    # The repo-server calls them, and a module's folder may be cleaned away.
    for script in (module(ARGOCD) / "hack").glob("*wrapper.sh"):
        (place / script.name).write_bytes(script.read_bytes())
        (place / script.name).chmod(0o755)
    stages = module("sigs.k8s.io/kwok") / "kustomize/stage"
    shutil.copytree(stages, place / "stages", copy_function=shutil.copyfile, dirs_exist_ok=True)
    (place / "ready").touch()
    return place


def build_operator(name: str) -> None:
    """An operator's program, unless it is there."""
    compile_one(HERE / name, OPERATORS[name], operator(name))


def compile_one(of: Path, package: str, program: Path) -> None:
    """A module's program, unless it is there."""
    if program.exists():
        return
    program.parent.mkdir(parents=True, exist_ok=True)
    start, made = time.monotonic(), program.with_suffix(".new")
    print(f"building {program.name} (once; Kubernetes takes minutes)", flush=True)
    command = ["go", "build", f"-ldflags={FLAGS}", "-o", str(made), package]
    subprocess.run(command, cwd=of, env=os.environ | ENVIRONMENT, check=True)
    made.rename(program)
    print(f"  {time.monotonic() - start:.0f} s", flush=True)


def module(path: str, of: Path = MODULE) -> Path:
    """The folder of a module's sources, in the version that another has."""
    command = ["go", "list", "-m", "-f", "{{.Dir}}", path]
    found = subprocess.run(command, cwd=of, env=os.environ | ENVIRONMENT, check=True, capture_output=True, text=True)
    return Path(found.stdout.strip())


def definitions(file: Path) -> None:
    """Every CustomResourceDefinition of the modules whose schemas the checks hold, whole."""
    file.parent.mkdir(parents=True, exist_ok=True)
    found = []
    for source in fetch.SOURCES:
        with zipfile.ZipFile(fetch.download(source)) as archive:
            found += [crd for _, crd in fetch.read_crds(archive, source)]
    file.write_text(json.dumps(found))
