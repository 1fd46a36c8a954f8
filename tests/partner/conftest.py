"""A party of its own for each test, with its topics on the real broker."""

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaProducer

from weaklink.kafka_options import KafkaConfig
from weaklink.ops.provision import add_party, provision
from weaklink.parties import Party, PartyKind
from weaklink.partner import LocalTokeniser, PartnerConfig, WeaklinkClient
from weaklink.partner.reading import read_topic
from weaklink.records.codec import decode, encode
from weaklink.records.examples import examples
from weaklink.settings import Settings

TOKENISER = LocalTokeniser.throwaway()
SUSPEND = next(one.values for one in examples() if (one.schema.record, one.name) == ("EnforcementAction", "suspend"))


@dataclass
class Member:
    """A registered party and what a test needs to play both sides."""

    party: Party
    kafka: KafkaConfig
    config: PartnerConfig

    def client(self, **options: Any) -> WeaklinkClient:
        """A client as the party would make one."""
        return WeaklinkClient(self.party.id, self.kafka, self.config, TOKENISER, kind=self.party.kind, **options)

    def published(self) -> list[tuple[bytes, str, dict[str, Any]]]:
        """(key, record, values) of everything on its events topic."""
        found = read_topic(self.kafka, self.party.events_topic, follow=False)
        return [(record.key, *decode(record.value)) for record in found]

    def receipts(self) -> list[tuple[str, int, str]]:
        """(action id, revision, status) of its receipts in order."""
        return [
            (values["action_id"], values["revision"], values["status"])
            for _, record, values in self.published()
            if record == "ActionReceipt"
        ]

    def issue(self, *actions: tuple[str, int] | bytes) -> None:
        """Put actions, given as (id, revision) or as bytes, on its actions topic, as enforce does."""
        producer = KafkaProducer(**self.kafka.client_options())
        for action in actions:
            if isinstance(action, bytes):
                value, key = action, b"x"
            else:
                fields = {"action_id": action[0], "revision": action[1], "party": self.party.id}
                value, key = encode("EnforcementAction", SUSPEND | fields), action[0].encode()
            producer.send(self.party.actions_topic, value, key=key)
        producer.close()


@pytest.fixture(scope="session")
def provisioned(kafka: KafkaConfig) -> Settings:
    """The internal topics, made once."""
    settings = Settings(kafka=kafka)
    provision(settings)
    return settings


@pytest.fixture
def member(kafka: KafkaConfig, provisioned: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Member:
    """A lab with two event partitions; commands find the same broker by the environment."""
    party = add_party(provisioned, Party(id=f"t-{uuid.uuid4().hex[:12]}", kind=PartyKind.LAB))
    monkeypatch.setenv("WEAKLINK_KAFKA__BOOTSTRAP_SERVERS", kafka.bootstrap_servers)
    monkeypatch.setenv("WEAKLINK_PARTNER__STATE_FOLDER", str(tmp_path / "state"))
    return Member(party, kafka, PartnerConfig(state_folder=tmp_path / "state"))


def usage(**fields: Any) -> dict[str, Any]:
    """Values of an ApiUsage record."""
    return {
        "event_id": uuid.uuid4().bytes,
        "occurred_at": datetime.now(UTC),
        "account": "a",
        "identifiers": [],
        "window_seconds": 60,
        "model": "m",
        "task": "OTHER",
        "requests": 1,
        "input_tokens": 10,
        "output_tokens": 20,
        "end_user": None,
        "address_class": "UNKNOWN",
        **fields,
    }
