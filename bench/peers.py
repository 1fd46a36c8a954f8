"""The other engines: how each is started, followed and stopped, and how it is configured."""

import json
import re
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from bench import topics
from bench.build import PEERS, build_java, build_python
from bench.job import PATIENCE_SECONDS, POLL_SECONDS, Job, Outcome
from bench.judge import MemberFormat, judge_groups
from bench.processes import EngineFailed, Meter, Started, tail
from weaklink.ops.kafka_jars import ensure_jars
from weaklink.records.schemas import schema_folder

Status = dict[str, int]
_TAIL_BYTES: Final = 8_192
_SETTLE_POLLS: Final = 4
_END_SECONDS: Final = 120
_STANDSTILL_SECONDS: Final = 120
_FLINK_OPENS: Final = [
    f"--add-opens=java.base/{package}=ALL-UNNAMED"
    for package in ("java.lang", "java.util", "java.nio", "java.net", "java.util.concurrent", "java.util.concurrent.atomic")
]  # fmt: skip
_PERF_LINE: Final = re.compile(r"^\d{4}-.*$", re.MULTILINE)


@dataclass
class Peer:
    """A peer that says lines of status and puts out messages (token, members)."""

    name: str
    guarantee: str
    configured: str
    build: Callable[[], Any]
    command: Callable[[Any, Job, str, str], Sequence[str]]
    """(what `build` gave, job, topic of pairs, topic of output) -> command line."""
    form: MemberFormat
    events_max: int | None = None
    processes: int = 1
    ends_itself: bool = False
    environment: dict[str, str] = field(default_factory=dict)
    _built: Any = None

    def prepare(self) -> None:
        """Build it. Raises Unavailable."""
        self._built = self.build()

    def run(self, job: Job) -> Outcome:
        """Start it, follow it until every pair is folded, stop it, and judge what it put out."""
        pairs, output = f"{job.name}-pairs", f"{job.name}-shared"
        topics.create(job.kafka, [pairs, output])
        with ExitStack() as stack:
            started = [
                stack.enter_context(Started(self._command(job, pairs, output, number), job.folder / f"{number}.log", self.environment))
                for number in range(self.processes)
            ]  # fmt: skip
            meter = stack.enter_context(Meter([one.process for one in started], job.broker_pid))
            first_us, last_us = follow(started, job.data.events)
            if self.ends_itself:  # its last checkpoint commits the output
                for one in started:
                    one.wait(_END_SECONDS)
                    one.check()
        once = self.guarantee.startswith("exactly")
        wrong = judge_groups(job.data.truth, topics.read_all(job.kafka, output), self.form, once=once)
        return Outcome.of(meter, first_us, last_us, wrong)

    def _command(self, job: Job, pairs: str, output: str, number: int) -> Sequence[str]:
        (job.folder / f"state-{number}").mkdir()
        command = self.command(self._built, job, pairs, output)
        return [one.replace("STATE", str((job.folder / f"state-{number}").resolve())) for one in command]


@dataclass
class Receive:
    """librdkafka in Python: receives and does nothing."""

    folder: Path
    name: str = "raw-librdkafka-python"
    guarantee: str = "none: receives only"
    events_max: int | None = None
    configured: str = "confluent-kafka 2.16: `consume(20000)`, 256 MiB prefetched, 16 MiB a partition and fetch; the values' lengths are added up"
    _python: Path | None = None

    def prepare(self) -> None:
        """An environment with confluent-kafka. Raises Unavailable."""
        self._python = build_python("librdkafka", self.folder)

    def run(self, job: Job) -> Outcome:
        """Receive as many as there are."""
        script = PEERS / "librdkafka" / "receive.py"
        command = [
            str(self._python),
            str(script),
            job.kafka.bootstrap_servers,
            job.data.topic,
            job.name,
            str(job.data.events),
        ]
        with Started(command, job.folder / "0.log") as started, Meter([started.process], job.broker_pid) as meter:
            status = await_end(started)
        wrong = [] if status["read"] == job.data.events else [f"{status['read']} of {job.data.events} were received"]
        return Outcome.of(meter, status["first_us"], status["last_us"], wrong)


@dataclass
class PerfTest:
    """Kafka's own consumer-perf-test."""

    name: str = "raw-consumer-perf-test"
    guarantee: str = "none: receives only"
    events_max: int | None = None
    configured: str = "kafka-consumer-perf-test of the broker's version, 16 MiB a partition and fetch, 4 MiB socket buffer; counted without joining its group"
    _jars: Path | None = None

    def prepare(self) -> None:
        """Kafka's jars."""
        self._jars = ensure_jars()

    def run(self, job: Job) -> Outcome:
        """Receive as many as there are. Its own clock: end of the test, less the time it says that it fetched."""
        command = [
            "java", "-Xmx512m", "-cp", f"{self._jars}/*", "org.apache.kafka.tools.ConsumerPerformance", "--bootstrap-server", job.kafka.bootstrap_servers,
            "--topic", job.data.topic, "--group", job.name, "--num-records", str(job.data.events), "--fetch-size", str(16 << 20),
            "--socket-buffer-size", str(4 << 20), "--hide-header", "--timeout", "60000",
        ]  # fmt: skip
        with Started(command, job.folder / "0.log") as started, Meter([started.process], job.broker_pid) as meter:
            started.wait(PATIENCE_SECONDS)
            ended_us = time.time_ns() // 1000
            started.check()
        lines = _PERF_LINE.findall(started.log.read_text(encoding="utf-8", errors="replace"))
        if not lines:
            raise EngineFailed(f"said no figures: {tail(started.log)}")
        # start, end, MB, MB/s, messages, messages/s, rebalance ms, fetch ms, fetch MB/s, fetch messages/s
        figures = [one.strip() for one in lines[-1].split(",")]
        received, fetch_us = int(figures[4]), int(figures[7]) * 1000
        wrong = [] if received >= job.data.events else [f"{received} of {job.data.events} were received"]
        return Outcome.of(meter, ended_us - fetch_us, ended_us, wrong)


