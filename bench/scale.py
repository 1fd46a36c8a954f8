"""`make bench-scale`: 1, 2 and 4 workers of ingest and of correlate on a real broker, one of each killed and others joining while events come.

On few cores this shows no speed. It shows that the output is exactly what is right, however partitions move, how evenly they lie, and how long a move takes.
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Any, Final

from kafka import KafkaProducer

from bench import topics
from bench.encode import PREFIX_BYTES, write_events
from bench.own import PARTY, make_party
from bench.processes import EngineFailed, Started, tail
from bench.said import judge_pipeline
from bench.truth import SHARED_MIN, make_truth
from bench.world import PARTITIONS, World, make_world, recent_begin_us
from weaklink import topology
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.broker import LocalCluster
from weaklink.ops.group_offsets import committed_offsets

_STAGES: Final = ("ingest", "correlate")
_WORKERS: Final = (1, 2, 4)
_EVENTS: Final = 400_000
_LOAD_SECONDS: Final = 60.0
"""A third of the events would come for so long, if no handover ended before: twice what both together took."""
_FLOWING_SECONDS: Final = 1.0
"""Events come for so long before anybody dies or joins."""
_PATIENCE_SECONDS: Final = 600
_PAUSE_SECONDS: Final = 0.05


@dataclass
class Fleet:
    """The workers of both stages. Each has a slot, a log and a number; snapshots are shared."""

    kafka: KafkaConfig
    folder: Path
    stack: ExitStack
    workers: dict[str, list[Started]] = field(default_factory=lambda: {stage: [] for stage in _STAGES})
    started: int = 0

    def start(self, stage: str) -> Started:
        """One more worker of a stage."""
        self.started += 1
        environment = {
            "WEAKLINK_KAFKA__BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "WEAKLINK_DATA_FOLDER": str(self.folder.resolve()),
            "WEAKLINK_STREAM__SNAPSHOT_SECONDS": "2",
            "WEAKLINK_CORRELATE__SHARE_ACCOUNTS_MIN": str(SHARED_MIN),
            "WEAKLINK_LOG_JSON": "true",
            "POLARS_MAX_THREADS": "1",
        }
        command = [str(Path(sys.executable).parent / "weaklink"), "run", stage, "--slot", f"scale-{self.started}"]
        worker = self.stack.enter_context(Started(command, self.folder / f"{stage}-{self.started}.log", environment))
        self.workers[stage].append(worker)
        return worker

    def kill(self, stage: str) -> None:
        """End a worker as a failure does."""
        worker = self.workers[stage].pop(0)
        worker.process.kill()
        worker.process.wait()

    def units(self, stage: str) -> list[int]:
        """Partitions of input that each living worker says it has and has rebuilt."""
        return [assignments(worker.log)[-1][1] if assignments(worker.log) else 0 for worker in self.workers[stage]]

    def await_spread(self, stage: str) -> float:
        """Until the living workers have every partition between them; returns the time at which the last of them was ready (seconds since 1970)."""
        until(lambda: self._checked() and sum(self.units(stage)) == PARTITIONS and _is_even(self.units(stage)), f"{stage} has {self.units(stage)}")  # fmt: skip
        return max(assignments(worker.log)[-1][0] for worker in self.workers[stage])

    def await_done(self, events: int) -> None:
        """Until both stages have committed so many events and everything that came of them."""
        with topics.admin(self.kafka) as admin, topics.reader(self.kafka) as reader:
            groups = [topology.stage(stage).group for stage in _STAGES]

            def done() -> bool:
                self._checked()
                committed = committed_offsets(admin, groups)
                read = sum(offset for tp, offset in committed[groups[0]].items() if tp.topic == PARTY.events_topic)
                ends = topics.ends(reader, topology.LINKS)
                return read >= events and all(end - committed[groups[1]].get(tp, 0) <= 1 for tp, end in ends.items())

            until(done, "; ".join(tail(one.log) for own in self.workers.values() for one in own))

    def _checked(self) -> bool:
        for own in self.workers.values():
            for worker in own:
                worker.check()
        return True


def assignments(log: Path) -> list[tuple[float, int]]:
    """When a worker was ready after each assignment (seconds since 1970), and how many partitions it had then."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    entries = [json.loads(line) for line in lines if '"event": "recovered"' in line]
    return [(datetime.fromisoformat(entry["timestamp"]).timestamp(), entry["units"]) for entry in entries]


def _is_even(units: list[int]) -> bool:
    return max(units) - min(units) <= 1


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for something. Raises EngineFailed."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise EngineFailed(f"not so after {_PATIENCE_SECONDS} s: {what}")
        time.sleep(_PAUSE_SECONDS)


