"""What a person reads when the machine is the trouble: one line, exit code 1, and nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fleetnode.demo import _free_network
from fleets import TOP, Repository
from matrixfleet.cli import app

PROGRAM = Path(sys.prefix) / "bin/matrix-fleet"
NAMESPACES = (
    subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode == 0
    if shutil.which("unshare")
    else False
)
needs_namespaces = pytest.mark.skipif(not NAMESPACES, reason="this machine gives users no mount namespaces")


def run(top: Path, *words: str, before: str = "") -> subprocess.CompletedProcess[str]:
    """The installed program; `before` prepares mounts in a namespace of its own."""
    command = [str(PROGRAM), *words]
    if before:
        command = ["unshare", "-rm", "sh", "-ec", f'{before}\ncd "$PWD"\nexec "$@"', "sh", *command]
    return subprocess.run(command, cwd=top, capture_output=True, text=True, check=False, timeout=300)


def one_line(done: subprocess.CompletedProcess[str], text: str) -> None:
    lines = [line for line in done.stderr.splitlines() if not line.startswith("warning:")]
    assert done.returncode == 1 and len(lines) == 1 and text in lines[0], done.stderr


COMMANDS = {
    "compile": ("-t", "eu1.nobody"),
    "check": ("--base", "no-such-commit"),
    "explain": ("eu1.chess-club", "matrix.synapse.presense"),
    "secrets": ("eu1.nobody",),
    "status": ("eu1", "--prometheus", "http://127.0.0.1:1"),
    "images": ("--renew", "--check"),
    "schema": (),
}


def test_every_command_is_tried() -> None:
    assert {one.name or one.callback.__name__ for one in app.registered_commands if one.callback} == set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_ends_in_a_traceback(command: str) -> None:
    for words in ((command, *COMMANDS[command]), (command, "--help")):
        done = run(TOP, *words)
        assert "Traceback" not in done.stderr + done.stdout, done.stderr
        assert done.returncode in (0, 1), done.stderr


@needs_namespaces
def test_a_full_disk(tmp_path: Path) -> None:
    Repository(tmp_path)
    before = "mount -t tmpfs -o size=256k tmpfs .cache"
    one_line(run(tmp_path, "compile", before=before), "No space left on device")
    assert not (tmp_path / "compiled").exists()


@needs_namespaces
def test_a_checkout_that_can_only_be_read(tmp_path: Path) -> None:
    Repository(tmp_path)
    before = 'mount --bind "$PWD" "$PWD" && mount -o remount,bind,ro "$PWD" && cd "$PWD"'
    one_line(run(tmp_path, "compile", before=before), "Read-only file system; expected a checkout that can be written")


def test_a_file_for_a_folder(tmp_path: Path) -> None:
    Repository(tmp_path)
    shutil.rmtree(tmp_path / ".cache")
    (tmp_path / ".cache").write_text("")
    one_line(run(tmp_path, "compile"), ".cache: File exists; expected a folder there; remove the file")


def started(top: Path) -> subprocess.Popen[str]:
    """A compile that is at work."""
    process = subprocess.Popen(
        [str(PROGRAM), "compile"],
        cwd=top,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    end = time.monotonic() + 60
    while not list((top / ".cache").glob("compile-*/*")):
        assert process.poll() is None and time.monotonic() < end, process.communicate()
        time.sleep(0.02)
    return process


def test_two_compiles_at_once_and_one_that_is_killed(tmp_path: Path) -> None:
    Repository(tmp_path)
    first = started(tmp_path)
    try:
        one_line(run(tmp_path, "compile"), ".cache: another compile of this checkout is running; wait for it")
    finally:
        os.killpg(first.pid, signal.SIGKILL)
        first.wait()
    assert list((tmp_path / ".cache").glob("compile-*/")), "it left something"
    done = run(tmp_path, "compile")
    assert done.returncode == 0, done.stderr
    assert [path.name for path in (tmp_path / ".cache").glob("compile-*")] == []


def test_a_demo_beside_another_takes_other_addresses() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    first, held = _free_network([port])
    second, also = _free_network([port])
    assert first != second
    for one in (*held, *also):
        one.close()
    with socket.socket() as everywhere:
        everywhere.bind(("0.0.0.0", port))
        everywhere.listen()
        with pytest.raises(RuntimeError, match=f"port {port} is taken on every address"):
            _free_network([port])
