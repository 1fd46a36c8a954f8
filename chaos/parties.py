"""Parties that answer: every action that they read gets a receipt, so that the way back is under load, too."""

import threading
from types import TracebackType
from typing import Final, Self

from kafka import KafkaConsumer

from chaos.publishing import Publisher
from chaos.traffic import PARTIES, Traffic
from chaos.verifier.avro import read
from weaklink.kafka_options import KafkaConfig

_RECEIPT_NUMBER: Final = 1 << 50  # far from events and rings


class Answering:
    """Reads all parties' actions in a thread while the block lasts, and publishes a receipt for each revision that it has not seen before."""

    def __init__(self, kafka: KafkaConfig, publisher: Publisher, traffic: Traffic) -> None:
        self._consumer = KafkaConsumer(
            *(f"party.{party.id}.actions" for party in PARTIES), **kafka.client_options(), group_id=None,
            auto_offset_reset="earliest", metadata_max_age_ms=2_000,
        )  # fmt: skip
        self._publisher, self._traffic = publisher, traffic
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="parties", daemon=True)
        self.answered = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:  # fmt: skip
        self._stop.set()
        self._thread.join()
        self._consumer.close()

    def _run(self) -> None:
        seen: set[tuple[str, int]] = set()
        while not self._stop.is_set():
            for records in self._consumer.poll(200).values():
                for record in records:
                    _, action = read(record.value)
                    key = (action["action_id"], action["revision"])
                    if key in seen:
                        continue
                    seen.add(key)
                    number = _RECEIPT_NUMBER + len(seen)
                    self._publisher.publish([self._traffic.receipt(number, action["party"], *key)])
                    self.answered += 1
