"""Load for every stage at once: campaigns to be found, and decisions beside them, so that each stage always has something to commit."""

import itertools
import threading
import time
from types import TracebackType
from typing import Final, Self

from chaos.decisions import Decisions
from chaos.publishing import Publisher
from chaos.traffic import Traffic
from weaklink.kafka_options import KafkaConfig

_RING_SECONDS: Final = 8.0
_DECISION_SECONDS: Final = 1.0


class Load:
    """A ring of accounts every eight seconds and a decision every second, in a thread, while the block lasts."""

    def __init__(self, kafka: KafkaConfig, publisher: Publisher, traffic: Traffic) -> None:
        self._publisher, self._traffic = publisher, traffic
        self._decisions = Decisions(kafka, f"seed-{traffic.seed}")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load", daemon=True)
        self.error: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:  # fmt: skip
        self._stop.set()
        self._thread.join()
        self._decisions.close()
        if self.error and error is None:
            raise self.error

    def _run(self) -> None:
        next_ring = 0.0
        rings = itertools.count()
        try:
            for number in itertools.count():
                if self._stop.wait(_DECISION_SECONDS):
                    return
                self._decisions.decide(number, 1, measures=3)
                if time.monotonic() >= next_ring:
                    self._publisher.publish(self._traffic.ring(next(rings)))
                    next_ring = time.monotonic() + _RING_SECONDS
        except Exception as failure:
            self.error = failure
