"""How fast a fleet compiles, against what the emitter alone would take.

    make bench

Generates fleets of 10, 100 and 1,000 tenants, compiles each cold with plain `kapitan compile`, and sets
the CPU time against the limit: the same objects, already in memory, written to the same files by
libyaml's emitter alone, in this very run. Ratios hold on any machine; seconds hold on none.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import yaml

TOP = Path(__file__).resolve().parent.parent
TENANT = """\
classes:
  - pattern.single-tenant
parameters:
  matrix:
    size: {size}
    server_name: {name}.example.org
    hosts: {{matrix: matrix.{name}.example.org, element: chat.{name}.example.org}}
"""


@dataclass(frozen=True)
class Measured:
    """One command: CPU seconds of it and all its processes, wall seconds, the largest process."""

    cpu: float
    wall: float
    peak_mib: float


def generate(folder: Path, tenants: int) -> None:
    """A repository with so many tenants on one cluster, of the three sizes in turn."""
    shutil.copytree(TOP / "inventory" / "classes", folder / "inventory" / "classes")
    targets = folder / "inventory" / "targets" / "eu1"
    targets.mkdir(parents=True)
    shutil.copy(TOP / "inventory/targets/eu1/platform.yml", targets)
    for number in range(tenants):
        name = f"tenant-{number:04}"
        size = ("small", "medium", "large")[number % 3]
        (targets / f"{name}.yml").write_text(TENANT.format(name=name, size=size))
    for name in ("components", "lib", ".kapitan"):
        (folder / name).symlink_to(TOP / name)


def measure(folder: Path, *arguments: str) -> Measured:
    """Run Kapitan and account for it and for every process it made."""
    start = time.perf_counter()
    command = [sys.executable, "-m", "kapitan", "compile", *arguments]
    # As make runs it: components are loaded anew for each target, from bytecode.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    process = subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    said = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(said)
    return Measured(usage.ru_utime + usage.ru_stime, time.perf_counter() - start, usage.ru_maxrss / 1024)


def limit(compiled: Path, scratch: Path) -> tuple[int, float]:
    """Objects, and the CPU seconds to write them by the emitter alone."""
    paths = sorted(compiled.rglob("*.yaml"))
    spent = 0.0
    # A thousand at a time: all of a large fleet in memory would measure the memory.
    for first in range(0, len(paths), 1000):
        batch = [(path, yaml.load(path.read_text(), Loader=yaml.CSafeLoader)) for path in paths[first : first + 1000]]
        start = time.process_time()
        for path, thing in batch:
            out = scratch / path.relative_to(compiled)
            out.parent.mkdir(parents=True, exist_ok=True)
            out.write_text(yaml.dump(thing, Dumper=yaml.CSafeDumper, sort_keys=False, default_flow_style=False))
        spent += time.process_time() - start
    return len(paths), spent


def main() -> None:
    """Print a line a fleet, then one target of the largest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tenants", nargs="*", type=int, default=[10, 100, 1000])
    row = "{:>8} {:>8} {:>8} {:>8} {:>9} {:>10} {:>13} {:>9} {:>6}"
    print(row.format("tenants", "objects", "CPU s", "wall s", "peak MiB", "ms/object", "ms/tenant", "limit s", "ratio"))
    for tenants in parser.parse_args().tenants:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "fleet"
            folder.mkdir()
            generate(folder, tenants)
            whole = measure(folder)
            objects, alone = limit(folder / "compiled", Path(name) / "limit")
            print(
                row.format(
                    tenants,
                    objects,
                    f"{whole.cpu:.1f}",
                    f"{whole.wall:.1f}",
                    f"{whole.peak_mib:.0f}",
                    f"{whole.cpu / objects * 1000:.2f}",
                    f"{whole.cpu / tenants * 1000:.1f}",
                    f"{alone:.1f}",
                    f"{whole.cpu / alone:.2f}",
                ),
                flush=True,
            )
            one = measure(folder, "-t", "eu1.tenant-0003")
            nothing = measure(folder, "--help")
    print(f"one tenant of the last fleet with -t: {one.cpu:.1f} CPU s, {one.wall:.1f} s, {one.peak_mib:.0f} MiB")
    print(f"of that, Kapitan's own imports (compile --help): {nothing.cpu:.1f} CPU s")


if __name__ == "__main__":
    main()
