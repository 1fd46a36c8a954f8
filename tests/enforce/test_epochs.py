"""Epochs of keys that are over, in the ledger: on SQLite and on a real PostgreSQL, actions on their tokens end and are forgotten."""

from typing import Any

import sqlalchemy as sa

from tests.enforce.plans import statements
from tests.enforce.samples import decision, proposal, receipt
from tests.enforce.test_ledger import all_actions, handle, rows
from weaklink.enforce.clock import Clock
from weaklink.enforce.config import EnforceConfig
from weaklink.enforce.consume import Handling, Incoming
from weaklink.enforce.database import Database
from weaklink.enforce.epochs import Epochs
from weaklink.enforce.ledger import Ledger
from weaklink.enforce.tables import action_history, dead_letters, decisions, metadata, outbox, receipts
from weaklink.records.codec import decode

OLD, NEW = (bytes((4, epoch)) + bytes(range(epoch, epoch + 15)) for epoch in (1, 2))


def on(token: bytes, **fields: Any) -> dict[str, Any]:
    return proposal(measure="BLOCK_IDENTIFIER", target_account=None, target_token=token, **fields)


async def contents(database: Database) -> bytes:
    """Every value of every table, as text and as bytes."""
    found = b""
    for table in metadata.sorted_tables:
        for row in await rows(database, table):
            for value in row.values():
                found += bytes(value) if isinstance(value, bytes | memoryview) else str(value).encode()
    return found


async def publish_all(database: Database) -> list[dict[str, Any]]:
    """What waits in the outbox, as if the relay had delivered it."""
    async with database.write() as connection:
        waiting = (
            (await connection.execute(sa.select(outbox).where(outbox.c.closed_wall_us.is_(None)))).mappings().all()
        )
        await connection.execute(sa.update(outbox).values(closed_wall_us=1))
    return [decode(bytes(one["value"]))[1] for one in waiting if one["topic"].startswith("party.")]


async def test_actions_on_tokens_of_an_epoch_that_is_over_end_and_leave_no_byte(
    database: Database, ledger: Ledger
) -> None:
    """Their party is told first; then they go with history, receipts and messages. Accounts and newer tokens keep everything."""
    config = EnforceConfig()
    epochs = Epochs(database, config, Clock("event", config.clock_lead_hours_max))
    await handle(ledger, decision(on(OLD), on(NEW), proposal(target_account="a")))
    by_token = {one.target.token: one for one in await all_actions(database)}
    await handle(ledger, receipt(by_token[OLD].action_id, "ACCEPTED"))
    assert await epochs.forget(1) == ([], {})
    assert OLD in await contents(database)

    changes, removed = await epochs.forget(2)
    assert [one.action.target.token for one in changes] == [OLD]
    assert "actions" not in removed  # its end is not published yet
    told = await publish_all(database)
    assert [one["state"] for one in told if one["target_token"] == OLD] == ["ACTIVE", "EXPIRED"]
    changes, removed = await epochs.forget(2)
    assert changes == []
    assert removed["actions"] == 1
    found = await contents(database)
    assert OLD not in found
    assert OLD.hex().encode() not in found
    assert {one.target.token for one in await all_actions(database)} == {NEW, None}
    kept = {one.action_id for one in await all_actions(database)}
    assert {row["action_id"] for row in await rows(database, action_history)} == kept
    assert await rows(database, receipts) == []


async def test_what_campaigns_says_of_such_a_token_later_is_forgotten_too(database: Database, ledger: Ledger) -> None:
    """The withdrawal that comes after the end, and a proposal that policy refused."""
    config = EnforceConfig()
    epochs = Epochs(database, config, Clock("event", config.clock_lead_hours_max))
    await handle(ledger, decision(on(OLD), on(OLD, party="lab-b", confidence=0.01, supporting_parties=1)))
    await epochs.forget(2)
    await publish_all(database)
    await epochs.forget(2)
    withdrawal = decision(on(OLD, op="WITHDRAW"), at_us=2_000_000)
    await handle(ledger, withdrawal)
    epochs.saw(decode(withdrawal)[1]["measures"])
    await publish_all(database)
    await epochs.forget(2)
    found = await contents(database)
    assert OLD not in found
    assert OLD.hex().encode() not in found


