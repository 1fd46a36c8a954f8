"""Members of every group from 2 to 6 to 1 and back, while batches are under way: half of those that go are told to, half are killed."""

import random
import time
from pathlib import Path
from typing import Final

from chaos.lab import STAGES, Lab
from chaos.load import Load
from chaos.parties import Answering
from chaos.row import Row
from chaos.scale import Scale
from chaos.traffic import Stream, Traffic
from chaos.verify import row_of, verify_lab
from chaos.worker import Worker

_ROUNDS, _SHORT_ROUNDS = 30, 1
_FEW, _MANY, _SHORT_MANY = 2, 6, 3
_EVENTS_PER_SECOND: Final = 400
_EVENTS_MAX: Final = 10_000_000
_ENVIRONMENT: Final = {"WEAKLINK_KAFKA__SESSION_TIMEOUT_MS": "6000"}


def run(folder: Path, scale: Scale) -> Row:
    """The row of this fault."""
    with Lab(folder, environment=dict(_ENVIRONMENT)) as lab:
        lab.start_all(scalable=_FEW, single=_FEW)
        return torment(lab, scale.count(_ROUNDS, _SHORT_ROUNDS), many=_SHORT_MANY if scale.is_short else _MANY)


def torment(lab: Lab, rounds: int, *, few: int = _FEW, many: int = _MANY, seed: int = 5) -> Row:
    """So many rounds, from `few` workers of each stage to `many` to one and back."""
    traffic, chance = Traffic(seed, accounts=5_000), random.Random(seed)
    _grow(lab, few)
    lab.watch.reset()
    with (
        Load(lab.kafka, lab.publisher, traffic),
        Answering(lab.kafka, lab.publisher, traffic),
        Stream(lab.publisher, traffic.events(0, _EVENTS_MAX), _EVENTS_PER_SECOND),
    ):
        for _ in range(rounds):
            _grow(lab, many)
            time.sleep(chance.uniform(1, 4))
            _shrink(lab, 1, chance)
            time.sleep(chance.uniform(1, 4))
            _grow(lab, few)
        lab.settle()
    lab.finish()
    row = row_of("members", rounds * len(STAGES), lab, verify_lab(lab))
    row.extra |= {"rounds": rounds, "members_most": many}
    return row


def _grow(lab: Lab, count: int) -> None:
    """Start workers until each stage has so many, all at the same time; returns when all are ready."""
    for stage in STAGES:
        dead = [worker for worker in lab.of(stage) if not worker.alive]
        wanted = count - len(_living(lab, stage))
        for worker in dead[:wanted]:
            worker.start()
        lab.start(stage, max(0, wanted - len(dead)))
    lab.await_ready()


def _shrink(lab: Lab, count: int, chance: random.Random) -> None:
    """Until each stage has so many: at random moments, kindly or not."""
    going = [worker for stage in STAGES for worker in chance.sample(_living(lab, stage), len(_living(lab, stage)) - count)]  # fmt: skip
    chance.shuffle(going)
    for number, worker in enumerate(going):
        if number % 2:
            worker.kill()
        else:
            worker.terminate()
        time.sleep(chance.uniform(0, 0.5))
    for worker in going:
        worker.stop()


def _living(lab: Lab, stage: str) -> list[Worker]:
    return [worker for worker in lab.of(stage) if worker.alive]
