"""SIGSTOP in the middle of a commit, past the session; another worker takes over; SIGCONT. Nothing that the sleeper then does may be visible.

The ledger is a PostgreSQL: a process that sleeps with SQLite's lock keeps everyone else out until it wakes up, whatever Weaklink does.
"""

import random
import signal
import time
from pathlib import Path
from typing import Final

import psutil

from chaos.edges import AFTER_CLAIM, AFTER_LEDGER, AFTER_OFFSETS, AFTER_PRODUCE, AFTER_PUBLISHING, program
from chaos.lab import STAGES, Lab
from chaos.load import Load
from chaos.parties import Answering
from chaos.publishing import Stream
from chaos.row import Row
from chaos.scale import Scale
from chaos.traffic import Traffic
from chaos.verify import row_of, verify_lab
from chaos.waking import Wakes
from chaos.worker import Worker

_ROUNDS, _SHORT_ROUNDS = 10, 1
_COLUMNAR: Final = (AFTER_PRODUCE, AFTER_OFFSETS)
_ENFORCE: Final = (AFTER_CLAIM, AFTER_LEDGER, AFTER_PUBLISHING)
_EVENTS_PER_SECOND: Final = 150
_EVENTS_MAX: Final = 1_000_000
_SESSION_SECONDS: Final = 6
_ASLEEP_SECONDS: Final = {AFTER_PRODUCE: _SESSION_SECONDS + 4, AFTER_OFFSETS: 14}
"""At the second edge the broker has taken the offsets while their member was alive. Who wakes up before the transaction has expired
(`kafka.transaction_timeout_ms`, looked at each second) may rightly commit it, and its successor waits for that: only after it has to be refused."""
ENVIRONMENT: Final = {
    "WEAKLINK_KAFKA__SESSION_TIMEOUT_MS": f"{_SESSION_SECONDS}000",
    "WEAKLINK_ENFORCE__OUTBOX_LEASE_SECONDS": "3",  # what the sleeper has claimed is published by its successor before it wakes up
}


def run(folder: Path, scale: Scale) -> Row:
    """The row of this fault."""
    with Lab(folder, scale=scale, postgres=True, environment=dict(ENVIRONMENT)) as lab:
        lab.start_all()
        return torment(lab, scale.count(_ROUNDS, _SHORT_ROUNDS), seed=scale.seed)


def torment(lab: Lab, rounds: int, *, stages: tuple[str, ...] = STAGES, seed: int = 3) -> Row:
    """So many sleepers of each of these stages, all stages at the same time, at one edge after the other."""
    traffic, chance = Traffic(seed, accounts=2_000), random.Random(seed)
    refused, wakes = dict.fromkeys(stages, 0), Wakes()
    lab.grow(STAGES, 1)
    lab.await_ready()
    lab.watch.reset()
    with (
        Load(lab.kafka, lab.publisher, traffic),
        Answering(lab.kafka, lab.publisher, traffic) as parties,
        Stream(lab.publisher, traffic.events(0, _EVENTS_MAX), _EVENTS_PER_SECOND),
    ):
        for number in range(rounds):
            sleepers = _freeze(lab, stages, number, chance)
            frozen_at = time.monotonic()
            lab.grow(stages, 2)
            lab.await_ready([worker for worker in lab.workers if not worker.frozen])
            asleep_seconds = _ASLEEP_SECONDS[_COLUMNAR[number % len(_COLUMNAR)]]
            time.sleep(max(0.0, frozen_at + asleep_seconds - time.monotonic()))
            before = {sleeper.stage: _aborted(sleeper) for sleeper in sleepers}
            wakes.note(lab.ledger_url)
            for sleeper in sleepers:
                sleeper.thaw()
            lab.await_ready(sleepers)
            columnar = [sleeper for sleeper in sleepers if sleeper.stage != "enforce"]
            lab.until(lambda old=before, of=columnar: all(_aborted(one) > old[one.stage] for one in of), "a sleeper's transaction went through")  # type: ignore[misc]  # bound at once # fmt: skip
            for sleeper in sleepers:
                refused[sleeper.stage] += _aborted(sleeper) > before[sleeper.stage]
    lab.finish()
    row = row_of("zombie", rounds * len(stages), lab, verify_lab(lab))
    row.extra["seed"] = seed
    parties.judge(row)
    row.extra["refused"] = {stage: count for stage, count in refused.items() if stage != "enforce"}
    if "enforce" in stages:  # it has no transaction that a broker could refuse: the relay itself looks before it writes
        published = row.extra["published_after_waking"] = wakes.published_after(lab.kafka)
        row.extra["claims_lapsed"] = sum(map(_lapsed, lab.of("enforce")))
        row.bar(
            published == 0,
            f"{published} messages were published by sleepers after they woke, in spite of what others had done meanwhile",
        )
    return row


def _freeze(lab: Lab, stages: tuple[str, ...], number: int, chance: random.Random) -> list[Worker]:
    """Of each stage one worker lives alone until it stops itself at this round's edge: those first that live on what the others write."""
    sleepers: list[Worker] = []
    for together in (("enforce", "campaigns"), ("correlate",), ("ingest",)):
        alone = [lab.of(stage)[0] for stage in together if stage in stages]
        for worker in alone:
            for one in lab.of(worker.stage):
                one.stop()
            edges = _ENFORCE if worker.stage == "enforce" else _COLUMNAR
            worker.start(program(edges[number % len(edges)], chance.randint(1, 3), signal.SIGSTOP))
        lab.until(lambda of=alone: all(map(_sleeps, of)), f"{', '.join(together)} did not come to the edge")  # type: ignore[misc]  # bound at once # fmt: skip
        sleepers += alone
    return sleepers


def _sleeps(worker: Worker) -> bool:
    worker.frozen = worker.alive and psutil.Process(worker.pid).status() == psutil.STATUS_STOPPED
    return worker.frozen


def _aborted(worker: Worker) -> int:
    """How often its log says that its transaction was aborted."""
    return worker.log.read_text(errors="replace").count('"event": "transaction_aborted"')


def _lapsed(worker: Worker) -> int:
    """How often its log says that it wrote nothing of a topic's rows, because its claim on them was over."""
    return worker.log.read_text(errors="replace").count("ClaimLapsedError")
