"""Weaklink as it is shipped: `weaklink run ingest` and `weaklink run correlate`, two processes, by settings only; followed by what they commit."""

import json
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from kafka import KafkaConsumer, TopicPartition
from kafka.admin import KafkaAdminClient

from bench import topics
from bench.job import PATIENCE_SECONDS, POLL_SECONDS, Job, Outcome
from bench.processes import EngineFailed, Meter, Started, tail
from bench.said import judge_ingest, judge_pipeline
from bench.truth import SHARED_MIN
from weaklink import topology
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.group_offsets import committed_offsets
from weaklink.ops.provision import add_party, provision
from weaklink.parties import Party, PartyKind
from weaklink.settings import Settings

PARTY: Final = Party(id="bench", kind=PartyKind.LAB, events_partitions=4)
_GROUPS: Final = tuple(spec.group for spec in topology.STAGES)
_LOOK_SHARE: Final = 0.1
_LOOK_SECONDS_MAX: Final = 0.5
_KEPT: Final = frozenset({topology.PARTIES, PARTY.events_topic, PARTY.rejects_topic, PARTY.actions_topic})


def make_party(kafka: KafkaConfig) -> str:
    """Provision, and register the party whose events these are; returns its events topic."""
    settings = Settings(kafka=kafka)
    provision(settings)
    add_party(settings, PARTY)
    return PARTY.events_topic


@dataclass
class Weaklink:
    """Both stages, or ingest alone."""

    name: str
    stages: tuple[str, ...]
    configured: str
    guarantee: str = "exactly-once"
    events_max: int | None = None

    def prepare(self) -> None:
        """Nothing: it is installed."""

    def run(self, job: Job) -> Outcome:
        """Readers of what comes later are started first, so that each waits for work. Counted until all of it is committed."""
        provision(Settings(kafka=job.kafka))
        try:
            with ExitStack() as stack:
                started: list[Started] = []
                for stage in reversed(self.stages):
                    started.append(stack.enter_context(self._start(stage, job)))
                    if stage != self.stages[0]:
                        _await_ready(started[-1])
                meter = stack.enter_context(Meter([one.process for one in started], job.broker_pid))
                last_us = self._follow(job, started)
                first_us = _await_ready(started[-1])
            return Outcome.of(meter, first_us, last_us, self._judge(job))
        finally:
            names = [spec.name for spec in topology.TOPICS if spec.name not in _KEPT]
            topics.remove(job.kafka, job.name, [*names, *_GROUPS])

    def _start(self, stage: str, job: Job) -> Started:
        environment = {
            "WEAKLINK_KAFKA__BOOTSTRAP_SERVERS": job.kafka.bootstrap_servers,
            "WEAKLINK_DATA_FOLDER": str(job.folder.resolve()),
            "WEAKLINK_CORRELATE__SHARE_ACCOUNTS_MIN": str(SHARED_MIN),
            "WEAKLINK_LOG_JSON": "true",
        }
        command = [str(Path(sys.executable).parent / "weaklink"), "run", stage, "--slot", "bench"]
        return Started(command, job.folder / f"{stage}.log", environment)

    def _follow(self, job: Job, started: list[Started]) -> int:
        begun = time.monotonic()
        with topics.admin(job.kafka) as admin, topics.reader(job.kafka) as reader:
            events = topics.ends(reader, job.data.topic)
            while (left := self._share_left(admin, events)) > 0 or not self._is_folded(admin, reader):
                for one in started:
                    one.check()
                elapsed = time.monotonic() - begun
                if elapsed > PATIENCE_SECONDS:
                    raise EngineFailed(
                        f"not done after {PATIENCE_SECONDS} s: {' '.join(tail(one.log) for one in started)}"
                    )
                # Each look costs processor time, the broker's too: so there are few while much is left.
                time.sleep(max(POLL_SECONDS, min(_LOOK_SECONDS_MAX, _LOOK_SHARE * elapsed * left)))
        return time.time_ns() // 1000

    def _share_left(self, admin: KafkaAdminClient, events: dict[TopicPartition, int]) -> float:
        """Share of the events that ingest has not committed."""
        group = topology.stage(self.stages[0]).group
        committed = committed_offsets(admin, [group])[group]
        return sum(end - min(committed.get(tp, 0), end) for tp, end in events.items()) / sum(events.values())

    def _is_folded(self, admin: KafkaAdminClient, reader: KafkaConsumer) -> bool:
        """Whether the next stage, if there is one, has committed it all: but for the marker of ingest's last transaction."""
        if len(self.stages) == 1:
            return True
        group = topology.stage(self.stages[1]).group
        committed = committed_offsets(admin, [group])[group]
        return all(end - committed.get(tp, 0) <= 1 for tp, end in topics.ends(reader, topology.LINKS).items())

    def _judge(self, job: Job) -> list[str]:
        judge = judge_pipeline if len(self.stages) > 1 else judge_ingest
        return judge(job.kafka, job.data.truth, PARTY.id, job.data.mentions)


def _await_ready(started: Started) -> int:
    """Until the worker has its partitions and its state: the moment from which it reads what counts."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for line in started.log.read_text(encoding="utf-8", errors="replace").splitlines():
            if '"event": "recovered"' in line and (entry := json.loads(line))["units"]:
                return int(datetime.fromisoformat(entry["timestamp"]).timestamp() * 1e6)
        started.check()
        time.sleep(POLL_SECONDS)
    raise EngineFailed(f"got no partitions within {PATIENCE_SECONDS} s: {tail(started.log)}")