def follow(started: Sequence[Started], events: int) -> tuple[int, int]:
    """Until all events are read and all that was sent on is folded; (first event read, last pair folded), in microseconds since 1970. Raises EngineFailed,
    also when nothing has moved for _STANDSTILL_SECONDS."""
    begun_at = moved_at = time.monotonic()
    before: list[int] = []
    settled = 0
    while True:
        found = [status for one in started if (status := last_status(one.log))]
        read, sent, folded = now = [sum(one[name] for one in found) for name in ("read", "sent", "folded")]
        if now != before or not found:  # until the first status, only patience counts
            moved_at, before = time.monotonic(), now
        # The counters are not read at one moment: what they say must last.
        settled = settled + 1 if read >= events and folded >= sent else 0
        if settled == _SETTLE_POLLS:
            return min(one["first_us"] for one in found if one["first_us"]), max(one["last_us"] for one in found)
        for one in started:
            one.check()
            if one.process.poll() is not None and settled == 0 and (read < events or folded < sent):
                time.sleep(1)
                if last_status(one.log) in (None, *found):
                    raise EngineFailed(
                        f"ended at {read} of {events} events read, {folded} of {sent} folded: {tail(one.log)}"
                    )
        if time.monotonic() > min(moved_at + _STANDSTILL_SECONDS, begun_at + PATIENCE_SECONDS):
            raise EngineFailed(
                f"after {time.monotonic() - begun_at:.0f} s, the last {time.monotonic() - moved_at:.0f} without any change, "
                f"{read} of {events} events are read, {folded} of {sent} folded: {tail(started[0].log)}"
            )
        time.sleep(POLL_SECONDS)


def await_end(started: Started) -> Status:
    """Until the process has ended by itself; its last status."""
    started.wait(PATIENCE_SECONDS)
    started.check()
    status = last_status(started.log)
    if status is None:
        raise EngineFailed(f"said no status: {tail(started.log)}")
    return status


def last_status(log: Path) -> Status | None:
    """The last whole line of status."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
        lines = file.read().split(b"\n")[:-1]
    for line in reversed(lines):
        if line.startswith(b"STATUS {") and line.endswith(b"}"):
            status: Status = json.loads(line.removeprefix(b"STATUS "))
            return status
    return None


def java_command(class_path: str, heap_mib: int, *arguments: str, options: Sequence[str] = ()) -> list[str]:
    """A Java peer; `STATE` in its arguments becomes its folder."""
    return ["java", f"-Xms{heap_mib}m", f"-Xmx{heap_mib}m", "-XX:+UseParallelGC", *options, "-cp", class_path, "Main", *arguments]  # fmt: skip


def streams_peer(kind: str, configured: str, folder: Path, heap_mib: int, events_max: int | None = None) -> Peer:
    """Kafka Streams, `kind` as its Main takes it."""

    def command(class_path: Any, job: Job, pairs: str, output: str) -> Sequence[str]:
        return java_command(class_path, heap_mib, kind, job.kafka.bootstrap_servers, job.data.topic, pairs, output, "STATE")  # fmt: skip

    return Peer(f"kafka-streams-{kind}", "exactly-once", configured, lambda: build_java("kafka-streams", folder), command, "fnv64", events_max)  # fmt: skip


def flink_peer(kind: str, configured: str, folder: Path, heap_mib: int) -> Peer:
    """Flink in one process, with heap or RocksDB state."""

    def command(class_path: Any, job: Job, _pairs: str, output: str) -> Sequence[str]:
        arguments = (kind, job.kafka.bootstrap_servers, job.data.topic, output, "STATE")
        return java_command(class_path, heap_mib, *arguments, options=_FLINK_OPENS)

    return Peer(f"flink-{kind}", "exactly-once", configured, lambda: build_java("flink", folder), command, "fnv64", ends_itself=True)  # fmt: skip


def python_peer(
    name: str, guarantee: str, configured: str, folder: Path, *, needs_pairs: bool, events_max: int, processes: int
) -> Peer:
    """A Python peer, one process a core."""

    def command(python: Any, job: Job, pairs: str, output: str) -> Sequence[str]:
        own = [job.kafka.bootstrap_servers, job.data.topic, *([pairs] if needs_pairs else []), output, "STATE"]
        return [str(python), str(PEERS / name / "main.py"), *own]

    environment = {
        "PYTHONPATH": str(PEERS / "python-common"),
        "BENCH_SCHEMA": str(schema_folder() / "avro" / "ApiUsage" / "v1.avsc"),
    }
    peer = Peer(
        name, guarantee, configured, lambda: build_python(name, folder), command, "names", events_max, processes
    )
    peer.environment = environment
    return peer
