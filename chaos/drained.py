"""Whether there is anything left to do."""

from collections.abc import Iterable

from kafka.errors import KafkaError

from chaos.ledger import unpublished
from chaos.offsets import Offsets
from weaklink.errors import BrokerError
from weaklink.kafka_options import KafkaConfig


class Drained:
    """Asked again and again until nothing waits."""

    def __init__(self, kafka: KafkaConfig, ledger_url: str) -> None:
        self._kafka = kafka
        self._offsets = Offsets(kafka)
        self._ledger_url = ledger_url

    def waiting(self, stages: Iterable[str]) -> list[str]:
        """What these stages have still to do, as sentences. Offsets without a record (markers, aborted transactions) do not count."""
        stages = list(stages)
        try:
            waits = [str(one) for one in self._offsets.behind(stages) if self._offsets.has_records(one)]
        except (KafkaError, BrokerError) as error:  # a connection may go on asking a broker that leads no more
            self._offsets.close()
            self._offsets = Offsets(self._kafka)
            return [f"Kafka was asked how far they are, and did not say: {type(error).__name__} {error}"]
        if "enforce" in stages and (rows := unpublished(self._ledger_url)):
            waits.append(f"{rows} rows of the outbox are not published")
        return waits

    def close(self) -> None:
        """Close the connections."""
        self._offsets.close()
