"""The registry of parties: the compacted topic `weaklink.parties`, read whole (it is small) and written one party at a time."""

import json
from typing import Any, Final

import structlog
from kafka import KafkaConsumer
from pydantic import ValidationError

from weaklink import topology
from weaklink.errors import PartyError, brief
from weaklink.kafka_options import KafkaConfig
from weaklink.parties import Party
from weaklink.read_to_end import read_topic_to_end
from weaklink.small_topics import append, broker_errors

_WHAT: Final = "the registry of parties"
_log = structlog.get_logger()


class PartyRegistry:
    """Parties by id; `refresh()` takes in what has been added or removed since. One reader for one process, not thread-safe.

    `unreadable`: ids of parties whose latest record this version cannot read, which is said once; they stay as they were known before.
    """

    def __init__(self, kafka: KafkaConfig) -> None:
        self._kafka = kafka
        self._topic = topology.PARTIES
        with broker_errors(kafka, _WHAT):
            self._consumer = KafkaConsumer(
                **kafka.client_options(), group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
            )
        self._parties: dict[str, Party] = {}
        self.unreadable: set[str] = set()

    def refresh(self) -> dict[str, Party]:
        """Every party as of now. Raises BrokerError when the topic is missing, or cannot be read to its end."""
        with broker_errors(self._kafka, _WHAT):
            for record in read_topic_to_end(self._consumer, self._topic, self._kafka):
                self._take(record)
            return dict(self._parties)

    def _take(self, record: Any) -> None:
        party_id = (record.key or b"").decode(errors="replace")
        self.unreadable.discard(party_id)
        if not record.value:
            self._parties.pop(party_id, None)
            return
        try:
            self._parties[party_id] = Party.model_validate_json(record.value)
        except ValidationError as error:
            self.unreadable.add(party_id)
            _log.error(
                "party_not_readable",
                party=party_id,
                topic=record.topic,
                offset=record.offset,
                error=brief(error),
                meaning="it stays as it was known before: was it written by a newer version?",
            )

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
    value = json.dumps(party.model_dump(mode="json")).encode() if party else None
    append(kafka, topology.PARTIES, [(party_id, value)], _WHAT)
