"""`make test-services`: pytest over tests/services in namespaces of its own. Needs root; exits 2 without.

Arguments go to pytest. Those behind a `--beside` are another pytest's, which runs at the same time in namespaces of its
own, and whose output comes at the end. Everything that is started ends with it, and every address it listens on is its
own.
"""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
VENV = TOP / ".cache/services/venv"
UNSHARE = "unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private"
# The shell stays as process 1 and reaps what others leave behind.
PREPARE = 'mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns && "$@"; exit $?'


def command(arguments: list[str]) -> list[str]:
    """One pytest, in its namespaces."""
    named = [argument for argument in arguments if argument.startswith("tests/")]
    pytest = [str(VENV / "bin/python"), "-m", "pytest", "--confcutdir=tests/services", "-p", "no:cacheprovider"]
    prepared = [*UNSHARE.split(), "sh", "-c", PREPARE, "sh"]
    return [*prepared, *pytest, *arguments, *([] if named else ["tests/services"])]


def main() -> int:
    """Exit code: the highest of the tests', 2 if something is missing."""
    if os.geteuid() != 0:
        print("make test-services: needs root: Pods run in namespaces of their own", file=sys.stderr)
        return 2
    groups: list[list[str]] = [[]]
    for argument in sys.argv[1:]:
        if argument == "--beside":
            groups.append([])
        else:
            groups[-1].append(argument)
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    os.chdir(TOP)
    running = []
    for number, group in enumerate(groups):
        output = tempfile.TemporaryFile() if number else None  # noqa: SIM115
        environment = {**kept, "PYTHONDONTWRITEBYTECODE": "1", "MATRIX_FLEET_SERVICES": str(number)}
        process = subprocess.Popen(command(group), env=environment, stdout=output, stderr=output)
        running.append((process, output))
    # unshare itself ignores what would end it; killed, it takes every process of the run with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        for process, output in running:
            process.wait()
            if output:
                output.seek(0)
                print(output.read().decode(errors="replace"), flush=True)
    except KeyboardInterrupt:
        for process, _ in running:
            process.wait()
    finally:
        for process, _ in running:
            process.kill()
    return max(process.returncode or 0 for process, _ in running)


if __name__ == "__main__":
    sys.exit(main())
