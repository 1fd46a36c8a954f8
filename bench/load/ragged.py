"""`make bench-ragged`: hundreds of parties through the whole pipeline, most with one event a batch, some with mixed records and framings in a batch, some
hardly ever, some with a great deal, and one that sends everything at once. Shows what each party's events wait until ingest has taken them, that nobody's
wait for somebody else's, and how long actions take meanwhile, as `make bench-latency` does.
"""

import argparse
import json
import os
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from kafka import KafkaConsumer, TopicPartition
from tests.ingest.registry import schema_registry, text_of

from bench.load import figures, pictures, plants
from bench.load.crowd import LABS, REGISTERED, Member, Voice, crowd, moments, waits
from bench.load.pipeline import ActionReader, Pipeline, Sampler, await_drained, running, start_sender
from bench.load.plants import Plant, account_name, party_of
from bench.load.ragged_figures import party_waits, summary, verdict
from bench.load.script import Script, batch_of, heads
from bench.processes import EngineFailed
from weaklink import topology
from weaklink.ops.audit import HEADER
from weaklink.records.codec import encode

_LEAD_US: Final = 3_000_000
_WARM_SECONDS: Final = 10.0
_CONNECTIONS: Final = 16
_DRAIN_SECONDS_MAX: Final = 180.0
_AFTER_SECONDS: Final = 15.0


@dataclass(frozen=True)
class Plan:
    """What is run. `rate`: batches/s of a party with single events; `flood`: events that one party sends at half-time."""

    parties: int
    seconds: float
    rate: float
    flood: int
    folder: Path


def write_script(
    path: Path, members: list[Member], plan: Plan, planted: list[Plant], base_us: int
) -> tuple[Script, list[str]]:
    """The script, and the topic of each request. Every batch is a request of its own, as parties of their own send it."""
    generator, topics = np.random.default_rng(5), []
    voices = [Voice(number, member) for number, member in enumerate(members)]
    due = [
        (at, number, events, None)
        for number, member in enumerate(members)
        for at, events in moments(member.habit, _WARM_SECONDS + plan.seconds, plan.rate, plan.flood, generator)
    ]
    every: list[tuple[int, int, int, Plant | None]] = [*due, *((plant.due_us, -1, 0, plant) for plant in planted)]
    with path.open("wb") as file:
        script = Script(file)
        for at, number, events, plant in sorted(every, key=lambda one: (one[0], one[1])):
            if plant is None:
                party = members[number].party
                script.put(
                    at,
                    number % _CONNECTIONS,
                    party.events_topic,
                    [(0, batch_of(voices[number].batch(events, base_us + at)))],
                    events,
                )
                topics.append(party.events_topic)
                continue
            rows: dict[int, list[tuple[bytes, bytes]]] = {}
            for party_number, record, values in plants.events(plant, base_us + at):
                rows.setdefault(party_number, []).append((values["account"].encode(), encode(record, values)))
            for party_number, said in rows.items():
                topics.append(members[party_number].party.events_topic)
                request = script.put(at, _CONNECTIONS, topics[-1], [(0, batch_of(said))], len(said))
            script.plants[request] = [plant]
    return script, topics


