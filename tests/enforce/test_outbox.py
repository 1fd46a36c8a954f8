"""The outbox: who may claim what, and in which order; and what the relay does with what Kafka answers."""

import asyncio
from typing import Any

import pytest
import sqlalchemy as sa
from aiokafka.errors import KafkaTimeoutError, MessageSizeTooLargeError

from tests.enforce.samples import decision, decoded, proposal
from weaklink.enforce.config import EnforceConfig
from weaklink.enforce.database import Database
from weaklink.enforce.ledger import Ledger
from weaklink.enforce.outbox import Outbox, Relay, Row
from weaklink.enforce.producer import Lease
from weaklink.enforce.tables import outbox as table
from weaklink.kafka_options import KafkaConfig

CONFIG = EnforceConfig()


async def fill(ledger: Ledger, *accounts: str, party: str = "lab-a", at_us: int = 1) -> None:
    """An action each."""
    message = decision(*(proposal(party=party, target_account=one) for one in accounts), at_us=at_us)
    await ledger.handle_decision(decoded(message), message)


async def test_a_claim_takes_topics_whole_and_in_order(ledger: Ledger, database: Database) -> None:
    """While one worker holds rows of a topic, another gets only other topics' rows."""
    first, second = Outbox(database, CONFIG, "w1"), Outbox(database, CONFIG, "w2")
    await fill(ledger, "a", "b")
    mine = await first.claim()
    assert [row.topic for row in mine] == ["party.lab-a.actions"] * 2
    assert mine[0].id < mine[1].id
    await fill(ledger, "c", at_us=2)
    await fill(ledger, "d", party="lab-b", at_us=3)
    assert [row.topic for row in await second.claim()] == ["party.lab-b.actions"]
    await first.close_rows(mine)
    assert [decoded(row.value)["target_account"] for row in await second.claim()] == ["c"]


async def test_claims_at_the_same_time_never_overlap(ledger: Ledger, database: Database) -> None:
    """Eight workers, one row each at most once."""
    await fill(ledger, *"abcdefgh")
    claims = await asyncio.gather(*(Outbox(database, CONFIG, f"w{i}").claim() for i in range(8)))
    ids = [row.id for rows in claims for row in rows]
    assert len(ids) == len(set(ids)) == 8


