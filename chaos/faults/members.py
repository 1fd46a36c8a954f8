"""Members of every group from 2 to 6 to 1 and back, while batches are under way: half of those that go are told to, half are killed."""

import random
import time
from pathlib import Path
from typing import Final

from chaos.lab import STAGES, Lab
from chaos.load import Load
from chaos.parties import Answering
from chaos.publishing import Stream
from chaos.row import Row
from chaos.scale import Scale
from chaos.traffic import Traffic
from chaos.verify import row_of, verify_lab

_ROUNDS, _SHORT_ROUNDS = 30, 1
_FEW, _MANY, _SHORT_MANY = 2, 6, 3
_EVENTS_PER_SECOND: Final = 400
_EVENTS_MAX: Final = 10_000_000
_ENVIRONMENT: Final = {"WEAKLINK_KAFKA__SESSION_TIMEOUT_MS": "6000"}


def run(folder: Path, scale: Scale) -> Row:
    """The row of this fault."""
    with Lab(folder, scale=scale, environment=dict(_ENVIRONMENT)) as lab:
        lab.start_all(scalable=_FEW, single=_FEW)
        many = _SHORT_MANY if scale.is_short else _MANY
        return torment(lab, scale.count(_ROUNDS, _SHORT_ROUNDS), many=many, seed=scale.seed)


def torment(
    lab: Lab, rounds: int, *, few: int = _FEW, many: int = _MANY, stages: tuple[str, ...] = STAGES, seed: int = 5
) -> Row:
    """So many rounds, from `few` workers of each of these stages to `many` to one and back; of the others there is one at least."""
    traffic, chance = Traffic(seed, accounts=5_000), random.Random(seed)
    lab.grow(STAGES, 1)
    lab.grow(stages, few)
    lab.await_ready()
    lab.watch.reset()
    with (
        Load(lab.kafka, lab.publisher, traffic),
        Answering(lab.kafka, lab.publisher, traffic) as parties,
        Stream(lab.publisher, traffic.events(0, _EVENTS_MAX), _EVENTS_PER_SECOND),
    ):
        for _ in range(rounds):
            lab.grow(stages, many)
            lab.await_ready()
            time.sleep(chance.uniform(1, 4))
            _shrink(lab, stages, 1, chance)
            time.sleep(chance.uniform(1, 4))
            lab.grow(stages, few)
            lab.await_ready()
    lab.finish()
    row = row_of("members", rounds * len(stages), lab, verify_lab(lab))
    row.extra |= {"seed": seed, "rounds": rounds, "members_most": many}
    parties.judge(row)
    return row


def _shrink(lab: Lab, stages: tuple[str, ...], count: int, chance: random.Random) -> None:
    """Until each stage has so many: at random moments, kindly or not."""
    living = {stage: [worker for worker in lab.of(stage) if worker.alive] for stage in stages}
    going = [worker for workers in living.values() for worker in chance.sample(workers, len(workers) - count)]
    chance.shuffle(going)
    for number, worker in enumerate(going):
        if number % 2:
            worker.kill()
        else:
            worker.terminate()
        time.sleep(chance.uniform(0, 0.5))
    for worker in going:
        worker.stop()
