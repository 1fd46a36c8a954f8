"""The registry of parties: the compacted topic `weaklink.parties`, read whole (it is small) and written one party at a time."""

import json

from kafka import KafkaConsumer, KafkaProducer, TopicPartition

from weaklink import topology
from weaklink.errors import BrokerError, PartyError
from weaklink.kafka_options import KafkaConfig
from weaklink.parties import Party

_SEND_TIMEOUT_SECONDS = 30


class PartyRegistry:
    """Parties by id; `refresh()` takes in what has been added or removed since. One reader for one process, not thread-safe."""

    def __init__(self, kafka: KafkaConfig) -> None:
        self._kafka = kafka
        self._partition = TopicPartition(topology.PARTIES, 0)
        self._consumer = KafkaConsumer(
            **kafka.client_options(), group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        self._consumer.assign([self._partition])
        self._consumer.seek_to_beginning(self._partition)
        self._parties: dict[str, Party] = {}

    def refresh(self) -> dict[str, Party]:
        """Every party as of now. Raises BrokerError when the topic is missing."""
        ends = self._consumer.end_offsets([self._partition])
        if self._partition not in ends:
            raise BrokerError(
                f"topic {topology.PARTIES} does not exist on {self._kafka.bootstrap_servers}: run `weaklink provision`"
            )
        while self._consumer.position(self._partition) < ends[self._partition]:
            for record in self._consumer.poll(timeout_ms=1000).get(self._partition, ()):
                party_id = record.key.decode()
                if record.value:
                    self._parties[party_id] = Party.model_validate_json(record.value)
                else:
                    self._parties.pop(party_id, None)
        return dict(self._parties)

    def close(self) -> None:
        """Leave the broker."""
        self._consumer.close()


def read_parties(kafka: KafkaConfig) -> dict[str, Party]:
    """Every registered party by id, read once."""
    registry = PartyRegistry(kafka)
    try:
        return registry.refresh()
    finally:
        registry.close()


def find_party(kafka: KafkaConfig, party_id: str) -> Party:
    """One party. Raises PartyError with the known ids when there is none of that name."""
    parties = read_parties(kafka)
    if party_id not in parties:
        raise PartyError(
            f"no party {party_id!r}; known are: {', '.join(sorted(parties)) or 'none yet (weaklink party add)'}"
        )
    return parties[party_id]


def write_party(kafka: KafkaConfig, party_id: str, party: Party | None) -> None:
    """Register or change a party; None removes it. Returns when the broker has it."""
    producer = KafkaProducer(**kafka.client_options(), acks="all")
    try:
        value = json.dumps(party.model_dump(mode="json")).encode() if party else None
        producer.send(topology.PARTIES, key=party_id.encode(), value=value).get(timeout=_SEND_TIMEOUT_SECONDS)
    finally:
        producer.close()