async def test_a_killed_workers_claim_lapses_and_its_restart_takes_it_back_at_once(
    ledger: Ledger, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing that was claimed and not published stays behind."""
    await fill(ledger, "a")
    now_us = 1_000_000_000
    monkeypatch.setattr("weaklink.enforce.outbox.wall_us", lambda: now_us)
    assert await Outbox(database, CONFIG, "killed").claim()
    now_us += int(CONFIG.outbox_lease_seconds * 1e6) - 1
    assert await Outbox(database, CONFIG, "w2").claim() == []
    now_us += 2
    assert await Outbox(database, CONFIG, "w2").claim()
    restarted, other = Outbox(database, CONFIG, "w2"), Outbox(database, CONFIG, "w3")
    await other.release()
    assert await other.claim() == []
    await restarted.release()
    assert await restarted.claim()


async def test_who_slept_past_its_claim_changes_nothing_of_its_successors(
    ledger: Ledger, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither gives it the rows back that it wanted to try again, nor the time back at which they were closed."""
    await fill(ledger, "a", "b")
    now_us = 1_000_000_000
    monkeypatch.setattr("weaklink.enforce.outbox.wall_us", lambda: now_us)
    sleeper, other = Outbox(database, CONFIG, "w1"), Outbox(database, CONFIG, "w2")
    mine = await sleeper.claim()
    now_us += int(CONFIG.outbox_lease_seconds * 1e6) + 1
    theirs = await other.claim()
    await other.close_rows(theirs[:1])
    closed_us, now_us = now_us, now_us + 1
    await sleeper.close_rows(mine[:1])
    await sleeper.put_back(mine[1:])
    async with database.read() as connection:
        found = (await connection.execute(sa.select(table).order_by(table.c.id))).mappings().all()
    assert found[0]["closed_wall_us"] == closed_us
    assert (found[1]["claimed_by"], found[1]["claimed_until_wall_us"]) == ("w2", theirs[1].lease.until_wall_us)


async def test_rows_claimed_anew_wait_for_what_an_earlier_claim_handed_over(ledger: Ledger, database: Database) -> None:
    """Else what lapsed would go out under the new claim."""
    box = Outbox(database, CONFIG, "w1")
    await fill(ledger, "a")
    rows = await box.claim()
    producer: Any = Producer({}, {})
    producer.leases[rows[0].topic] = Lease(0, 0.0)
    await Relay(box, KafkaConfig(), CONFIG)._publish(producer, rows)
    assert producer.queued == []
    assert await box.claim() == []


class Producer:
    """Answers as aiokafka's producer does: `send` queues, and gives a future of the delivery."""

    def __init__(self, outcomes: dict[bytes, Exception], refuse: dict[bytes, Exception]) -> None:
        self.outcomes, self.refuse = outcomes, refuse
        self.queued: list[bytes] = []
        self.leases: dict[str, Lease] = {}

    async def send(self, _topic: str, value: bytes, _key: bytes, headers: Any) -> "asyncio.Future[None]":
        if value in self.refuse:
            raise self.refuse[value]
        self.queued.append(value)
        delivery: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if value in self.outcomes:
            delivery.set_exception(self.outcomes[value])
        else:
            delivery.set_result(None)
        return delivery


@pytest.mark.parametrize("trouble", ["delivery", "queue"])
async def test_only_what_was_delivered_is_closed(ledger: Ledger, database: Database, trouble: str) -> None:
    """An undelivered row is tried again, one too large for its topic is given up, and neither takes the others along."""
    box = Outbox(database, CONFIG.model_copy(update={"outbox_lease_seconds": 60}), "w1")
    await fill(ledger, "good", "large", "late")
    rows = await box.claim()
    good, large, late = (row.value for row in rows)
    failing: dict[bytes, Exception] = {late: KafkaTimeoutError()}
    too_large: dict[bytes, Exception] = {large: MessageSizeTooLargeError()}
    producer: Any = Producer(
        failing if trouble == "delivery" else {}, too_large | (failing if trouble == "queue" else {})
    )
    relay = Relay(box, KafkaConfig(), CONFIG)
    await relay._publish(producer, rows)
    async with database.read() as connection:
        found = (await connection.execute(sa.select(table).order_by(table.c.id))).mappings().all()
    assert [(row["closed_wall_us"] is not None, row["error"] is not None) for row in found] == [
        (True, False),
        (True, True),
        (False, False),
    ]
    assert good in producer.queued
    async with database.write() as connection:  # the pause is over
        await connection.execute(sa.update(table).values(claimed_until_wall_us=0))
    assert [row.value for row in await box.claim()] == [late]


async def test_after_a_row_that_cannot_be_queued_the_later_ones_wait(ledger: Ledger, database: Database) -> None:
    """Revisions of one action must not overtake each other."""
    box = Outbox(database, CONFIG, "w1")
    await fill(ledger, "a", "b")
    rows = await box.claim()
    producer: Any = Producer({}, {rows[0].value: KafkaTimeoutError()})
    await Relay(box, KafkaConfig(), CONFIG)._publish(producer, rows)
    assert producer.queued == []


def test_headers_travel_as_bytes() -> None:
    """As Kafka wants them."""
    from weaklink.enforce.outbox import _row

    lease = Lease(1, 1.0)
    found = {"id": 1, "topic": "t", "key": b"k", "value": b"v", "headers": {"weaklink-reason": "NOT_YOUR_ACTION"}}
    assert _row(found, lease) == Row(1, "t", b"k", b"v", (("weaklink-reason", b"NOT_YOUR_ACTION"),), lease)
