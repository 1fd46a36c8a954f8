"""A cluster with SCRAM and an authorizer, two parties on it, and requests as they would send them, without a client library's manners."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from kafka.admin import KafkaAdminClient
from pydantic import SecretStr

from weaklink.kafka_options import KafkaConfig
from weaklink.ops.membership import issue_secret
from weaklink.ops.provision import add_party
from weaklink.parties import Party, PartyKind
from weaklink.settings import Settings


def login(kafka: KafkaConfig, principal: str, secret: str) -> KafkaConfig:
    """The cluster as this principal reaches it."""
    return kafka.model_copy(update={"username": principal, "password": SecretStr(secret)})


def joined(settings: Settings, party_id: str, kind: PartyKind = PartyKind.LAB) -> tuple[Party, KafkaConfig]:
    """A party that was just added, and how it connects."""
    party = add_party(settings, Party(id=party_id, kind=kind, events_partitions=1))
    secret = issue_secret(settings, party.principal)
    assert secret
    return party, login(settings.kafka, party.principal, secret)


@dataclass
class Requests:
    """Raw requests over one authenticated connection."""

    kafka: KafkaConfig

    def __post_init__(self) -> None:
        self.admin = KafkaAdminClient(**self.kafka.client_options())

    def send(self, request: Any) -> Any:
        manager = self.admin._manager
        return manager.run(manager.send, request)

    def close(self) -> None:
        self.admin.close()


Act = Callable[[Requests], Any]
