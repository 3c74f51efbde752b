"""Folders as a stranger may have left them: nothing is opened that is no plain file, and no link is followed."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

LONGEST = 1024 * 1024
"""Bytes: ten times the longest file of any fleet, and what etcd takes of one object."""
_OTHER = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
    stat.S_IFREG: "a file",
}


def printable(text: str) -> str:
    """A name or a line as a terminal may show it: no control characters, no bytes that are no UTF-8."""
    return "".join(
        each
        if each.isprintable()
        else f"\\x{ord(each) - 0xDC00:02x}"
        if "\udc80" <= each <= "\udcff"
        else repr(each)[1:-1]
        for each in text
    )


@dataclass
class There:
    """A folder as it lies there."""

    files: dict[str, bytes | None] = field(default_factory=dict)
    """Each plain file's bytes by path below the repository's top; None of one too long to read."""
    folders: set[str] = field(default_factory=set)
    """Every folder."""
    odd: dict[str, str] = field(default_factory=dict)
    """What is no plain file or cannot be read, and what it is."""
    executable: list[str] = field(default_factory=list)
    """Files with mode bits that no compiled file has."""

    @classmethod
    def read(cls, top: Path, names: Iterable[str]) -> There:
        """Some folders below the repository's top."""
        there = cls()
        for name in names:
            try:
                kind = os.lstat(top / name).st_mode
            except OSError:
                continue
            if stat.S_ISDIR(kind):
                there._folder(top, name)
            else:
                there.odd[name] = _OTHER.get(stat.S_IFMT(kind), "no folder")
        return there

    def _folder(self, top: Path, first: str) -> None:
        waiting = [first]
        while waiting:
            name = waiting.pop()
            self.folders.add(name)
            try:
                with os.scandir(top / name) as entries:
                    found = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                self.odd[name] = f"a folder that cannot be read ({error.strerror})"
                continue
            for entry in found:
                path = f"{name}/{entry.name}"
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    waiting.append(path)
                elif stat.S_ISREG(status.st_mode):
                    self._file(top, path, status)
                else:
                    self.odd[path] = _OTHER.get(stat.S_IFMT(status.st_mode), "no file")

    def _file(self, top: Path, path: str, status: os.stat_result) -> None:
        # What git holds of a mode is whether a file may be executed; the rest is the umask's.
        if status.st_mode & 0o7111:
            self.executable.append(path)
        if status.st_size > LONGEST:
            self.files[path] = None
            return
        try:
            handle = os.open(top / path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(handle, "rb") as opened:
                self.files[path] = opened.read(LONGEST + 1)
        except OSError as error:
            self.odd[path] = f"a file that cannot be read ({error.strerror})"
