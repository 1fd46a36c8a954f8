"""Parties that answer: every action that they read gets a receipt, so that the way back is under load, too."""

from typing import Final

from kafka import KafkaConsumer

from chaos.background import Background
from chaos.publishing import Publisher
from chaos.row import Row
from chaos.traffic import PARTIES, Traffic
from chaos.verifier.avro import read
from weaklink.kafka_options import KafkaConfig

_RECEIPT_NUMBER: Final = 1 << 50  # far from events and rings


class Answering(Background):
    """Reads all parties' actions while the block lasts, and publishes a receipt for each revision that it has not seen before."""

    def __init__(self, kafka: KafkaConfig, publisher: Publisher, traffic: Traffic) -> None:
        super().__init__("parties")
        self._consumer = KafkaConsumer(
            *(f"party.{party.id}.actions" for party in PARTIES), **kafka.client_options(), group_id=None,
            auto_offset_reset="earliest", metadata_max_age_ms=2_000,
        )  # fmt: skip
        self._publisher, self._traffic = publisher, traffic
        self.answered = 0

    def judge(self, row: Row) -> None:
        """Into the row: how many were answered, and the bar that any was."""
        row.extra["receipts"] = self.answered
        row.bar(self.answered > 0, "no action was answered: the way to the parties and back was not under load")

    def _close(self) -> None:
        self._consumer.close()

    def _work(self) -> None:
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
