"""Processes of an engine: started, followed by what they cost, and stopped. The broker's cost is taken at the same moments."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
import psutil

_SAMPLE_SECONDS: Final = 0.05
_CHILDREN_SECONDS: Final = 0.25  # to look through all processes for children costs as much as many samples
_STOP_SECONDS: Final = 60
_MIB: Final = 1 << 20


class EngineFailed(Exception):
    """An engine ended or stood still before its work was done; the message has the end of its log."""


@dataclass(frozen=True, slots=True)
class Sample:
    """At `at_us`: processor seconds so far of the engine and of the broker, and the engine's resident memory."""

    at_us: int
    cpu_seconds: float
    broker_cpu_seconds: float
    resident_mib: float


class Meter:
    """Samples the engine's processes (with their children) and the broker, in a thread, while the block lasts."""

    def __init__(self, processes: Sequence["subprocess.Popen[bytes]"], broker_pid: int | None) -> None:
        self._processes = [psutil.Process(one.pid) for one in processes]
        self._broker = psutil.Process(broker_pid) if broker_pid else None
        self._spent: dict[int, float] = {}
        self._known: list[psutil.Process] = []
        self._looked_at = float("-inf")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="meter")
        self.samples: list[Sample] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def spent(self, begin_us: int, end_us: int) -> tuple[float, float]:
        """Processor seconds of engine and broker between two moments, interpolated between samples."""
        at = [one.at_us for one in self.samples]

        def between(values: list[float]) -> float:
            return float(np.interp(end_us, at, values) - np.interp(begin_us, at, values))

        return between([one.cpu_seconds for one in self.samples]), between([one.broker_cpu_seconds for one in self.samples])  # fmt: skip

    @property
    def peak_mib(self) -> float:
        """Most resident memory of the engine's processes together."""
        return max((one.resident_mib for one in self.samples), default=0.0)

    def _run(self) -> None:
        while not self._stop.is_set():
            self.samples.append(self._sample())
            self._stop.wait(_SAMPLE_SECONDS)
        self.samples.append(self._sample())

    def _sample(self) -> Sample:
        resident = 0.0
        if time.monotonic() - self._looked_at >= _CHILDREN_SECONDS:
            self._known = [process for root in self._processes for process in self._tree(root)]
            self._looked_at = time.monotonic()
        for process in self._known:
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    self._spent[process.pid] = times.user + times.system
                    resident += process.memory_info().rss / _MIB
            except psutil.NoSuchProcess:
                continue  # what it had spent still counts
        broker = 0.0
        if self._broker:
            times = self._broker.cpu_times()
            broker = times.user + times.system
        return Sample(time.time_ns() // 1000, sum(self._spent.values()), broker, resident)

    @staticmethod
    def _tree(root: psutil.Process) -> list[psutil.Process]:
        try:
            return [root, *root.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []


class Started:
    """A process with its log file; leaving the block stops it, first kindly."""

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.log = log
        with log.open("wb") as file:
            # A session of its own, so that Ctrl-C reaches only us, and we stop it in order.
            self.process = subprocess.Popen(
                command,
                stdout=file,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:  # fmt: skip
        self.stop()

    def stop(self) -> None:
        """SIGTERM, and SIGKILL when that does not help."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.wait(_STOP_SECONDS)

    def wait(self, seconds: float) -> None:
        """Until it has ended; killed when it takes longer."""
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def check(self) -> None:
        """Raises EngineFailed when it has ended with an error."""
        if self.process.poll():
            raise EngineFailed(f"ended with {self.process.returncode}: {tail(self.log)}")


def tail(log: Path) -> str:
    """The end of a log, without lines of status."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join([line for line in lines if not line.startswith("STATUS")][-12:])
