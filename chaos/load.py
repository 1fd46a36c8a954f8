"""Load for every stage at once: campaigns to be found, and decisions beside them, so that each stage always has something to commit."""

import itertools
import time
from typing import Final

from chaos.background import Background
from chaos.decisions import Decisions
from chaos.publishing import Publisher
from chaos.traffic import Traffic
from weaklink.kafka_options import KafkaConfig

_RING_SECONDS: Final = 8.0
_DECISION_SECONDS: Final = 1.0


class Load(Background):
    """A ring of accounts every eight seconds and a decision every second, while the block lasts."""

    def __init__(self, kafka: KafkaConfig, publisher: Publisher, traffic: Traffic) -> None:
        super().__init__("load")
        self._publisher, self._traffic = publisher, traffic
        self._decisions = Decisions(kafka, f"seed-{traffic.seed}")

    def _close(self) -> None:
        self._decisions.close()

    def _work(self) -> None:
        next_ring = 0.0
        rings = itertools.count()
        for number in itertools.count():
            if self._stop.wait(_DECISION_SECONDS):
                return
            self._decisions.decide(number, 1, measures=3)
            if time.monotonic() >= next_ring:
                self._publisher.publish(self._traffic.ring(next(rings)))
                next_ring = time.monotonic() + _RING_SECONDS