async def test_an_epoch_that_was_forgotten_is_not_looked_for_again_all_the_time(
    database: Database, ledger: Ledger
) -> None:
    """It takes whole tables: every five seconds in every worker that was all that SQLite's one writer ever did. Every hour it is done again."""
    config, now = EnforceConfig(), [1000.0]
    epochs = Epochs(database, config, Clock("event", config.clock_lead_hours_max), lambda: now[0])
    await handle(ledger, decision(on(OLD), on(NEW)))
    await epochs.forget(2)
    with statements(database) as sent:
        await epochs.forget(2)
    assert sent  # the end is not published yet
    await publish_all(database)
    assert (await epochs.forget(2))[1]["actions"] == 1
    await handle(ledger, decision(on(OLD, party="lab-b"), at_us=2_000_000))  # by another worker, which ended after it
    with statements(database) as sent:
        epochs.saw(decode(decision(on(NEW), proposal()))[1]["measures"])
        assert await epochs.forget(2) == ([], {})
    assert sent == []
    now[0] += 3601
    changes, _ = await epochs.forget(2)
    assert [one.action.target.token for one in changes] == [OLD]
    await publish_all(database)
    await epochs.forget(2)
    changes, _ = await epochs.forget(3)
    assert [one.action.target.token for one in changes] == [NEW]


async def test_refused_targets_are_forgotten_a_page_at_a_time(database: Database, ledger: Ledger) -> None:
    """Months of decisions took longer in one transaction than the ledger gives it: it was cut short every time, and nothing after it was done."""
    config = EnforceConfig(prune_rows=2)
    epochs = Epochs(database, config, Clock("event", config.clock_lead_hours_max))
    for n in range(7):
        refused = on((OLD, NEW)[n % 2], from_plan=False, party=f"lab-{n}")
        await handle(ledger, decision(refused, proposal(target_account="a"), campaign_id=f"c-{n}", at_us=1_000_000 + n))
    with statements(database) as sent:
        _, removed = await epochs.forget(2)
    assert removed["decisions"] == 4
    reads = [one for one, _ in sent if one.startswith("SELECT decisions.")]
    assert len(reads) >= 4
    assert all("LIMIT" in one or "decision_id IN" in one for one in reads)
    kept = [one["target"] for row in await rows(database, decisions) for one in row["refused"]]
    assert kept == [NEW.hex()] * 3
    assert OLD.hex().encode() not in await contents(database)


async def test_a_dead_letter_that_may_name_such_a_token_goes_whole_or_damaged(
    database: Database, ledger: Ledger
) -> None:
    """In a message that can be read, in one that cannot, in digits, after a byte that looks like the beginning of a token; over several pages."""
    config = EnforceConfig(prune_rows=2)
    epochs = Epochs(database, config, Clock("event", config.clock_lead_hours_max))
    of_old = [decision(on(OLD)), b"\xff" + OLD, OLD.hex().upper().encode(), b"\x04\x01" + OLD[:-1] + b"\x04" + OLD, OLD]
    of_others = [
        decision(on(NEW)),
        b"\xff" + NEW,
        NEW.hex().encode(),
        OLD[:-1],
        b"",
        None,
        b"no token at all, but long enough",
    ]
    base = 3_000_000_000  # more than 32 bits
    for offset, value in enumerate([*of_others, *of_old]):
        await ledger.dead_letter(
            topic="weaklink.decisions", partition=0, offset=base + offset, key=None, value=value, error="odd"
        )
    await ledger.dead_letter(topic="weaklink.receipts", partition=1, offset=0, key=OLD, value=b"", error="odd")
    assert await epochs.forget(1) == ([], {})
    assert await epochs.forget(2) == ([], {"dead_letters": len(of_old) + 1})
    left = await rows(database, dead_letters)
    assert sorted(row["offset"] for row in left) == [base + offset for offset in range(len(of_others))]
    assert OLD not in await contents(database)
    assert await epochs.forget(2) == ([], {})


async def test_the_error_of_a_dead_letter_quotes_nothing(database: Database, ledger: Ledger) -> None:
    """Neither what a defect says, nor the row that the database refused, which PostgreSQL tells whole."""
    config = EnforceConfig()

    async def quote(_: object) -> None:
        raise KeyError(OLD.hex())

    async def insert_twice(_: object) -> None:
        row = {"topic": "t", "partition": 0, "offset": 0, "key": None, "value": None, "recorded_wall_us": 1}
        async with database.write() as connection:
            await connection.execute(sa.insert(dead_letters), [row | {"error": OLD.hex()}])
            await connection.execute(sa.insert(dead_letters), [row | {"topic": OLD.hex(), "error": None}])

    for offset, apply in enumerate((quote, insert_twice)):
        message = Incoming("weaklink.decisions", 0, offset, b"c-1", decision(on(NEW)))
        await Handling("Decision", apply, ledger, config).handle(message)
    first, second = sorted((row["error"] for row in await rows(database, dead_letters)), reverse=True)
    assert first.startswith("KeyError at test_epochs.py:")
    assert "IntegrityError" in second
    assert OLD.hex().encode() not in await contents(database)
