"""SIGSTOP in the middle of a commit, past the session; another worker takes over; SIGCONT. Nothing that the sleeper then does may be visible."""

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
from chaos.row import Row
from chaos.scale import Scale
from chaos.traffic import Stream, Traffic
from chaos.verify import row_of, verify_lab
from chaos.worker import Worker

_ROUNDS, _SHORT_ROUNDS = 10, 1
_COLUMNAR: Final = (AFTER_OFFSETS, AFTER_PRODUCE)
_ENFORCE: Final = (AFTER_CLAIM, AFTER_LEDGER, AFTER_PUBLISHING)
_EVENTS_PER_SECOND: Final = 150
_EVENTS_MAX: Final = 1_000_000
_SESSION_SECONDS: Final = 6
_BEYOND_SECONDS: Final = 4
_ENVIRONMENT: Final = {"WEAKLINK_KAFKA__SESSION_TIMEOUT_MS": f"{_SESSION_SECONDS}000"}


def run(folder: Path, scale: Scale) -> Row:
    """The row of this fault."""
    with Lab(folder, environment=dict(_ENVIRONMENT)) as lab:
        lab.start_all()
        return torment(lab, scale.count(_ROUNDS, _SHORT_ROUNDS))


def torment(lab: Lab, rounds: int, seed: int = 3) -> Row:
    """So many sleepers of each stage, all stages at the same time, at one edge after the other."""
    traffic, chance = Traffic(seed, accounts=2_000), random.Random(seed)
    sleepers = [lab.of(stage)[0] for stage in STAGES]
    replacements: list[Worker] = []
    refused: dict[str, int] = {}
    lab.watch.reset()
    with (
        Load(lab.kafka, lab.publisher, traffic),
        Answering(lab.kafka, lab.publisher, traffic),
        Stream(lab.publisher, traffic.events(0, _EVENTS_MAX), _EVENTS_PER_SECOND),
    ):
        for number in range(rounds):
            _freeze(lab, sleepers, number, chance)
            frozen_at = time.monotonic()
            replacements = _replace(lab, replacements)
            lab.await_ready(replacements)
            time.sleep(max(0.0, frozen_at + _SESSION_SECONDS + _BEYOND_SECONDS - time.monotonic()))
            before = _aborted(sleepers)
            for sleeper in sleepers:
                sleeper.thaw()
            lab.await_ready(sleepers)
            lab.until(lambda before=before: _all_refused(_aborted(sleepers), before), "a sleeper's transaction went through")  # type: ignore[misc]  # bound at once # fmt: skip
            refused = {stage: refused.get(stage, 0) + count - before[stage] for stage, count in _aborted(sleepers).items()}  # fmt: skip
        lab.settle()
    lab.finish()
    row = row_of("zombie", rounds * len(sleepers), lab, verify_lab(lab))
    row.extra["refused"] = refused
    for stage in STAGES[:-1]:
        row.bar(refused[stage] >= rounds, f"{refused[stage]} transactions of {stage}'s sleepers were refused, {rounds} were wanted")  # fmt: skip
    return row


def _freeze(lab: Lab, sleepers: list[Worker], number: int, chance: random.Random) -> None:
    """Each stage's worker lives alone until it stops itself at this round's edge: those first that live on what the others write."""
    for worker in lab.workers:
        worker.stop()
    by_stage = {sleeper.stage: sleeper for sleeper in sleepers}
    for stage in ("ingest", "correlate"):
        by_stage[stage].start()
    for together in (("enforce", "campaigns"), ("correlate",), ("ingest",)):
        for stage in together:
            by_stage[stage].stop()
            edges = _ENFORCE if stage == "enforce" else _COLUMNAR
            by_stage[stage].start(program(edges[number % len(edges)], chance.randint(1, 3), signal.SIGSTOP))
        lab.until(lambda of=together: all(_sleeps(by_stage[one]) for one in of), f"{', '.join(together)} did not come to the edge")  # type: ignore[misc]  # bound at once # fmt: skip


def _sleeps(worker: Worker) -> bool:
    worker.frozen = worker.alive and psutil.Process(worker.pid).status() == psutil.STATUS_STOPPED
    return worker.frozen


def _replace(lab: Lab, replacements: list[Worker]) -> list[Worker]:
    if not replacements:
        return [worker for stage in STAGES for worker in lab.start(stage)]
    for worker in replacements:
        worker.start()
    return replacements


def _aborted(workers: list[Worker]) -> dict[str, int]:
    """By stage, how often the sleeper's log says that its transaction was aborted."""
    return {worker.stage: worker.log.read_text(errors="replace").count('"event": "transaction_aborted"') for worker in workers}  # fmt: skip


def _all_refused(after: dict[str, int], before: dict[str, int]) -> bool:
    return all(after[stage] > before[stage] for stage in STAGES if stage != "enforce")
