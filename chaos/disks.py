"""A small file system of its own (tmpfs), to be filled to the last byte. Needs root."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_STEP_BYTES: Final = 64 << 10


class Disk:
    """What is mounted."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    def fill(self) -> None:
        """Until nothing more can be written."""
        with self._filler.open("ab", buffering=0) as file:
            for step in (_STEP_BYTES, 1):
                try:
                    while True:
                        file.write(b"\1" * step)
                except OSError:
                    continue

    def free(self) -> None:
        """All the room is back."""
        self._filler.unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, size_mib: int) -> Iterator[Disk | None]:
    """A disk of that size; None where this user may not mount one."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "weaklink-chaos", str(folder)]
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=False)
