"""The benchmark: a broker, the events on its topics, rounds of all engines one after another, and the results after every run."""

import shutil
import time
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from kafka.errors import KafkaError
from rich.console import Console

from bench import results, topics
from bench.build import Unavailable, build_python
from bench.encode import write_events
from bench.engines import all_engines
from bench.job import Dataset, Engine, Job
from bench.own import make_party
from bench.processes import EngineFailed
from bench.results import Result
from bench.truth import make_truth
from bench.world import make_world, recent_begin_us
from weaklink.ops.broker import LocalCluster

_BROKER_HEAP_MIB: Final = 1024
_SEED: Final = 1
_console: Final = Console(stderr=True)


@dataclass(frozen=True)
class Plan:
    """What is to be run. `names` None: every engine."""

    events: int
    rounds: int
    names: tuple[str, ...] | None
    heap_mib: int
    folder: Path
    peers: Path


def run(plan: Plan) -> list[Result]:
    """Run all rounds. The files of a run that failed stay in its folder. Raises ValueError for an engine that there is not, Unavailable without
    confluent-kafka, which publishes the events."""
    every = all_engines(plan.peers, plan.heap_mib)
    if unknown := set(plan.names or ()) - {one.name for one in every}:
        raise ValueError(f"no engine {', '.join(sorted(unknown))}; there are {', '.join(one.name for one in every)}")
    engines = [one for one in every if plan.names is None or one.name in plan.names]
    found = {one.name: Result.of(one, min(plan.events, one.events_max or plan.events)) for one in engines}
    ready = list(_prepared(engines, found))
    loader = build_python("librdkafka", plan.peers)
    runs = plan.folder / "runs"
    shutil.rmtree(runs, ignore_errors=True)
    runs.mkdir(parents=True)
    with ExitStack() as stack:
        cluster = stack.enter_context(LocalCluster(runs / "broker", heap_mib=_BROKER_HEAP_MIB))
        make_party(cluster.kafka)
        data = {events: _load(cluster, events, plan, loader) for events in sorted({found[one.name].events for one in ready}, reverse=True)}  # fmt: skip
        for number in range(1, plan.rounds + 1):
            for engine in ready:
                result = found[engine.name]
                folder = runs / f"{engine.name}-{number}"
                folder.mkdir()
                job = Job(f"bench-{engine.name}-{number}", cluster.kafka, cluster.pid(1), data[result.events], folder)
                _once(engine, job, result, number)
                results.write(list(found.values()), plan.folder)
    shutil.rmtree(runs / "broker", ignore_errors=True)
    return list(found.values())


def _prepared(engines: Iterable[Engine], found: dict[str, Result]) -> Iterable[Engine]:
    for engine in engines:
        try:
            engine.prepare()
        except Unavailable as error:
            found[engine.name].unavailable = str(error)
            _console.print(f"{engine.name} is not available here: {error}", markup=False, soft_wrap=True)
        else:
            yield engine


def _load(cluster: LocalCluster, events: int, plan: Plan, loader: Path) -> Dataset:
    """Events on a topic: the largest set on the party's own, which is the one that Weaklink reads."""
    begun = time.monotonic()
    topic = f"bench.events.{events}"
    if events == plan.events:
        topic = make_party(cluster.kafka)
    else:
        topics.create(cluster.kafka, [topic])
    world = make_world(events, recent_begin_us(time.time_ns() // 1000), _SEED)
    path = plan.folder / "runs" / "events.bin"
    value_bytes = write_events(world, path)
    topics.load(cluster.kafka, topic, path, loader)
    path.unlink()
    data = Dataset(topic, events, world.mentions, make_truth(world))
    _console.print(
        f"{events:,} events of {value_bytes / events:.0f} bytes on {topic} in {time.monotonic() - begun:.0f} s: {data.mentions / events:.2f} identifiers each, "
        f"{len(data.truth.pairs):,} pairs, {len(data.truth.shared):,} shared identifiers",
        soft_wrap=True,
    )
    return data


def _once(engine: Engine, job: Job, result: Result, number: int) -> None:
    try:
        outcome = engine.run(job)
    except (EngineFailed, KafkaError, TimeoutError) as error:
        result.failures.append(f"round {number}: {type(error).__name__}: {error}")
        _console.print(f"{number} {engine.name:26} failed: {error}", markup=False, soft_wrap=True)
    else:
        result.outcomes.append(replace(outcome, round=number))
        cpu = (outcome.cpu_seconds + outcome.broker_cpu_seconds) / result.events * 1e6
        verdict = "; ".join(outcome.wrong) or "exact"
        _console.print(
            f"{number} {engine.name:26} {result.events_per_second[-1]:12,.0f} events/s {cpu:8.2f} us/event {outcome.peak_mib:7,.0f} MiB  {verdict}",
            markup=False,
            soft_wrap=True,
        )
        if not outcome.wrong:
            shutil.rmtree(job.folder, ignore_errors=True)
    topics.remove(job.kafka, job.name)
