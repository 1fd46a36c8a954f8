"""The audit on a real broker: it proves what is right, and catches what is planted."""

import json
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.structs import OffsetAndMetadata
from tests.topics import create_topics, no_ingest

from weaklink import topology
from weaklink.frames import ACTIVITY, empty, to_chunk
from weaklink.kafka_options import KafkaConfig
from weaklink.ops import audit_probe
from weaklink.ops.audit import HEADER, PartitionAudit
from weaklink.ops.audit_probe import audit_topics
from weaklink.ops.committed_reading import committed_reader
from weaklink.ops.provision import add_party, provision, remove_party
from weaklink.parties import Party, PartyKind
from weaklink.settings import Settings


@dataclass
class Source:
    """One events partition, and what a scripted ingest says of it."""

    kafka: KafkaConfig
    party: Party

    def publish(self, records: int) -> None:
        producer = KafkaProducer(**self.kafka.client_options())
        for _ in range(records):
            producer.send(self.party.events_topic, b"event", partition=0)
        producer.close()

    def account(
        self, begin: int, end: int, accepted: int, rejected: int = 0, duplicates: int = 0, *, topic: str = ""
    ) -> None:
        entry = {
            "topic": topic or self.party.events_topic, "partition": 0, "from_offset": begin, "to_offset": end,
            "consumed": accepted + rejected + duplicates, "accepted": accepted, "rejected": rejected, "duplicates": duplicates,
        }  # fmt: skip
        producer = KafkaProducer(**self.kafka.client_options())
        producer.send(
            topology.ACTIVITY, to_chunk(empty(ACTIVITY)), partition=0, headers=[(HEADER, json.dumps([entry]).encode())]
        )
        producer.close()

    def reject(self, offsets: str, reason: str = "MALFORMED") -> None:
        named = {
            "weaklink-reason": reason,
            "weaklink-topic": self.party.events_topic,
            "weaklink-partition": "0",
            "weaklink-offset": offsets,
        }
        producer = KafkaProducer(**self.kafka.client_options())
        headers = [(name, text.encode()) for name, text in named.items()]
        producer.send(self.party.rejects_topic, b"event", headers=headers)
        producer.close()

    def commit(self, offset: int) -> None:
        tp = TopicPartition(self.party.events_topic, 0)
        group = topology.stage("ingest").group
        consumer = KafkaConsumer(**self.kafka.client_options(), group_id=group, enable_auto_commit=False)
        consumer.assign([tp])
        consumer.commit({tp: OffsetAndMetadata(offset, "", -1)})
        consumer.close()

    def audit(self) -> PartitionAudit:
        (found,) = [one for one in audit_topics(self.kafka) if one.topic == self.party.events_topic]
        return found


@pytest.fixture
def source(kafka: KafkaConfig) -> Iterator[Source]:
    settings = Settings(kafka=kafka)
    provision(settings)
    party = Party(id=f"audit-{uuid.uuid4().hex[:8]}", kind=PartyKind.LAB, events_partitions=1)
    add_party(settings, party)
    yield Source(kafka, party)
    remove_party(settings, party.id, delete_topics=True, wait=no_ingest)


@pytest.mark.kafka
def test_what_ingest_did_right_is_proved(source: Source) -> None:
    """Single rejects, a batch that was refused whole, and a receipt that only enforce rejected."""
    source.publish(20)
    source.account(0, 12, accepted=10, rejected=1, duplicates=1)
    source.reject("3")
    source.account(12, 20, accepted=4, rejected=4)
    source.reject("14-17")
    source.reject("5", reason="NOT_YOUR_ACTION")
    source.commit(20)
    found = source.audit()
    assert found.findings == ()
    assert (found.consumed, found.accepted, found.rejected, found.duplicates) == (20, 14, 5, 1)


@pytest.mark.kafka
def test_a_hole_passes_for_expired_only_where_it_can_have(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came after the oldest account that is left; and what came before it is not called empty."""
    monkeypatch.setattr(topology, "ACTIVITY", f"weaklink.activity-{uuid.uuid4().hex[:8]}")
    monkeypatch.setattr(audit_probe, "_CLOCKS_APART_MS", 1)
    create_topics(source.kafka, [topology.ACTIVITY], partitions=1)

    def account_of_others_and_expire() -> None:
        time.sleep(0.05)
        for begin in (0, 1):
            source.account(begin, begin + 1, accepted=1, topic="party.others.events")
        tp = TopicPartition(topology.ACTIVITY, 0)
        with closing(committed_reader(source.kafka)) as consumer:
            end = consumer.end_offsets([tp])[tp]
        with closing(KafkaAdminClient(**source.kafka.client_options())) as admin:
            admin.delete_records({tp: end - 1})
        time.sleep(0.05)

    account_of_others_and_expire()
    source.publish(5)
    source.commit(5)
    (finding,) = source.audit().findings
    assert "offset 5 is committed, but no transaction accounts for the records from 0 on" in finding
    account_of_others_and_expire()
    found = source.audit()
    assert (found.verdict, found.findings) == ("not proved", ())
    source.publish(5)
    source.commit(10)
    (finding,) = source.audit().findings
    assert "no transaction accounts for the records from 5 on" in finding


@pytest.mark.kafka
def test_a_planted_gap_an_overlap_and_wrong_counts_are_caught(source: Source) -> None:
    """Each with a sentence of its own."""
    source.publish(30)
    source.account(0, 10, accepted=10)
    source.account(12, 20, accepted=8)
    source.commit(20)
    gap, count = source.audit().findings
    assert "gap: no transaction accounts for offsets 10 to 11" in gap
    assert "consumed 18 records" in count
    assert "holds 20" in count
    source.account(9, 12, accepted=3)
    overlap, count = source.audit().findings
    assert "overlap: offsets 9 to 9" in overlap
    assert "consumed 21 records" in count
    source.account(20, 30, accepted=9, rejected=1)
    source.commit(30)
    assert any("rejected 1 records" in one and "rejects name 0" in one for one in source.audit().findings)
