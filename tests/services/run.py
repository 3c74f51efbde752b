"""`make test-services`: pytest over tests/services in namespaces of its own. Needs root; exits 2 without.

Arguments go to pytest. Everything that is started ends with it, and every address it listens on is its own.
"""

import os
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
VENV = TOP / ".cache/services/venv"
UNSHARE = "unshare --net --mount --pid --fork --kill-child --mount-proc --propagation private"
# The shell stays as process 1 and reaps what others leave behind.
PREPARE = 'mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns && "$@"; exit $?'


def main() -> None:
    if os.geteuid() != 0:
        print("make test-services: needs root: Pods run in namespaces of their own", file=sys.stderr)
        sys.exit(2)
    named = [argument for argument in sys.argv[1:] if argument.startswith("tests/")]
    pytest = [str(VENV / "bin/python"), "-m", "pytest", "--confcutdir=tests/services", "-p", "no:cacheprovider"]
    command = [*UNSHARE.split(), "sh", "-c", PREPARE, "sh", *pytest, *sys.argv[1:]]
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment = {**kept, "PYTHONDONTWRITEBYTECODE": "1", "MATRIX_FLEET_SERVICES": "1"}
    os.chdir(TOP)
    os.execvpe(command[0], [*command, *([] if named else ["tests/services"])], environment)


if __name__ == "__main__":
    main()
