"""Keeps the cache before a bucket below its limit: python clean_cache.py <folder> <bytes> <file that it touches>.

What goes is what nobody read or wrote for the longest time. It is a copy: the bucket has it, or the server that it
came from. What is younger than ten minutes stays, since it may be on its way to the bucket.
"""

import os
import signal
import sys
import time
from pathlib import Path

PERIOD = 60  # seconds
YOUNG = 600  # seconds


def clean(folder: str, limit: int, now: float) -> int:
    """Remove files, the longest unused first, until what is left is within the limit; return how many went."""
    found = []
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            try:
                seen = path.stat()
            except FileNotFoundError:  # Synapse removes files too
                continue
            # Blocks, not length: that is what the kubelet counts.
            found.append((max(seen.st_atime, seen.st_mtime), seen.st_blocks * 512, path))
    used, gone = sum(size for _, size, _ in found), 0
    for last, size, path in sorted(found):
        if used <= limit or now - last < YOUNG:
            break
        try:
            path.unlink()
        except FileNotFoundError:
            continue
        used, gone = used - size, gone + 1
    return gone


def main() -> None:
    """For ever; the first process of a container ends at SIGTERM only if it says so."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    while True:
        clean(sys.argv[1], int(sys.argv[2]), time.time())
        Path(sys.argv[3]).touch()
        time.sleep(PERIOD)


if __name__ == "__main__":
    main()