class Publisher:
    """Publishes a world in parts."""

    def __init__(self, kafka: KafkaConfig, world: World, path: Path) -> None:
        write_events(world, path)
        self._data, self._at = path.read_bytes(), 0
        self.published = 0
        self._topic = make_party(kafka)
        self._producer = KafkaProducer(**kafka.client_options(), acks="all", linger_ms=20, batch_size=1 << 17)

    def publish(self, events: int) -> None:
        """The next so many; returns when the broker has them."""
        data = self._data
        for _ in range(events):
            partition, key_bytes, value_bytes = data[self._at : self._at + PREFIX_BYTES]
            key_at = self._at + PREFIX_BYTES
            self._at = key_at + key_bytes + value_bytes
            self._producer.send(
                self._topic, key=data[key_at : key_at + key_bytes], value=data[key_at + key_bytes : self._at], partition=partition
            )  # fmt: skip
        self._producer.flush()
        self.published += events

    @contextmanager
    def publishing(self, events: int, seconds: float) -> Iterator[None]:
        """So many events in another thread, at the rate at which they take so many seconds; once the block ends, the rest of them at once."""
        hurry = Event()
        with ThreadPoolExecutor(1, thread_name_prefix="publisher") as thread:
            try:
                steadily = thread.submit(self._steadily, events, seconds, hurry)
                yield
            finally:
                hurry.set()
            steadily.result()

    def _steadily(self, events: int, seconds: float, hurry: Event) -> None:
        begun, done = time.monotonic(), 0
        while done < events:
            share = 1.0 if hurry.is_set() else min(1.0, (time.monotonic() - begun) / seconds)
            due = int(events * share)
            self.publish(due - done)
            done = due
            hurry.wait(_PAUSE_SECONDS)

    def close(self) -> None:
        """Close the producer."""
        self._producer.close()


def scale(kafka: KafkaConfig, folder: Path, workers: int, events: int) -> dict[str, Any]:
    """A third of the events with so many workers of each stage, a third while one of each is killed, a third while another one of each joins. `events_while`
    tells how many came between each death or start and the end of its handover."""
    world = make_world(events, recent_begin_us(time.time_ns() // 1000))
    publisher, third = Publisher(kafka, world, folder / "events.bin"), events // 3
    found: dict[str, Any] = {"workers": workers, "events": events, "killed": None, "events_while": {}}
    with ExitStack() as stack:
        stack.callback(publisher.close)
        fleet = Fleet(kafka, folder, stack)
        for stage in _STAGES * workers:
            fleet.start(stage)
        for stage in _STAGES:
            fleet.await_spread(stage)
            found[f"{stage}_partitions"] = fleet.units(stage)
        publisher.publish(third)
        if workers > 1:
            found["killed"] = _under_load(fleet, publisher, third, "killed", fleet.kill, found)
        else:
            publisher.publish(third)
        found["joined"] = _under_load(fleet, publisher, events - 2 * third, "joined", fleet.start, found)
        fleet.await_done(events)
        for stage in _STAGES:
            found[f"{stage}_partitions_at_the_end"] = fleet.units(stage)
    found["wrong"] = judge_pipeline(kafka, make_truth(world), PARTY.id, world.mentions)
    return found


def _under_load(
    fleet: Fleet, publisher: Publisher, events: int, name: str, act: Callable[[str], object], found: dict[str, Any]
) -> dict[str, float]:
    """By stage the seconds from when a worker dies, or a process is started (Python's imports among them), until all partitions are spread and rebuilt.
    Raises EngineFailed when events did not come all the time: then it would not show what it is to show."""
    seconds: dict[str, float] = {}
    all_of_them = publisher.published + events
    with publisher.publishing(events, _LOAD_SECONDS):
        time.sleep(_FLOWING_SECONDS)
        for stage in _STAGES:
            begun, before = time.time(), publisher.published
            act(stage)
            seconds[stage] = round(fleet.await_spread(stage) - begun, 2)
            if publisher.published == all_of_them:
                raise EngineFailed(
                    f"{stage}: all events had come before its handover ended, within {_LOAD_SECONDS:.0f} s"
                )
            found["events_while"].setdefault(name, {})[stage] = publisher.published - before
    return seconds


def main() -> int:
    """0: every output was exactly right."""
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--events", type=int, default=_EVENTS)
    parser.add_argument("--folder", type=Path, default=Path("build/bench"), help="where scale.json goes")
    given = parser.parse_args()
    found: list[dict[str, Any]] = []
    for workers in _WORKERS:
        folder = given.folder / f"scale-{workers}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        with LocalCluster(folder / "broker", heap_mib=512) as cluster:
            found.append(scale(cluster.kafka, folder, workers, given.events))
        print(json.dumps(found[-1]), flush=True)
        if not found[-1]["wrong"]:
            shutil.rmtree(folder)
    document = {"cores": os.cpu_count(), "runs": found}
    (given.folder / "scale.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 1 if any(one["wrong"] for one in found) else 0


if __name__ == "__main__":
    sys.exit(main())
