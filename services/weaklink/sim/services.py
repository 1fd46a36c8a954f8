"""Weaklink's services as child processes: started, watched, started again when they die, stopped in order.

Demo, replay and tests share it. Each service has its own process group, so that Ctrl-C in the terminal reaches only us,
and a log file of its own.
"""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil

from weaklink import topology
from weaklink.errors import WeaklinkError
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.broker import LocalCluster

_COMMAND: Final = (sys.executable, "-c", "from weaklink.cli.main import main; main()")
_SLOT: Final = "local"
"""A stable name of the one worker of each stage: its restart aborts at once what a killed one left open."""
_WATCH_SECONDS: Final = 0.5
_STOP_SECONDS: Final = 15
_LIVED_SECONDS: Final = 5
_DEATHS_MAX: Final = 5
_LOG_TAIL_CHARACTERS: Final = 3000


@dataclass
class _Service:
    name: str
    log: Path
    process: subprocess.Popen[bytes]
    started: float
    early_deaths: int = 0


@dataclass
class Services:
    """`with Services(environment, folder) as services:` runs every stage until the end of the block.

    A watcher thread restarts what dies and samples memory. `notices` tells what happened, one line each.
    """

    environment: Mapping[str, str]
    folder: Path
    stages: tuple[str, ...] = tuple(stage.name for stage in topology.STAGES)
    others: dict[str, int] = field(default_factory=dict)
    """Further processes (name -> pid) whose memory is sampled too: the broker."""
    notices: list[str] = field(default_factory=list)
    restarts: int = 0
    peak_memory_mib: dict[str, float] = field(default_factory=dict)
    failure: str | None = None
    _running: dict[str, _Service] = field(default_factory=dict)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _watcher: threading.Thread | None = None

    def __enter__(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            for stage in self.stages:
                self._start(stage)
        except BaseException:
            self.stop()
            raise
        self._watcher = threading.Thread(target=self._watch, name="watch-services", daemon=True)
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def command(self, *arguments: str) -> list[str]:
        """The command line of `weaklink ARGUMENTS` with this installation."""
        return [*_COMMAND, *arguments]

    def pid(self, stage: str) -> int:
        """The process id of a stage's service now."""
        return self._running[stage].process.pid

    def kill(self, stage: str) -> None:
        """kill -9 one service; the watcher starts it again."""
        self.notices.append(f"{stage}: kill -9")
        _signal_group(self._running[stage].process, signal.SIGKILL)

    def check(self) -> None:
        """Raise WeaklinkError when a service cannot be kept alive."""
        if self.failure:
            raise WeaklinkError(self.failure)

    def stop(self) -> None:
        """Ask every service to stop; after a grace period kill what is left."""
        self._stopping.set()
        if self._watcher is not None:
            self._watcher.join()
        for service in self._running.values():
            _signal_group(service.process, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_SECONDS
        for service in self._running.values():
            try:
                service.process.wait(max(0.1, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                self.notices.append(f"{service.name}: did not stop within {_STOP_SECONDS} s and was killed")
            _signal_group(service.process, signal.SIGKILL)
            service.process.wait()

    def _start(self, stage: str, early_deaths: int = 0) -> None:
        path = self.folder / f"{stage}.log"
        with path.open("ab") as log:
            process = subprocess.Popen(
                self.command("run", stage, "--slot", _SLOT),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )
        self._running[stage] = _Service(stage, path, process, time.monotonic(), early_deaths)

    def _watch(self) -> None:
        while not self._stopping.wait(_WATCH_SECONDS):
            self._sample_memory()
            for service in list(self._running.values()):
                code = service.process.poll()
                if code is None:
                    continue
                early = time.monotonic() - service.started < _LIVED_SECONDS and code != -signal.SIGKILL
                deaths = service.early_deaths + 1 if early else 0
                if deaths >= _DEATHS_MAX:
                    self.failure = (
                        f"{service.name} does not stay alive (exit code {code}); the end of {service.log}:\n"
                        + tail(service.log)
                    )
                    return
                _signal_group(service.process, signal.SIGKILL)  # what it may have left behind
                self.restarts += 1
                self.notices.append(f"{service.name}: died ({_exit_text(code)}), started again")
                self._start(service.name, deaths)

    def _sample_memory(self) -> None:
        for name, pid in [*((s.name, s.process.pid) for s in self._running.values()), *self.others.items()]:
            with contextlib.suppress(psutil.Error):
                process = psutil.Process(pid)
                family = [process, *process.children(recursive=True)]
                mib = sum(one.memory_info().rss for one in family) / 2**20
                self.peak_memory_mib[name] = max(self.peak_memory_mib.get(name, 0.0), mib)


@dataclass(frozen=True, slots=True)
class Broker:
    """How to reach a cluster, and the processes of it that are ours (name -> pid)."""

    kafka: KafkaConfig
    pids: dict[str, int]


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[Broker]:
    """The cluster of WEAKLINK_KAFKA__BOOTSTRAP_SERVERS where it is set, else a local one for the time of the block."""
    if "WEAKLINK_KAFKA__BOOTSTRAP_SERVERS" in os.environ:
        from weaklink.settings import load_settings

        yield Broker(load_settings().kafka, {})
        return
    with LocalCluster(folder) as local:
        yield Broker(local.kafka, {"broker": local.pid(1)})


def service_environment(kafka: KafkaConfig, data_folder: Path) -> dict[str, str]:
    """Environment of services that work on this cluster under event time, with their state below `data_folder`."""
    return {
        "WEAKLINK_CLOCK": "event",
        "WEAKLINK_DATA_FOLDER": str(data_folder.resolve()),
        "WEAKLINK_LOG_JSON": "true",
        **kafka.environment(),
        "WEAKLINK_PARTNER__STATE_FOLDER": str((data_folder / "partner").resolve()),
        # One core each at most: there are five processes and often only two cores.
        "POLARS_MAX_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """SIGTERM and SIGHUP end the block as Ctrl-C does, so that what it started is stopped. Main thread only."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def tail(path: Path) -> str:
    """The end of a log."""
    return path.read_text(errors="replace")[-_LOG_TAIL_CHARACTERS:] if path.exists() else "(no log)"


def _exit_text(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)
