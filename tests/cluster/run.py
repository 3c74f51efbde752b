"""`make test-cluster`: build what is missing, then the tests in network, mount and process namespaces of their own.

With $KUBECONFIG the tests of admission alone run, against that cluster: everything else changes what is not theirs.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parent.parent
sys.path[:0] = [str(HERE), str(TOP / "lib")]
NEEDED = {
    "redis-server": "redis-server (make .cache/services/programs/ready)",
    "openssl": "openssl",
    "unshare": "util-linux",
    "ip": "iproute2",
    "git": "git",
}


def missing() -> str:
    """What keeps the tests from running, in a line; nothing if nothing."""
    if os.environ.get("KUBECONFIG"):
        return ""
    if os.geteuid() != 0:
        return "needs root (for namespaces of its own), or $KUBECONFIG with a cluster that may be changed"
    absent = [name for command, name in NEEDED.items() if not shutil.which(command)]
    return f"needs {', '.join(absent)}" if absent else ""


def main() -> int:
    """Exit code: the tests', 2 if something is missing."""
    if why := missing():
        print(f"make test-cluster: {why}", file=sys.stderr)
        return 2
    import build
    import plane

    os.environ["PATH"] = f"{build.CLUSTER}/bin:{os.environ['PATH']}"
    tests = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-c", str(HERE / "pytest.ini")]
    if os.environ.get("KUBECONFIG"):
        return subprocess.run([*tests, str(HERE / "test_02_admission.py")]).returncode
    named = sys.argv[1:] or ([str(HERE / "test_08_scale.py")] if os.environ.get("SCALE") else [])
    # The last have a network and control planes of their own: they run beside the others.
    joined = [str(HERE / f"test_{name}.py") for name in ("10_joined", "11_cloudnativepg")]
    # By name alone: they would take as long again.
    recovery = [str(HERE / f"test_{name}.py") for name in ("12_standby", "13_shared")]
    parts = [named] if named else [[str(HERE), *(f"--ignore={file}" for file in joined + recovery)], joined]
    start = time.monotonic()
    programs = build.build()
    for operator in build.OPERATORS:
        build.build_operator(operator)
    print(f"programs are there after {time.monotonic() - start:.0f} s (0 s if built before)", flush=True)
    inside = "ip link set lo up && ip address add 192.0.2.1/32 dev lo && ip route add local 10.244.0.0/14 dev lo"
    # The shell stays as process 1 and reaps what others leave behind.
    inside += ' && mount --bind "$0" /etc/hosts || exit 1; "$@"; exit $?'
    namespaces = ["unshare", "-n", "-m", "--propagation", "private", "-p", "-f", "--kill-child", "--mount-proc"]
    start = time.monotonic()
    commands = []
    for number, part in enumerate(parts):
        hosts = programs.parent / f"hosts-{number}"
        hosts.write_text("".join(f"{address} {name}\n" for name, address in plane.HOSTS.items()))
        commands.append([*namespaces, "sh", "-c", inside, str(hosts), *tests, *part])
    code = run(commands)
    rows = [f"| {module} | {pinned} | {built} |" for module, (pinned, built) in sorted(build.versions().items())]
    print("\n".join(["| module | schemas of | built and ran |", "|---|---|---|", *rows]))
    print(f"make test-cluster: {time.monotonic() - start:.0f} s, the build apart")
    return code


def run(commands: list[list[str]]) -> int:
    """All at once; the first says what it does as it does it, the others at their end. The highest exit code; whatever
    ends this ends all of it."""
    outputs = [tempfile.TemporaryFile() if number else None for number in range(len(commands))]  # noqa: SIM115
    running = [
        subprocess.Popen(command, stdout=output, stderr=output)
        for command, output in zip(commands, outputs, strict=True)
    ]
    # unshare itself ignores what would end it; killed, it takes every process of the run with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        for one, output in zip(running, outputs, strict=True):
            one.wait()
            if output:
                output.seek(0)
                print(output.read().decode(errors="replace"), flush=True)
    except KeyboardInterrupt:
        for one in running:
            one.wait()
    finally:
        for one in running:
            one.kill()
    return max(one.returncode or 0 for one in running)


if __name__ == "__main__":
    sys.exit(main())
