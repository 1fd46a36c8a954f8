"""Parties that were removed: what waits for them is given up, and they are asked for nothing new, on a real registry, ledger and Kafka."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest
import sqlalchemy as sa
from aiokafka.errors import KafkaTimeoutError, TopicAuthorizationFailedError, UnknownTopicOrPartitionError

from tests.enforce.samples import decision, decoded, proposal
from tests.enforce.test_ledger import all_actions
from tests.enforce.test_outbox import CONFIG, Producer, fill
from tests.topics import create_topics, no_ingest
from weaklink import topology
from weaklink.enforce.action import State
from weaklink.enforce.database import Database
from weaklink.enforce.ledger import Ledger
from weaklink.enforce.membership import Membership
from weaklink.enforce.outbox import Outbox, Relay
from weaklink.enforce.tables import PARTY_GONE, outbox
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.provision import add_party, provision, remove_party
from weaklink.parties import Party, PartyKind
from weaklink.settings import Settings

pytestmark = pytest.mark.kafka


@pytest.fixture(scope="module")
def settings(kafka: KafkaConfig) -> Settings:
    settings = Settings(kafka=kafka)
    provision(settings)
    return settings


@pytest.fixture
def party(settings: Settings) -> Party:
    return add_party(settings, Party(id=f"lab-{uuid.uuid4().hex[:10]}", kind=PartyKind.LAB))


async def waiting(database: Database) -> list[tuple[bool, str | None]]:
    """Of every row of the outbox, in order: whether it is open, and why it was given up."""
    async with database.read() as connection:
        found = await connection.execute(
            sa.select(outbox.c.closed_wall_us, outbox.c.error)
            .where(outbox.c.topic != topology.FEEDBACK)
            .order_by(outbox.c.id)
        )
        return [(closed is None, error) for closed, error in found]


@pytest.fixture
async def relaying(
    database: Database, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Membership]:
    """A relay at work, and the membership that it asks."""
    monkeypatch.setattr("weaklink.enforce.outbox._REQUEST_TIMEOUT_MS", 1000)  # so long it waits for a topic
    membership = Membership(settings.kafka)
    await membership.look()
    relay = asyncio.create_task(
        Relay(Outbox(database, CONFIG, "w1"), settings.kafka, CONFIG, membership.unregistered).run()
    )
    yield membership
    relay.cancel()
    await asyncio.wait([relay])


async def until(database: Database, *wanted: tuple[bool, str | None]) -> None:
    async with asyncio.timeout(60):
        while await waiting(database) != list(wanted):
            await asyncio.sleep(0.1)


async def test_what_waits_for_a_party_that_was_removed_is_given_up_until_it_comes_back(
    database: Database, ledger: Ledger, settings: Settings, party: Party, relaying: Membership
) -> None:
    """Its topic is gone: each end of an action was tried every two seconds for ever, and the alert never ended. Back, it is told everything new."""
    await fill(ledger, "a", party=party.id)
    await until(database, (False, None))
    remove_party(settings, party.id, delete_topics=True, wait=no_ingest)
    await relaying.look()
    withdrawal = decision(proposal(op="WITHDRAW", party=party.id, target_account="a"), at_us=2)
    await ledger.handle_decision(decoded(withdrawal), withdrawal)
    await until(database, (False, None), (False, PARTY_GONE))
    add_party(settings, party)
    assert await relaying.unregistered({party.id}) == frozenset()
    await fill(ledger, "b", party=party.id, at_us=3)
    await until(database, (False, None), (False, PARTY_GONE), (False, None))


async def test_a_party_that_was_removed_is_asked_for_nothing_new_and_its_actions_end(
    database: Database, ledger: Ledger, settings: Settings, party: Party
) -> None:
    """campaigns goes on about its accounts as long as it remembers them; one that is new is found at once."""
    membership = Membership(settings.kafka)
    await membership.look()
    await fill(ledger, "a", party=party.id)
    assert await membership.unregistered({party.id}) == frozenset()
    later = add_party(settings, Party(id=f"lab-{uuid.uuid4().hex[:10]}", kind=PartyKind.LAB))
    assert await membership.unregistered({party.id, later.id}) == frozenset()
    remove_party(settings, party.id)
    await membership.look()
    gone = await membership.unregistered({party.id, later.id})
    assert gone == {party.id}
    names = (("a", party.id), ("b", party.id), ("c", later.id))
    again = decision(*(proposal(party=one, target_account=account) for account, one in names), at_us=2)
    outcome = await ledger.handle_decision(decoded(again), again, gone)
    assert outcome is not None
    assert [verdict for verdict, _ in outcome.refused] == ["NOT_REGISTERED"] * 2
    states = {one.target.account: one.state for one in await all_actions(database)}
    assert states == {"a": State.WITHDRAWN, "c": State.ACTIVE}


async def test_nobody_is_taken_for_removed_where_the_registry_cannot_be_read(
    kafka: KafkaConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its topic is missing, or enforce may not read it yet: after an upgrade before `weaklink provision`."""
    monkeypatch.setattr("weaklink.topology.PARTIES", f"parties-{uuid.uuid4().hex[:8]}")
    membership = Membership(kafka)
    await membership.look()
    assert await membership.unregistered({"lab-a"}) == frozenset()
    create_topics(kafka, [topology.PARTIES], partitions=1)
    await membership.look()
    assert await membership.unregistered({"lab-a"}) == {"lab-a"}


@pytest.mark.parametrize("removed", [True, False])
@pytest.mark.parametrize(
    "error", [UnknownTopicOrPartitionError(), TopicAuthorizationFailedError(), KafkaTimeoutError()]
)
async def test_only_a_topic_that_is_closed_or_gone_with_its_party_ends_the_attempts(
    database: Database, ledger: Ledger, error: Exception, removed: bool
) -> None:
    """After `provision` the kept topics of a removed party may not be written any more; a registered party's rows wait, whatever is wrong."""
    await fill(ledger, "a")

    async def unregistered(parties: object) -> frozenset[str]:
        return frozenset({"lab-a"}) if removed else frozenset()

    box = Outbox(database, CONFIG, "w1")
    rows = await box.claim()
    producer = Producer({}, {rows[0].value: error})
    await Relay(box, KafkaConfig(), CONFIG, unregistered)._publish(producer, rows)  # type: ignore[arg-type]
    gone = removed and not isinstance(error, KafkaTimeoutError)
    assert await waiting(database) == [(False, PARTY_GONE) if gone else (True, None)]
