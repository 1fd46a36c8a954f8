"""What a sleeper of enforce publishes after it woke of what it had claimed before: by the broker's clock, and the ledger as it was then."""

import hashlib
import time
from typing import Any

from chaos.ledger import rows
from chaos.verifier.reading import read_topics
from weaklink.kafka_options import KafkaConfig

Effect = tuple[str, bytes, bytes]
"""Topic, key, digest of the value."""


class Wakes:
    """A message that was published and closed when a sleeper woke is nobody's any more: whoever publishes it after that had slept through it."""

    def __init__(self) -> None:
        self._closed_by_ms: dict[Effect, int] = {}
        self.again = 0

    def note(self, ledger_url: str) -> None:
        """Sleepers are about to be woken."""
        closed = rows(
            ledger_url, "SELECT topic, key, value FROM outbox WHERE closed_wall_us IS NOT NULL AND error IS NULL"
        )
        now_ms = time.time_ns() // 1_000_000  # after the question: what is closed by then was appended before
        for row in closed:
            self._closed_by_ms.setdefault(_effect(row["topic"], row["key"], row["value"]), now_ms)

    def take(self, record: Any) -> None:
        """One message of a topic that enforce writes: counts in `again` when it was published after such a moment."""
        closed_ms = self._closed_by_ms.get(_effect(record.topic, record.key or b"", record.value or b""))
        self.again += closed_ms is not None and record.timestamp > closed_ms

    def published_after(self, kafka: KafkaConfig) -> int:
        """So many of all that is on the topics."""
        read_topics(kafka, sorted({topic for topic, _, _ in self._closed_by_ms}), self.take)
        return self.again


def _effect(topic: str, key: bytes, value: bytes) -> Effect:
    return topic, bytes(key), hashlib.sha256(bytes(value)).digest()
