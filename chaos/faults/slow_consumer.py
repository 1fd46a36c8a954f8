"""A party that has not read its actions for 24 hours, and then reads them all: nothing is lost on it, and no other party notices."""

import json
import statistics
import subprocess
import sys
import threading
import time
from contextlib import closing
from itertools import count
from pathlib import Path
from typing import Any, Final

from kafka import KafkaConsumer
from kafka.admin import ConfigResource, ConfigResourceType, KafkaAdminClient

from chaos.decisions import Decisions
from chaos.lab import Lab
from chaos.row import Row
from chaos.scale import Scale
from chaos.verifier.avro import read
from chaos.verify import row_of, verify_lab
from weaklink.partner import PartnerConfig, WeaklinkClient

_WAITING, _SHORT_WAITING = 50_000, 400
_MEASURES: Final = 20
_DAY_SECONDS: Final = 24 * 3_600
_SAMPLES, _SHORT_SAMPLES = 100, 5
_NOTICED_SECONDS: Final = 1.0
"""What others may wait longer before it counts as noticed: actions take seconds from their evidence in any case."""
_LATENCY_TIMES: Final = 2.0
_IDLE_SECONDS: Final = 5.0


def run(folder: Path, scale: Scale) -> Row:
    """The row of this fault. extra: `latency_seconds` of the other party's actions (median) before, while they wait, and while they are read."""
    with Lab(folder, scale=scale, environment={"WEAKLINK_CLOCK": "event"}) as lab:
        lab.start("enforce")
        lab.start("ingest")  # of the receipts
        lab.await_ready()
        return torment(lab, scale)


def torment(lab: Lab, scale: Scale) -> Row:
    """A day of actions for one party in as long as it takes, in a laboratory whose enforce and ingest run."""
    waiting, samples = scale.count(_WAITING, _SHORT_WAITING), scale.count(_SAMPLES, _SHORT_SAMPLES)
    with closing(Decisions(lab.kafka, "first")) as first:
        first.decide(0, 1)
    lab.settle(("enforce",))
    with closing(Bystander(lab)) as other, closing(Reader(lab)) as reader:
        other.latencies(samples)  # whatever is cold
        latency = {"before": other.latencies(samples)}
        publish_a_day(lab, waiting)
        lab.watch.reset()
        latency["while they wait"] = other.latencies(samples)
        told = unread(lab)
        reader.start()
        latency["while they are read"] = other.latencies(samples)
        reader.join()
    lab.finish(("ingest", "enforce"))
    row = row_of("slow_consumer", 1, lab, verify_lab(lab, stages=("ingest", "enforce")))
    medians = {when: round(statistics.median(seconds), 3) for when, seconds in latency.items()}
    kept_hours = retention_hours(lab)
    row.stall_seconds_max = max(lab.watch.stalls.get(one.stage, 0.0) for one in lab.workers)
    row.events += waiting
    row.extra |= {
        "latency_seconds": medians, "actions_waiting": waiting, "actions_read": len(reader.read), "unread_by_lag": told,
        "reading_seconds": round(reader.seconds, 1), "kept_hours": kept_hours,
    }  # fmt: skip
    row.lost += waiting - len(reader.read)
    row.duplicate_effects += reader.twice
    row.bar(told >= waiting, f"`weaklink lag` tells of {told} actions unread, {waiting} are")
    row.bar(kept_hours > 24, f"the topic keeps actions for {kept_hours:.0f} h only")
    for when, seconds in medians.items():
        allowed = max(_LATENCY_TIMES * medians["before"], medians["before"] + _NOTICED_SECONDS)
        row.bar(scale.is_short or seconds <= allowed, f"others' actions took {seconds} s {when}, {allowed:.2f} are allowed")  # fmt: skip
    return row


def publish_a_day(lab: Lab, actions: int) -> None:
    """Decisions of the last 24 hours by their time, and as many actions; returns when all are published to their party."""
    decisions = actions // _MEASURES
    begin_us = time.time_ns() // 1000 - _DAY_SECONDS * 1_000_000
    with closing(Decisions(lab.kafka, "day")) as producer:
        for number in range(decisions):
            at_us = begin_us + number * _DAY_SECONDS * 1_000_000 // decisions
            producer.decide(number, 1, measures=_MEASURES, at_us=at_us)
    lab.settle(("enforce",), patiences=2)


class Bystander:
    """Another party, which reads its actions as they come."""

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._numbers = count()
        self._decisions = Decisions(lab.kafka, "other", party="lab-b")
        self._consumer = KafkaConsumer(
            "party.lab-b.actions", **lab.kafka.client_options(), group_id=None, auto_offset_reset="earliest"
        )

    def latencies(self, samples: int) -> list[float]:
        """Seconds from a decision to its action on the topic, one after another."""
        return [self._latency(next(self._numbers)) for _ in range(samples)]

    def _latency(self, number: int) -> float:
        begun = time.time()
        self._decisions.decide(number, 1, at_us=time.time_ns() // 1000 - _DAY_SECONDS * 1_000_000)
        found: list[float] = []

        def told() -> bool:
            for records in self._consumer.poll(500).values():
                found.extend(one.timestamp / 1000 for one in records if _of(one) == f"chaos-other-{number}-0")
            return bool(found)

        self._lab.until(told, f"no action for decision {number}")
        return max(0.0, found[0] - begun)

    def close(self) -> None:
        """Close the connections."""
        self._decisions.close()
        self._consumer.close()


class Reader:
    """The slow party, with the SDK: it reads what is there now; from `start` on it reads and answers the rest, until nothing comes any more."""

    def __init__(self, lab: Lab) -> None:
        self.read: set[tuple[str, int]] = set()
        self.twice = 0
        self.seconds = 0.0
        self.error: Exception | None = None
        config = PartnerConfig(state_folder=lab.folder / "partner")
        self._client = WeaklinkClient("lab-a", lab.kafka, config)
        self._thread = threading.Thread(target=self._run, name="reader", daemon=True)
        with self._client.actions(idle_seconds=0.5) as actions:
            list(actions)

    def start(self) -> None:
        """It is back."""
        self._thread.start()

    def join(self) -> None:
        """Until it has read everything. Raises what went wrong."""
        self._thread.join()
        if self.error:
            raise self.error

    def _run(self) -> None:
        begun = time.monotonic()
        try:
            with self._client.actions(idle_seconds=_IDLE_SECONDS) as actions:
                for received in actions:
                    key = (received.action.action_id, received.action.revision)
                    self.twice += key in self.read
                    self.read.add(key)
                    received.done()
                    self.seconds = time.monotonic() - begun
        except Exception as error:
            self.error = error

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def unread(lab: Lab) -> int:
    """What an operator sees of it: `weaklink lag --json`."""
    command = [sys.executable, "-c", "from weaklink.cli.main import main; main()", "lag", "--json"]
    run = subprocess.run(command, env=lab.service_environment(), capture_output=True, text=True, check=False)
    report: dict[str, Any] = json.loads(run.stdout.splitlines()[-1] if run.stdout.count("\n{") else run.stdout)
    return int(next(one["actions_unread"] for one in report["parties"] if one["party"] == "lab-a"))


def retention_hours(lab: Lab) -> float:
    """How long the broker keeps the party's actions."""
    topic = "party.lab-a.actions"
    with closing(KafkaAdminClient(**lab.kafka.client_options())) as admin:
        found = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)], config_filter="all")
    return int(found["topic"][topic]["retention.ms"]["value"]) / 3_600_000


def _of(record: Any) -> str:
    return str(read(record.value)[1]["target_account"])
