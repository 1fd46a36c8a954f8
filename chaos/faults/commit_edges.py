"""kill -9 at each edge of a commit: after produce, after offsets, after the commit; in enforce after the ledger's commit and after publishing."""

import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from chaos.edges import COLUMNAR, ENFORCE, program
from chaos.lab import Lab, NotSo
from chaos.load import Load
from chaos.parties import Answering
from chaos.publishing import Stream
from chaos.row import Row
from chaos.scale import Scale
from chaos.traffic import Traffic
from chaos.verify import row_of, verify_lab
from chaos.worker import Worker

_KILLS, _SHORT_KILLS = 25, 1
_STAGES: Final = ("campaigns", "correlate", "ingest")
"""In the short form, one kill at each edge, campaigns has the one after produce: its topics, too, then have an aborted transaction."""
_EVENTS_PER_SECOND: Final = 150
_EVENTS_MAX: Final = 1_000_000
_COUNT_MAX: Final = 4
_POLL_SECONDS: Final = 0.3
_ENVIRONMENT: Final = {
    "WEAKLINK_KAFKA__SESSION_TIMEOUT_MS": "6000"
}  # the least that a broker takes: more kills in the same time


@dataclass
class _Turn:
    """What is to happen to the one worker of a stage: edges still to come, the one that it is set to now, and what has struck."""

    worker: Worker
    edges: list[str]
    now: str | None = None
    struck: Counter[str] = field(default_factory=Counter)


def run(folder: Path, scale: Scale) -> Row:
    """The row of this fault."""
    with Lab(folder, scale=scale, environment=dict(_ENVIRONMENT)) as lab:
        lab.start_all()
        return torment(lab, scale.count(_KILLS, _SHORT_KILLS), scale.seed)


def torment(lab: Lab, kills: int, seed: int = 2) -> Row:
    """So many kills at each edge; of the columnar ones each stage gets a third, and each edge comes to each stage."""
    traffic, chance = Traffic(seed, accounts=2_000), random.Random(seed)
    turns = [_Turn(lab.of(stage)[0], _dealt(kills, at)) for at, stage in enumerate(_STAGES)]
    turns.append(_Turn(lab.of("enforce")[0], [edge for _ in range(kills) for edge in ENFORCE]))
    lab.watch.reset()
    with (
        Load(lab.kafka, lab.publisher, traffic),
        Answering(lab.kafka, lab.publisher, traffic) as parties,
        Stream(lab.publisher, traffic.events(0, _EVENTS_MAX), _EVENTS_PER_SECOND),
    ):
        while any(turn.edges or turn.now for turn in turns):
            for turn in turns:
                _attend(turn, chance, lab.patience_seconds)
            time.sleep(_POLL_SECONDS)
        lab.await_ready()
    lab.finish()
    struck = sum((turn.struck for turn in turns), Counter())
    row = row_of("commit_edges", struck.total(), lab, verify_lab(lab))
    row.extra |= {"seed": seed, "struck": dict(struck)}
    parties.judge(row)
    for edge in (*COLUMNAR, *ENFORCE):
        row.bar(struck[edge] >= kills, f"{struck[edge]} kills {edge}, {kills} were wanted")
    return row


def _dealt(kills: int, at: int) -> list[str]:
    """The edges of the columnar stage number `at`."""
    return [
        edge for turn in range(kills) for number, edge in enumerate(COLUMNAR) if (turn + number) % len(_STAGES) == at
    ]


def _attend(turn: _Turn, chance: random.Random, life_seconds_max: float) -> None:
    """Note what struck, and start the worker for its next edge. Raises NotSo when a life does not come to its edge: it rebuilds its state first, which
    grows with the counts."""
    worker = turn.worker
    if worker.alive and turn.now is None and turn.edges:
        worker.kill()  # its first life had no switch
    if worker.alive:
        if turn.now and time.monotonic() - worker.started_at > life_seconds_max:
            raise NotSo(f"{worker.name} did not come to {turn.now} within {life_seconds_max:.0f} s\n{worker.tail()}")
        return
    assert worker.process is not None
    if turn.now and worker.process.returncode != -signal.SIGKILL:
        raise NotSo(f"{worker.name} ended with {worker.process.returncode} before {turn.now}\n{worker.tail()}")
    if turn.now:
        turn.struck[turn.now] += 1
    turn.now = turn.edges.pop(0) if turn.edges else None
    worker.start(program(turn.now, chance.randint(1, _COUNT_MAX)) if turn.now else None)
