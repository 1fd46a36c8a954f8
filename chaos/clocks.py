"""Processes whose clock is another than the machine's: a few lines of C, loaded before the C library, and a file that says by how much.

libfaketime does more than that, and kafka-python's threads do not get on under it.
"""

import shutil
import struct
import subprocess
from pathlib import Path
from typing import Final

_SOURCE: Final = Path(__file__).with_name("clock.c")


class Clock:
    """The clock of all processes that are started with `environment`. Only the time of day: nobody can set what counts seconds since the start."""

    def __init__(self, folder: Path) -> None:
        self._file = (folder / "clock").resolve()
        self._library = (folder / "clock.so").resolve()
        self.set(0)
        compiler = shutil.which("cc")
        self.works = compiler is not None
        """Whether there is a C compiler."""
        if compiler:
            subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(self._library), str(_SOURCE)], check=True)

    def set(self, seconds: int) -> None:
        """So much ahead of the machine's clock, at once."""
        if not self._file.exists():
            self._file.write_bytes(bytes(8))
        with self._file.open("r+b", buffering=0) as file:
            file.write(struct.pack("=q", seconds))

    def is_of(self, pid: int) -> bool:
        """Whether the process really has this clock."""
        return str(self._library) in Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace")

    @property
    def environment(self) -> dict[str, str]:
        """Of a process that is to have this clock; empty where there is no compiler."""
        return {"LD_PRELOAD": str(self._library), "CHAOS_CLOCK": str(self._file)} if self.works else {}