def run(plan: Plan) -> dict[str, Any]:
    """The run and its figures. Raises EngineFailed when the pipeline does not start or never catches up."""
    assert LABS == plants.LABS
    load_before, folder, members = os.getloadavg()[0], plan.folder / "ragged", crowd(plan.parties)
    folder.mkdir(parents=True, exist_ok=True)
    with schema_registry(REGISTERED) as registry:
        registry.subjects = {record: [(number, text_of(record))] for number, record in enumerate(REGISTERED, 1)}
        further = {
            "WEAKLINK_INGEST__SCHEMA_REGISTRY__URL": str(registry.config.url),
            "WEAKLINK_INGEST__SCHEMA_REGISTRY__SUBJECTS": json.dumps(REGISTERED),
        }
        began = time.monotonic()
        with (
            running(folder, [one.party for one in members], further) as pipeline,
            closing(ActionReader(pipeline)) as actions,
        ):
            starting = time.monotonic() - began
            planted = plants.schedule(_WARM_SECONDS + plan.seconds, 5.0, 1.0, 15.0)
            path = folder / "script.bin"
            script, topics = write_script(path, members, plan, planted, time.time_ns() // 1000)
            found = _under_load(plan, members, pipeline, actions, script, topics, path)
            path.unlink()
    return found | {"seconds_to_start": round(starting, 1), "machine": found["machine"] | {"load_before": round(load_before, 2)}}  # fmt: skip


def _under_load(
    plan: Plan,
    members: list[Member],
    pipeline: Pipeline,
    actions: ActionReader,
    script: Script,
    topics: list[str],
    path: Path,
) -> dict[str, Any]:
    start_us = time.time_ns() // 1000 + _LEAD_US
    out = pipeline.folder / "sent.npz"
    sender = start_sender(pipeline, path, out, start_us)
    with Sampler(pipeline, also={"load": sender.pid}) as sampler:
        while sender.poll() is None:
            pipeline.services.check()
            actions.read(0.2)
        wanted = {
            _key(members, plant, account) for of in script.plants.values() for plant in of for account in plant.accounts
        }
        until = time.monotonic() + _AFTER_SECONDS
        while wanted - actions.first_ms.keys() and time.monotonic() < until:
            actions.read(0.2)
        ended = time.time()
    if sender.returncode:
        raise EngineFailed(f"the load's process ended with {sender.returncode}")
    drained = await_drained(pipeline, _DRAIN_SECONDS_MAX)
    actions.read(1.0)
    sent, requests = np.load(out), list(heads(path))
    seconds = plan.seconds + _WARM_SECONDS
    late = (sent["sent_us"] - np.array([one.due_us for one in requests]) - start_us) / 1e6
    accounts = _action_latencies(members, script, actions, start_us)
    read, tally = read_audit(pipeline)
    flood_at = start_us / 1e6 + seconds / 2
    written = (
        (topics[request], int(offset), requests[request].events, ms / 1e3)
        for request, offset, ms in zip(
            sent["batch_request"].tolist(), sent["batch_offset"].tolist(), sent["batch_ms"].tolist(), strict=True
        )
    )
    samples = [one for one in sampler.samples if start_us / 1e6 + _WARM_SECONDS <= one.at <= ended]
    found = {
        "parties": plan.parties, "seconds": plan.seconds, "events": script.events, "batches": script.requests, "flood_events": plan.flood,
        "events_per_second": round(script.events / seconds), "events_by_ingest": tally,
        "waits": party_waits(members, waits(written, read), start_us / 1e6 + _WARM_SECONDS, flood_at),
        "action_latency": figures.latency([one for one in accounts if one is not None]),
        "accounts_without_action": accounts.count(None),
        "load_process": {"cores": round(float(sent["cpu_seconds"]) / seconds, 3), "sent_late": figures.latency(late.tolist())},
        "seconds_to_drain": round(drained, 1), "restarts": pipeline.services.restarts, "machine": figures.machine(samples),
    }  # fmt: skip
    found |= figures.resources(samples)
    return found | {"verdict": verdict(found)}


def _action_latencies(
    members: list[Member], script: Script, actions: ActionReader, start_us: int
) -> list[float | None]:
    firsts = [
        (plant.due_us, actions.first_ms.get(_key(members, plant, account)))
        for of in script.plants.values()
        for plant in of
        for account in plant.accounts
        if plant.due_us >= _WARM_SECONDS * 1e6
    ]
    return [None if at is None else at / 1e3 - (start_us + due) / 1e6 for due, at in firsts]


def _key(members: list[Member], plant: Plant, account: int) -> tuple[str, str]:
    return members[party_of(account)].party.id, account_name(plant.campaign, account)


def read_audit(pipeline: Pipeline) -> tuple[list[tuple[str, int, int, float]], dict[str, int]]:
    """(topic, from offset, to offset, seconds at which its activity was appended) of each range that ingest consumed, and its counts in all."""
    consumer = KafkaConsumer(
        **pipeline.kafka.client_options(),
        group_id=None,
        enable_auto_commit=False,
        isolation_level="read_committed",
        auto_offset_reset="earliest",
    )
    ranges, tally = [], dict.fromkeys(("consumed", "accepted", "rejected", "duplicates"), 0)
    with closing(consumer):
        partitions = [
            TopicPartition(topology.ACTIVITY, one) for one in consumer.partitions_for_topic(topology.ACTIVITY) or ()
        ]
        consumer.assign(partitions)
        ends = consumer.end_offsets(partitions)
        consumer.seek_to_beginning(*partitions)
        while any(consumer.position(one) < ends[one] for one in partitions):
            for record in (one for records in consumer.poll(timeout_ms=500).values() for one in records):
                for row in json.loads(dict(record.headers).get(HEADER, b"[]")):
                    ranges.append((row["topic"], row["from_offset"], row["to_offset"], record.timestamp / 1e3))
                    tally = {name: count + row[name] for name, count in tally.items()}
    return ranges, tally


def main() -> int:
    """0: measured. 1: events were not accepted, or accounts not acted on."""
    parser = argparse.ArgumentParser(prog="python -m bench.load.ragged", description=__doc__)
    parser.add_argument("--parties", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=120.0, help="after 10 s of warming up")
    parser.add_argument("--rate", type=float, default=2.0, help="batches/s of each party with single events")
    parser.add_argument("--flood", type=int, default=200_000, help="events that one party sends at half-time")
    parser.add_argument("--folder", type=Path, default=Path("build/bench"), help="where ragged.json and ragged.svg go")
    given = parser.parse_args()
    found = run(Plan(given.parties, given.seconds, given.rate, given.flood, given.folder))
    print(summary(found), flush=True)
    (given.folder / "ragged.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    pictures.ragged(found, given.folder / "ragged.svg")
    return 0 if found["verdict"]["every_event_accepted"] and not found["accounts_without_action"] else 1


if __name__ == "__main__":
    sys.exit(main())
