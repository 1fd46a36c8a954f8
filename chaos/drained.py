"""Whether there is anything left to do."""

from collections.abc import Iterable

from chaos.ledger import unpublished
from chaos.offsets import Offsets
from weaklink.kafka_options import KafkaConfig


class Drained:
    """Asked again and again until nothing waits."""

    def __init__(self, kafka: KafkaConfig, ledger_url: str) -> None:
        self._offsets = Offsets(kafka)
        self._ledger_url = ledger_url

    def waiting(self, stages: Iterable[str]) -> list[str]:
        """What these stages have still to do, as sentences. Offsets without a record (markers, aborted transactions) do not count."""
        stages = list(stages)
        waits = [str(one) for one in self._offsets.behind(stages) if self._offsets.has_records(one)]
        if "enforce" in stages and (rows := unpublished(self._ledger_url)):
            waits.append(f"{rows} rows of the outbox are not published")
        return waits

    def close(self) -> None:
        """Close the connections."""
        self._offsets.close()
