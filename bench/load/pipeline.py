"""The whole pipeline as it is shipped, one process a stage and a ledger, on a broker of its own, and samples of what it costs and how far it is behind."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Self

import psutil
from kafka import KafkaConsumer, TopicPartition

from bench.load.event_ids import held_mib
from bench.processes import EngineFailed
from weaklink import topology
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.broker import LocalCluster
from weaklink.ops.provision import provision
from weaklink.ops.topics import party_topics
from weaklink.ops.topics_admin import apply, plan_topics
from weaklink.parties import Party
from weaklink.records.codec import decode
from weaklink.settings import Settings
from weaklink.sim.backlog import BacklogReader
from weaklink.sim.services import Services, interruptible, service_environment, tail
from weaklink.small_topics import append

_SAMPLE_SECONDS: Final = 2.0
_PAUSE_SECONDS: Final = 0.5
BROKER_HEAP_MIB: Final = 1024
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Pipeline:
    """What runs."""

    kafka: KafkaConfig
    parties: tuple[Party, ...]
    services: Services
    broker_pid: int
    folder: Path


@contextlib.contextmanager
def running(
    folder: Path, parties: Sequence[Party], further: Mapping[str, str] | None = None, heap_mib: int = BROKER_HEAP_MIB
) -> Iterator[Pipeline]:
    """A broker with these parties, and every stage, with `further` settings; stopped at the end, on SIGTERM too. Logs stay below `folder`; data does not."""
    for old in ("broker", "services", "data"):
        shutil.rmtree(folder / old, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with interruptible(), LocalCluster(folder / "broker", heap_mib=heap_mib) as cluster:
            settings = Settings(kafka=cluster.kafka)
            provision(settings)
            _join(settings, parties)
            environment = service_environment(cluster.kafka, folder / "data") | {
                "WEAKLINK_CLOCK": "append",
                **(further or {}),
            }
            with Services(environment, folder / "services", others={"broker": cluster.pid(1)}) as services:
                yield Pipeline(cluster.kafka, tuple(parties), services, cluster.pid(1), folder)
    finally:
        shutil.rmtree(folder / "broker", ignore_errors=True)
        shutil.rmtree(folder / "data", ignore_errors=True)


def _join(settings: Settings, parties: Sequence[Party]) -> None:
    """As `add_party` does for each, but all topics at once: hundreds of parties in seconds."""
    targets = [topic for party in parties for topic in party_topics(settings, party)]
    apply(settings.kafka, plan_topics(settings.kafka, targets))
    rows = [(party.id, json.dumps(party.model_dump(mode="json")).encode()) for party in parties]
    append(settings.kafka, topology.PARTIES, rows, "the register of parties")


@dataclass
class Sample:
    """At `at` (seconds since 1970): messages behind by stage; resident MiB and processor seconds so far by process; the machine's load; what ingest's
    tables of event ids hold by then, by how many events there are."""

    at: float
    behind: dict[str, int]
    resident_mib: dict[str, float]
    cpu_seconds: dict[str, float]
    load: float
    event_ids_mib: float = 0.0


@dataclass
class Sampler:
    """`with Sampler(pipeline) as sampler:` samples every two seconds in a thread. `also`: further processes (name -> pid)."""

    pipeline: Pipeline
    also: dict[str, int] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        if self._thread:
            self._thread.join()

    def _run(self) -> None:
        with (
            contextlib.closing(BacklogReader(self.pipeline.kafka, list(self.pipeline.parties))) as backlog,
            contextlib.closing(_outside_groups(self.pipeline)) as consumer,
        ):
            events = [TopicPartition(party.events_topic, number) for party in self.pipeline.parties for number in range(party.events_partitions)]  # fmt: skip
            while not self._stop.wait(_SAMPLE_SECONDS):
                services = self.pipeline.services
                pids = {name: services.pid(name) for name in services.stages} | self.also
                pids |= {"broker": self.pipeline.broker_pid}
                found = {name: usage for name, pid in pids.items() if (usage := _usage(pid))}
                found["measuring"] = _own_usage()
                self.samples.append(
                    Sample(
                        time.time(),
                        dict(backlog.read().messages),
                        {name: mib for name, (mib, _) in found.items()},
                        {name: cpu for name, (_, cpu) in found.items()},
                        os.getloadavg()[0],
                        held_mib(consumer.end_offsets(events).values()),
                    )
                )


def _outside_groups(pipeline: Pipeline) -> KafkaConsumer:
    return KafkaConsumer(
        **pipeline.kafka.client_options(), group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
    )


def _usage(pid: int) -> tuple[float, float] | None:
    """(resident MiB, processor seconds) of a process and its children; None when it has ended."""
    try:
        process = psutil.Process(pid)
        family = [process, *process.children(recursive=True)]
        times = [one.cpu_times() for one in family]
        return sum(one.memory_info().rss for one in family) / _MIB, sum(one.user + one.system for one in times)
    except psutil.NoSuchProcess:
        return None


def _own_usage() -> tuple[float, float]:
    own = psutil.Process()
    return own.memory_info().rss / _MIB, time.process_time()


def await_drained(pipeline: Pipeline, seconds_max: float) -> float:
    """Until nothing published waits in any stage; returns the seconds it took. Raises EngineFailed."""
    began = time.monotonic()
    with contextlib.closing(BacklogReader(pipeline.kafka, list(pipeline.parties))) as backlog:
        while any((behind := backlog.read().messages).values()):
            pipeline.services.check()
            if time.monotonic() - began > seconds_max:
                logs = "; ".join(tail(pipeline.services.folder / f"{stage}.log")[-500:] for stage in behind)
                raise EngineFailed(f"still behind after {seconds_max:.0f} s: {behind}; {logs}")
            time.sleep(_PAUSE_SECONDS)
    return time.monotonic() - began


def start_sender(pipeline: Pipeline, script: Path, out: Path, start_us: int) -> "subprocess.Popen[bytes]":
    """The load's own process."""
    command = [sys.executable, "-m", "bench.load.sender", pipeline.kafka.bootstrap_servers, str(script), str(out), str(start_us)]  # fmt: skip
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, env={**os.environ, "OPENBLAS_NUM_THREADS": "1"})


class ActionReader:
    """Reads the topics of actions from their beginning, as they grow."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._consumer = _outside_groups(pipeline)
        self._consumer.assign([TopicPartition(party.actions_topic, number) for party in pipeline.parties
                               for number in self._consumer.partitions_for_topic(party.actions_topic) or ()])  # fmt: skip
        self.first_ms: dict[tuple[str, str], int] = {}
        """(party, account) -> when the first action on it was appended."""
        self.evidence_seconds: list[float] = []
        """Of every action's first revision: from the evidence that it names to its append time."""
        self.measures: dict[str, int] = {}

    def read(self, seconds: float) -> None:
        """Take what there is, waiting for so long at most."""
        for records in self._consumer.poll(timeout_ms=int(seconds * 1000)).values():
            for record in records:
                self._take(record.timestamp, decode(record.value)[1])

    def _take(self, appended_ms: int, action: dict[str, Any]) -> None:
        if action["revision"] == 1:
            self.evidence_seconds.append(appended_ms / 1000 - action["evidence_at"].timestamp())
            self.measures[action["measure"]] = self.measures.get(action["measure"], 0) + 1
        if action["target_account"] is not None:
            self.first_ms.setdefault((action["party"], action["target_account"]), appended_ms)

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()
