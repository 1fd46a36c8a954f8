"""A relay that slept past its claim, on a real database and a real Kafka: when it wakes, nothing of the claim is published."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator

import pytest
from kafka import KafkaConsumer, TopicPartition

from tests.enforce.samples import decision, decoded, proposal
from tests.enforce.test_outbox import fill
from tests.topics import create_topics
from weaklink.enforce.config import EnforceConfig
from weaklink.enforce.database import Database
from weaklink.enforce.ledger import Ledger
from weaklink.enforce.outbox import Outbox, Relay
from weaklink.enforce.producer import ClaimLapsedError, LeasedProducer
from weaklink.enforce.transport import aiokafka_options
from weaklink.kafka_options import KafkaConfig

pytestmark = pytest.mark.kafka

LEASE_SECONDS = 3.0
CONFIG = EnforceConfig(outbox_lease_seconds=LEASE_SECONDS)


@pytest.fixture
def party(kafka: KafkaConfig) -> str:
    """A party whose actions have one partition, which is this test's alone."""
    name = f"lab-{uuid.uuid4().hex[:10]}"
    create_topics(kafka, [topic_of(name)], partitions=1)
    return name


@pytest.fixture
async def producers(kafka: KafkaConfig) -> AsyncIterator[tuple[LeasedProducer, LeasedProducer]]:
    """Of two workers."""
    first, second = (LeasedProducer(margin_seconds=0.2, **aiokafka_options(kafka), acks="all") for _ in range(2))
    await first.start()
    await second.start()
    yield first, second
    await first.stop()
    await second.stop()


def topic_of(party: str) -> str:
    return f"party.{party}.actions"


def published(kafka: KafkaConfig, party: str) -> list[tuple[str, int]]:
    """(account, revision) of every message, as a reader sees them that knows nothing of revisions."""
    consumer = KafkaConsumer(**kafka.client_options(), auto_offset_reset="earliest")
    partition = TopicPartition(topic_of(party), 0)
    consumer.assign([partition])
    end, found = consumer.end_offsets([partition])[partition], list[tuple[str, int]]()
    while consumer.position(partition) < end:
        for records in consumer.poll(300).values():
            found += [(one["target_account"], one["revision"]) for one in (decoded(record.value) for record in records)]
    consumer.close()
    return found


async def test_a_relay_that_slept_past_its_claim_publishes_nothing_of_it(
    ledger: Ledger, database: Database, kafka: KafkaConfig, party: str, producers: tuple[LeasedProducer, LeasedProducer]
) -> None:
    """Meanwhile another published the rows, and a later revision: no older one comes after it."""
    sleepers, others = Outbox(database, CONFIG, "w1"), Outbox(database, CONFIG, "w2")
    await fill(ledger, "a", party=party)
    claimed = await sleepers.claim()
    await asyncio.sleep(LEASE_SECONDS + 0.1)
    other = Relay(others, kafka, CONFIG)
    await other._publish(producers[1], await others.claim())
    withdrawal = decision(proposal(op="WITHDRAW", party=party, target_account="a"), at_us=2)
    await ledger.handle_decision(decoded(withdrawal), withdrawal)
    await other._publish(producers[1], await others.claim())
    meanwhile = published(kafka, party)
    assert meanwhile == [("a", 1), ("a", 2)]
    await Relay(sleepers, kafka, CONFIG)._publish(producers[0], claimed)
    assert published(kafka, party) == meanwhile
    assert await others.claim() == []


async def test_what_was_handed_over_before_the_sleep_is_not_written_after_it(
    ledger: Ledger, database: Database, kafka: KafkaConfig, party: str, producers: tuple[LeasedProducer, LeasedProducer]
) -> None:
    """Rows that lie in aiokafka when everything stops. They are published when they are claimed anew."""
    box = Outbox(database, CONFIG, "w1")
    await fill(ledger, "a", "b", party=party)
    await producers[0].partitions_for(topic_of(party))
    rows = await box.claim()
    producers[0].leases[topic_of(party)] = rows[0].lease
    deliveries = [await producers[0].send(row.topic, row.value, row.key) for row in rows]
    time.sleep(LEASE_SECONDS)  # all of the process sleeps, as when it is frozen
    results = await asyncio.gather(*deliveries, return_exceptions=True)
    assert [type(result) for result in results] == [ClaimLapsedError] * 2
    assert published(kafka, party) == []
    del producers[0].leases[topic_of(party)]
    await Relay(box, kafka, CONFIG)._publish(producers[0], await box.claim())
    assert sorted(published(kafka, party)) == [("a", 1), ("b", 1)]
