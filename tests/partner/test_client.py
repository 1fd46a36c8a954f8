"""Publishing on a real broker: delivered means delivered, memory stays bounded, failures are told."""

import uuid
from collections.abc import Iterator

import pytest
from tests.partner.conftest import TOKENISER, Member, usage

from weaklink.errors import BrokerError, PartyError, RecordError
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.topics import Topic
from weaklink.ops.topics_admin import apply, plan_topics
from weaklink.partner import (
    AccountOpened,
    AddressLease,
    ApiUsage,
    DeliveryError,
    Event,
    ModelReleased,
    PartnerConfig,
    Publisher,
    WeaklinkClient,
)
from weaklink.partner.symbols import Task, Verified
from weaklink.records.identifiers import IdentifierKind

pytestmark = pytest.mark.kafka


def some_usage(account: str = "a") -> ApiUsage:
    return ApiUsage(
        account=account, window_seconds=0, model="m", task=Task.OTHER, requests=1, input_tokens=1, output_tokens=2
    )


def test_an_event_of_raw_identifiers_arrives_with_tokens_under_its_account(member: Member) -> None:
    with member.client() as client:
        event = client.build(
            AccountOpened,
            account="u-1",
            verified="EMAIL",
            identifiers=[("IP", "::ffff:192.0.2.7"), ("EMAIL", "A@x.org")],
        )
        delivered = client.publish(event)
    assert delivered.topic == member.party.events_topic
    ((key, record, values),) = member.published()
    assert (key, record, values) == (b"u-1", "AccountOpened", event.values() | {"identifiers": list(event.identifiers)})
    assert values["identifiers"][0] == TOKENISER.newest(IdentifierKind.IP, "192.0.2.7")


def test_publish_tells_where_the_event_lies(member: Member) -> None:
    with member.client() as client:
        first, second = client.publish(some_usage()), client.publish(some_usage())
    assert first.partition == second.partition
    assert second.offset == first.offset + 1


def test_a_stream_larger_than_the_memory_limit_arrives_whole_and_in_order_per_account(member: Member) -> None:
    member.config = PartnerConfig(in_flight_bytes_max=1 << 20, batch_bytes=4096)
    count = 8_000  # about 3 MiB on the books: the limit bites

    def stream() -> Iterator[Event]:
        for number in range(count):
            yield some_usage(f"u-{number % 7}").model_copy(update={"requests": number})

    with member.client() as client:
        assert client.publish_many(stream()) == count
    by_account: dict[bytes, list[int]] = {}
    for key, _, values in member.published():
        by_account.setdefault(key, []).append(values["requests"])
    assert sum(map(len, by_account.values())) == count
    assert all(numbers == sorted(numbers) for numbers in by_account.values())


def test_what_is_in_flight_never_exceeds_the_limit(member: Member) -> None:
    config = PartnerConfig(in_flight_bytes_max=1 << 20, linger_ms=500)
    with Publisher(member.kafka, config) as publisher:
        for _ in range(40):
            publisher.send(member.party.events_topic, b"k", bytes(100_000), [])
            assert publisher.in_flight_bytes <= 1 << 20
        publisher.flush()
        assert publisher.in_flight_bytes == 0


def test_the_fast_path_publishes_plain_values(member: Member) -> None:
    with member.client() as client:
        for number in range(500):
            client.publish_record("ApiUsage", usage(account=f"u-{number}", requests=number))
    assert sorted(values["requests"] for _, _, values in member.published()) == list(range(500))


def test_the_fast_path_refuses_what_the_schema_refuses(member: Member) -> None:
    with member.client() as client, pytest.raises(RecordError, match="ApiUsage cannot be written"):
        client.publish_record("ApiUsage", usage(task="GARDENING"))
    assert member.published() == []


def test_clients_of_several_parties_share_one_producer_and_closing_one_leaves_it_open(member: Member) -> None:
    with Publisher(member.kafka, member.config) as publisher:
        with member.client(publisher=publisher) as first:
            first.publish(some_usage("one"))
        with member.client(publisher=publisher) as second:
            second.publish(some_usage("two"))
    assert {key for key, _, _ in member.published()} == {b"one", b"two"}


def test_a_record_that_the_partys_kind_may_not_publish_is_refused_at_home(member: Member) -> None:
    with member.client() as client, pytest.raises(PartyError, match="is a lab and may not publish AddressLease"):
        client.publish(AddressLease(account="vm"))


def test_records_without_account_have_a_key_of_their_own(member: Member) -> None:
    with member.client() as client:
        event = client.build(ModelReleased, model="m-2", released_at="2026-03-03T16:00:00Z")
        client.publish(event)
    assert [(key, record) for key, record, _ in member.published()] == [(b"m-2", "ModelReleased")]


def test_a_party_that_was_never_added_is_told_quickly_and_with_what_to_do(kafka: KafkaConfig) -> None:
    config = PartnerConfig(metadata_timeout_seconds=1)
    with (
        WeaklinkClient(f"nobody-{uuid.uuid4().hex[:8]}", kafka, config) as client,
        pytest.raises(BrokerError, match="is the party added"),
    ):
        client.publish(some_usage())


def test_events_that_the_broker_refuses_are_told_at_the_flush_and_only_once(member: Member) -> None:
    small = Topic(member.party.events_topic, 2, member.kafka.replication_factor, {"max.message.bytes": "2000"})
    apply(member.kafka, plan_topics(member.kafka, [small]))
    client = member.client()
    client.publish_record("ApiUsage", usage())
    client.flush()
    client.publish_record("ApiUsage", usage(model="".join(uuid.uuid4().hex for _ in range(200))))
    with pytest.raises(DeliveryError, match=f"1 events were not delivered to {member.party.events_topic}"):
        client.flush()
    client.flush()
    client.close()
    assert len(member.published()) == 1


def test_events_that_are_refused_together_are_all_told(member: Member) -> None:
    """Kafka's client splits a batch that is too large, and does not wait for its parts: what becomes of them must be known all the same."""
    small = Topic(member.party.events_topic, 2, member.kafka.replication_factor, {"max.message.bytes": "64"})
    apply(member.kafka, plan_topics(member.kafka, [small]))
    client = member.client()
    for _ in range(10):
        client.publish_record("ApiUsage", usage())
    with pytest.raises(DeliveryError, match="10 events were not delivered"):
        client.flush()
    client.close()


def test_a_client_without_keys_says_how_to_get_them(member: Member) -> None:
    with (
        WeaklinkClient(member.party.id, member.kafka, member.config) as client,
        pytest.raises(PartyError, match="partner key new"),
    ):
        client.build(AccountOpened, account="u", verified=Verified.NONE, identifiers=[("IP", "192.0.2.7")])


def test_an_id_that_would_reach_into_another_partys_topics_is_refused() -> None:
    with pytest.raises(PartyError, match="not a party id"):
        WeaklinkClient("lab.a")
