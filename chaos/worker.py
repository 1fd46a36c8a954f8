"""A service as a child process in a slot: started, killed, frozen, thawed, stopped, and asked whether it is ready."""

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from weaklink.ops.ports import free_ports

_PROGRAM: Final = (sys.executable, "-c", "from weaklink.cli.main import main; main()")
_STOP_SECONDS: Final = 60
_PROBE_SECONDS: Final = 2
_MIB: Final = 1 << 20
_FORGET_HIGH_WATER: Final = "5"
"""Written to /proc/<pid>/clear_refs, as proc(5) has it."""


@dataclass
class Worker:
    """`weaklink run STAGE --slot SLOT`, possibly again and again; every life appends to one log.

    `program`: what runs in place of `weaklink` (a build with switches, see chaos/edges.py).
    """

    stage: str
    slot: str
    log: Path
    environment: Mapping[str, str]
    program: tuple[str, ...] = _PROGRAM
    process: "subprocess.Popen[bytes] | None" = None
    port: int = 0
    lives: int = 0
    started_at: float = 0.0
    """By the monotonic clock."""
    frozen: bool = False

    @property
    def name(self) -> str:
        """Stage and slot."""
        return f"{self.stage}/{self.slot}"

    @property
    def pid(self) -> int:
        """Of the present life."""
        assert self.process is not None, f"{self.name} was never started"
        return self.process.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None

    def start(self, program: tuple[str, ...] | None = None) -> None:
        """One more life. Does not wait for it to be ready."""
        assert not self.alive, f"{self.name} runs already"
        (self.port,) = free_ports(1)
        command = [*(program or self.program), "run", self.stage, "--slot", self.slot, "--metrics-port", str(self.port)]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, env={**os.environ, **self.environment},
                start_new_session=True,  # Ctrl-C in the terminal reaches only us, and we stop it in order
            )  # fmt: skip
        self.lives += 1
        self.started_at = time.monotonic()
        self.frozen = False

    def kill(self) -> None:
        """kill -9, now."""
        self._signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait()

    def freeze(self) -> None:
        """SIGSTOP: it neither works nor knows it."""
        self._signal(signal.SIGSTOP)
        self.frozen = True

    def thaw(self) -> None:
        """SIGCONT: it goes on as if nothing had been."""
        self._signal(signal.SIGCONT)
        self.frozen = False

    def terminate(self) -> None:
        """SIGTERM; does not wait."""
        self._signal(signal.SIGTERM)

    def stop(self, seconds: float = _STOP_SECONDS) -> int | None:
        """SIGTERM, and SIGKILL when that does not help; its exit status."""
        if self.process is None:
            return None
        if self.alive:
            self.thaw()
            self._signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            return None

    def ready(self) -> bool:
        """Whether it says that it has joined its group and rebuilt its state."""
        if not self.alive or self.frozen:
            return False
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=_PROBE_SECONDS) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def resident_mib(self) -> float:
        """Memory of the process and its children; 0 when it is gone."""
        try:
            return sum(psutil.Process(pid).memory_info().rss for pid in self._pids()) / _MIB
        except psutil.Error:
            return 0.0

    def peak_mib(self) -> float:
        """The most that the process and its children have taken, each since it was forgotten, or started; 0 when it is gone, or the system does not say."""
        try:
            return sum(_high_water_mib(pid) for pid in self._pids())
        except OSError:
            return 0.0

    def forget_peak(self) -> bool:
        """`peak_mib` begins anew. Whether the system lets it."""
        try:
            for pid in self._pids():
                Path(f"/proc/{pid}/clear_refs").write_text(_FORGET_HIGH_WATER, encoding="ascii")
        except OSError:
            return False
        return self.peak_mib() > 0

    def tail(self, lines: int = 12) -> str:
        """The end of its log."""
        text = self.log.read_text(encoding="utf-8", errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def _pids(self) -> list[int]:
        """Of the process and its children; none when it is gone."""
        try:
            return [self.pid, *(child.pid for child in psutil.Process(self.pid).children(recursive=True))]
        except psutil.Error:
            return []

    def _signal(self, number: int) -> None:
        assert self.process is not None, f"{self.name} was never started"
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)


def _high_water_mib(pid: int) -> float:
    """VmHWM of /proc/<pid>/status. Raises OSError when there is no such process, or no such file system."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0  # it has ended, and nobody has waited for it yet
