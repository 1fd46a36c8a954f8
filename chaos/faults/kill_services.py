"""kill -9 of a random service, again and again, under load: three workers of every stage, events, campaigns, actions and receipts on their way."""

import itertools
import random
import statistics
import time
from collections import deque
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from chaos.lab import Lab
from chaos.parties import Answering
from chaos.publishing import Stream
from chaos.row import COLUMNAR_STALL_SECONDS, ENFORCE_STALL_SECONDS, Row
from chaos.scale import Scale
from chaos.traffic import Event, Traffic
from chaos.verify import row_of, verify_lab
from chaos.worker import Worker

_KILLS, _EVENTS = 50, 1_000_000
_SHORT_KILLS, _SHORT_EVENTS = 4, 12_000
_PAUSE_SECONDS: Final = (5.0, 15.0)
_SHORT_PAUSE_SECONDS: Final = (4.0, 6.0)
_RESTART_SECONDS_MAX: Final = 3.0
_TAKEN_OVER_EVERY: Final = 4
"""Of so many victims one stays away until its group has given it up: another worker must take over what it had."""
_AWAY_SECONDS: Final = 12.0
"""More than a session (`kafka.session_timeout_ms`) and a rebalance."""
_REPEATED_EVERY: Final = 50
"""Of so many events one is published again later, as by a party that is not sure of its first attempt."""
_REPEATED_AFTER_SECONDS: Final = 10.0
"""Often across a death and what follows."""
_WORKERS, _SHORT_WORKERS = 3, 2
_SNAPSHOT_SECONDS: Final = 8
_EVENTS_A_RING: Final = 20_000
_POLL_SECONDS: Final = 0.2


def run(folder: Path, scale: Scale) -> Row:
    """The row of this fault."""
    kills, events = scale.count(_KILLS, _SHORT_KILLS), scale.count(_EVENTS, _SHORT_EVENTS)
    pauses = _SHORT_PAUSE_SECONDS if scale.is_short else _PAUSE_SECONDS
    workers = scale.count(_WORKERS, _SHORT_WORKERS) if scale.is_short else _WORKERS
    with Lab(folder, scale=scale) as lab:
        lab.start_all(scalable=workers, single=workers)
        return torment(lab, kills, events, pauses, scale.seed)


def torment(lab: Lab, kills: int, events: int, pauses: tuple[float, float], seed: int = 1) -> Row:
    """Kills in a laboratory whose services run, each so many seconds after the one before; the events are spread over the time that the kills take."""
    traffic, chance = Traffic(seed, accounts=max(200, events // 50)), random.Random(seed)
    lab.publisher.publish(traffic.ring(0))
    lab.settle()
    time.sleep(_SNAPSHOT_SECONDS)  # every unit has a snapshot: what is measured is a worker's death, not a first start
    lab.watch.reset()
    per_second = events / (kills * sum(pauses) / 2)
    killed: list[Worker] = []
    owners_turn = chance.randrange(kills)
    moments = [time.monotonic()]
    with Answering(lab.kafka, lab.publisher, traffic) as parties:
        repeating = _repeating(_with_rings(traffic, events), round(_REPEATED_AFTER_SECONDS * per_second))
        with Stream(lab.publisher, repeating, per_second) as stream:
            for number in range(kills):
                time.sleep(rest_seconds(chance.uniform(*pauses), moments[-1], time.monotonic()))
                victim = _owner(lab) if number == owners_turn else _victim(lab, chance)
                victim.kill()
                killed.append(victim)
                moments.append(time.monotonic())
                lab.watch.note_death(victim.stage, moments[-1])
                away = number == owners_turn or number % _TAKEN_OVER_EVERY == 1
                time.sleep(_AWAY_SECONDS if away else chance.uniform(0, _RESTART_SECONDS_MAX))
                lab.revive()
            stream.wait()
        lab.await_ready()
        lab.settle()
    lab.finish()
    row = row_of("kill_services", kills, lab, verify_lab(lab))
    between = [later - earlier for earlier, later in itertools.pairwise(moments)]
    row.extra |= {"seed": seed, "killed": _counts(killed), "events_per_second": round(per_second)}
    row.bar(row.extra["counted"]["repeated"] > 0, "no event was published a second time")
    row.extra["seconds_between_kills"] = {"median": round(statistics.median(between), 1), "max": round(max(between), 1)}
    pace = statistics.mean(between)
    row.bar(pace <= pauses[1], f"a kill every {pace:.1f} s, {pauses[1]:.0f} are allowed", timing=True)
    parties.judge(row)
    row.extra["resumed_seconds"] = lab.watch.resumed
    for stage, seconds in lab.watch.resumed.items():
        allowed = ENFORCE_STALL_SECONDS if stage == "enforce" else COLUMNAR_STALL_SECONDS
        row.bar(
            seconds <= allowed,
            f"{stage} stood still for {seconds} s after its last death, {allowed:.0f} s are allowed",
            timing=True,
        )
    return row


def rest_seconds(pause_seconds: float, killed_at: float, now: float) -> float:
    """What is left of the pause between two kills, once the victim of the first was started again."""
    return max(0.0, killed_at + pause_seconds - now)


def _victim(lab: Lab, chance: random.Random) -> Worker:
    """Any worker whose stage has another one that is ready, waited for if need be: how long a process takes to start is not what is measured here."""
    while True:
        worker = chance.choice([worker for worker in lab.workers if worker.alive])
        if any(other.ready() for other in lab.of(worker.stage) if other is not worker):
            return worker
        time.sleep(_POLL_SECONDS)


def _owner(lab: Lab) -> Worker:
    """Whoever has all of campaigns, once another one is ready to take it over: by lot it would often not be hit at all, and its death costs most."""
    while True:
        owned = {one["worker"]: one["units"] for one in lab.logged("recovered", "campaigns")}
        owners = [worker for worker in lab.of("campaigns") if worker.ready() and owned.get(worker.name)]
        others = [worker for worker in lab.of("campaigns") if worker.ready() and worker not in owners]
        if len(owners) == 1 and others:
            return owners[0]
        time.sleep(_POLL_SECONDS)


def _with_rings(traffic: Traffic, events: int) -> Iterator[Event]:
    """Ordinary events, with a campaign among them now and then."""
    for ring, begin in enumerate(range(0, events, _EVENTS_A_RING), 1):
        half = min(events, begin + _EVENTS_A_RING // 2)
        yield from itertools.chain(traffic.events(begin, half), traffic.ring(ring), traffic.events(half, min(events, begin + _EVENTS_A_RING)))  # fmt: skip


def _repeating(events: Iterable[Event], later: int) -> Iterator[Event]:
    """The events, and every so many of them again, so many events later."""
    kept: deque[tuple[int, Event]] = deque()
    for number, event in enumerate(events):
        yield event
        if number % _REPEATED_EVERY == 0:
            kept.append((number + later, event))
        if kept and kept[0][0] <= number:
            yield kept.popleft()[1]


def _counts(killed: list[Worker]) -> dict[str, int]:
    return {stage: sum(worker.stage == stage for worker in killed) for stage in sorted({worker.stage for worker in killed})}  # fmt: skip
