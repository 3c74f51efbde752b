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
PROGRAMS = {
    "etcd": "./cmd/etcd",
    "kube": "./cmd/kube",
    "kwok": "sigs.k8s.io/kwok/cmd/kwok",
    "argocd": "github.com/argoproj/argo-cd/v3/cmd",
}
# Without it the API server takes itself for version 0.0.0.
FLAGS = "-s -w -X k8s.io/component-base/version.gitVersion=v1.36.1"
ENVIRONMENT = {"CGO_ENABLED": "0", "GOFLAGS": "-trimpath -buildvcs=false"}


def folder() -> Path:
    """Where the programs of this go.sum are, or will be."""
    return CACHE / hashlib.sha256((MODULE / "go.sum").read_bytes()).hexdigest()[:16]


def build() -> Path:
    """Build what is not there yet; the folder of the programs."""
    place = folder()
    if (place / "ready").exists():
        return place
    place.mkdir(parents=True, exist_ok=True)
    env = os.environ | ENVIRONMENT
    for program, package in PROGRAMS.items():
        if not (place / program).exists():
            start = time.monotonic()
            print(f"building {program} (once; Kubernetes takes minutes)", flush=True)
            made = place / f"{program}.new"
            subprocess.run(["go", "build", f"-ldflags={FLAGS}", "-o", made, package], cwd=MODULE, env=env, check=True)
            made.rename(place / program)
            print(f"  {time.monotonic() - start:.0f} s", flush=True)
    # The repo-server calls them, and a module's folder may be cleaned away.
    for script in (module("github.com/argoproj/argo-cd/v3") / "hack").glob("*wrapper.sh"):
        (place / script.name).write_bytes(script.read_bytes())
        (place / script.name).chmod(0o755)
    stages = module("sigs.k8s.io/kwok") / "kustomize/stage"
    shutil.copytree(stages, place / "stages", copy_function=shutil.copyfile, dirs_exist_ok=True)
    definitions(place / "crds.json")
    (place / "ready").touch()
    return place


def module(path: str) -> Path:
    """The folder of a module's sources."""
    command = ["go", "list", "-m", "-f", "{{.Dir}}", path]
    found = subprocess.run(
        command, cwd=MODULE, env=os.environ | ENVIRONMENT, check=True, capture_output=True, text=True
    )
    return Path(found.stdout.strip())


def definitions(file: Path) -> None:
    """Every CustomResourceDefinition of the modules whose schemas the checks hold, whole."""
    found = []
    for source in fetch.SOURCES:
        with zipfile.ZipFile(fetch.download(source)) as archive:
            found += [crd for _, crd in fetch.read_crds(archive, source)]
    file.write_text(json.dumps(found))
