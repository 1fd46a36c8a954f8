"""The ledger on SQLite and on a real PostgreSQL: once each, all or nothing, nothing forgotten."""

import asyncio
import random
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from tests.enforce.conftest import open_database
from tests.enforce.samples import decision, decoded, proposal, receipt
from weaklink.enforce import receipts as lifecycle
from weaklink.enforce.action import HOUR_US, Action, State
from weaklink.enforce.clock import Clock
from weaklink.enforce.config import EnforceConfig
from weaklink.enforce.database import Database
from weaklink.enforce.ledger import Ledger
from weaklink.enforce.loading import load_actions
from weaklink.enforce.tables import (
    action_history,
    actions,
    approvals,
    clock,
    dead_letters,
    decisions,
    metadata,
    outbox,
    receipts,
)
from weaklink.errors import LedgerError
from weaklink.records.codec import decode


async def rows(database: Database, table: sa.Table, *order: Any) -> list[dict[str, Any]]:
    async with database.read() as connection:
        return [dict(row) for row in (await connection.execute(sa.select(table).order_by(*order))).mappings()]


async def all_actions(database: Database) -> list[Action]:
    async with database.read() as connection:
        idents = list(await connection.scalars(sa.select(actions.c.action_id)))
        return sorted(await load_actions(connection, idents), key=lambda one: one.action_id)


async def sent(database: Database) -> list[tuple[str, dict[str, Any]]]:
    """(topic, values) of every outbox row, in order."""
    return [(row["topic"], decode(row["value"])[1]) for row in await rows(database, outbox, outbox.c.id)]


async def handle(ledger: Ledger, message: bytes) -> Any:
    record, values = decode(message)
    if record == "Decision":
        return await ledger.handle_decision(values, message)
    return (await ledger.handle_receipts([values]))[0]


async def only_action(ledger: Ledger, database: Database, **fields: Any) -> Action:
    """The action of a decision with one proposal."""
    await handle(ledger, decision(proposal(**fields)))
    (action,) = await all_actions(database)
    return action


async def test_the_migrations_give_the_tables_that_the_code_uses(database: Database) -> None:
    """Tables, columns, indexes and unique constraints are those of `tables.py`; migrating again changes nothing."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    await database.migrate()
    async with database.read() as connection:
        differences = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync), metadata)
        )
    assert differences == []


async def test_several_workers_may_migrate_an_empty_database_at_once(ledger_address: str) -> None:
    """One does it, the others wait and find it done."""
    databases = [open_database(ledger_address) for _ in range(8)]
    await asyncio.gather(*(one.migrate() for one in databases))
    assert await rows(databases[0], decisions) == []
    for one in databases:
        await one.close()


async def test_a_ledger_of_a_newer_version_is_refused(database: Database) -> None:
    """An unknown revision is one clear error, and nothing is changed."""
    async with database.write() as connection:
        await connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(LedgerError, match="newer"):
        await database.migrate()


async def test_receipts_taken_together_do_what_they_do_one_by_one(ledger_address: str) -> None:
    """ACCEPTED then DONE of one action, a repeat in the same batch and one from before, an unknown action, a stranger's answer."""
    database = open_database(ledger_address)
    await database.migrate()
    ledger = Ledger(database, EnforceConfig(), Clock("event", 24))
    ident = (await only_action(ledger, database)).action_id
    accepted, done = receipt(ident, "ACCEPTED"), receipt(ident, "DONE", appended_at=3_000_000)
    unknown, stranger = receipt("0" * 32, "DONE"), receipt(ident, "DONE", party="lab-b")
    batch = [decoded(one) for one in (accepted, done, done, unknown, stranger)]
    answers = await ledger.handle_receipts(batch)
    assert [one and one.outcome for one in answers] == ["APPLIED", "APPLIED", None, "UNKNOWN_ACTION", "NOT_YOUR_ACTION"]
    assert [one is None for one in await ledger.handle_receipts(batch)] == [True] * 5
    (action,) = await all_actions(database)
    assert (action.answer, action.change) == ("DONE", 3)
    assert [row["source"].split()[0] for row in await rows(database, action_history, action_history.c.change)] == [
        "decision", "receipt", "receipt",
    ]  # fmt: skip
    assert [topic for topic, _ in (await sent(database))[1:3]] == ["weaklink.feedback"] * 2
    outcomes = {row["event_id"]: row["outcome"] for row in await rows(database, receipts)}
    assert sorted(outcomes.values()) == ["APPLIED", "APPLIED", "NOT_YOUR_ACTION", "UNKNOWN_ACTION"]
    await database.close()


async def test_a_decision_writes_action_history_and_message_together(ledger: Ledger, database: Database) -> None:
    """What the party will read is what the ledger holds."""
    action = await only_action(
        ledger, database, target_token=b"\x04\x01" + bytes(15), target_account=None, measure="BLOCK_IDENTIFIER"
    )
    ((topic, message),) = await sent(database)
    assert topic == "party.lab-a.actions"
    assert (message["action_id"], message["revision"], message["state"]) == (action.action_id, 1, "ACTIVE")
    assert (message["target_token"], message["target_account"]) == (b"\x04\x01" + bytes(15), None)
    assert message["reasons"] == [{"code": "SHARED_CARD", "weight": 1.5, "parties": 2}]
    assert message["tlp"] == "AMBER_STRICT"
    (first,) = await rows(database, action_history)
    assert (first["change"], first["cause"], first["state"]) == (1, "ISSUED", "ACTIVE")
    assert first["source"].startswith("decision ")
    assert first["action"]["target_token"] == "0401" + "00" * 15


async def test_a_decision_that_comes_again_changes_nothing(ledger: Ledger, database: Database) -> None:
    """Redelivery, at once or after others."""
    first, second = decision(proposal()), decision(proposal(op="WITHDRAW"), at_us=2_000_000)
    for message in (first, first, second, first, second):
        await handle(ledger, message)
    (action,) = await all_actions(database)
    assert (action.state, action.revision, action.change) == (State.WITHDRAWN, 2, 2)
    assert len(await rows(database, outbox)) == 2
    assert len(await rows(database, decisions)) == 2


async def test_a_transaction_that_fails_leaves_nothing(
    ledger: Ledger, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cut short after the actions and before the outbox: nothing stays, and the next attempt does the whole."""
    from weaklink.enforce import ledger as module

    async def cut(*_: Any) -> None:
        raise RuntimeError("cut")

    with monkeypatch.context() as patch:
        patch.setattr(module, "record_outgoing", cut)
        with pytest.raises(RuntimeError, match="cut"):
            await handle(ledger, decision(proposal()))
    for table in (actions, action_history, decisions, outbox):
        assert await rows(database, table) == []
    await only_action(ledger, database)
    assert len(await sent(database)) == 1


async def test_workers_that_handle_the_same_decisions_at_once_act_once(ledger_address: str, database: Database) -> None:
    """Three processes' ledgers, the same forty messages in different orders, at the same time."""
    config = EnforceConfig()
    messages = [
        decision(
            proposal(target_account=f"acct-{i % 5}", op="WITHDRAW" if i % 3 == 2 else "ISSUE"), at_us=1_000_000 + i
        )
        for i in range(40)
    ]
    others = [open_database(ledger_address) for _ in range(3)]

    async def work(seed: int) -> None:
        mine = Ledger(others[seed], config, Clock("event", 24))
        for message in random.Random(seed).sample(messages, len(messages)):
            await handle(mine, message)

    await asyncio.gather(*map(work, range(3)))
    last = {f"acct-{i % 5}": i % 3 != 2 for i in range(40)}
    found = await all_actions(database)
    standing = {one.target.account for one in found if one.state is State.ACTIVE}
    assert standing == {account for account, issued in last.items() if issued}
    revisions = [(message["action_id"], message["revision"]) for _, message in await sent(database)]
    assert len(revisions) == len(set(revisions)) == sum(one.revision for one in found)
    assert len(await rows(database, decisions)) == 40
    for one in others:
        await one.close()


async def test_the_history_refuses_to_be_changed(ledger: Ledger, database: Database) -> None:
    """The database itself is in the way."""
    await only_action(ledger, database)
    for statement in (sa.update(action_history).values(note="never happened"), sa.delete(action_history)):
        with pytest.raises(DBAPIError, match="append-only"):
            async with database.write() as connection:
                await connection.execute(statement)
    assert len(await rows(database, action_history)) == 1


async def test_a_second_row_for_the_same_target_and_measure_is_refused(ledger: Ledger, database: Database) -> None:
    """At most one action per campaign, party, target and measure, even past the code."""
    await only_action(ledger, database)
    async with database.read() as connection:
        row = dict((await connection.execute(sa.select(actions))).mappings().one())
    with pytest.raises(DBAPIError):
        async with database.write() as connection:
            await connection.execute(sa.insert(actions).values(**row | {"action_id": "0" * 32}))


async def test_a_receipt_is_applied_once_and_told_to_campaigns(ledger: Ledger, database: Database) -> None:
    """ACCEPTED, then DONE, each delivered twice."""
    action = await only_action(ledger, database)
    for message in (
        receipt(action.action_id, "ACCEPTED", appended_at=3),
        receipt(action.action_id, "DONE", appended_at=4),
    ):
        await handle(ledger, message)
        assert await handle(ledger, message) is None
    (after,) = await all_actions(database)
    assert (after.answer, after.revision, after.change) == ("DONE", 1, 3)
    feedback = [message for topic, message in await sent(database) if topic == "weaklink.feedback"]
    assert [one["verdict"] for one in feedback] == ["ACCEPTED", "DONE"]
    assert feedback[0]["target_account"] == "acct-1"
    assert [one["outcome"] for one in await rows(database, receipts)] == ["APPLIED", "APPLIED"]


async def test_a_dispute_withdraws_and_feeds_back(ledger: Ledger, database: Database) -> None:
    """A revision for the party, a verdict for campaigns, a line in the history with the party's words."""
    action = await only_action(ledger, database)
    await handle(ledger, receipt(action.action_id, "DISPUTED", reason="KNOWN_CUSTOMER", note="since 2019"))
    topics = [(topic, one.get("state"), one.get("verdict")) for topic, one in await sent(database)]
    assert topics[1:] == [("party.lab-a.actions", "WITHDRAWN", None), ("weaklink.feedback", None, "DISPUTED")]
    last = (await rows(database, action_history, action_history.c.change))[-1]
    assert (last["cause"], last["actor"], last["note"]) == (
        "RECEIPT",
        "lab-a",
        "revision 1: DISPUTED KNOWN_CUSTOMER since 2019",
    )


@pytest.mark.parametrize(
    ("sender", "known", "reason"), [("lab-b", True, "NOT_YOUR_ACTION"), ("lab-a", False, "UNKNOWN_ACTION")]
)
async def test_a_wrong_receipt_comes_back_as_it_was_sent(
    ledger: Ledger, database: Database, sender: str, known: bool, reason: str
) -> None:
    """In the sender's rejects, the original bytes under headers; the action is untouched and campaigns hears nothing."""
    from weaklink.records.codec import encode

    action = await only_action(ledger, database)
    ident = action.action_id if known else "f" * 32
    as_sent = b"\x00\x00\x00\x00\x07 in the Confluent wire format" if known else None
    message = receipt(ident, "DISPUTED", party=sender, note="sure", original=as_sent)
    await handle(ledger, message)
    row = (await rows(database, outbox, outbox.c.id))[-1]
    assert row["topic"] == f"party.{sender}.rejects"
    assert row["key"] == b"1:17"
    assert row["headers"]["weaklink-reason"] == "UNKNOWN_ACTION"  # whichever it is: the sender is not told
    assert row["headers"]["weaklink-detail"].endswith("was issued to this party")
    assert row["headers"]["weaklink-topic"] == f"party.{sender}.events"
    assert (row["headers"]["weaklink-partition"], row["headers"]["weaklink-offset"]) == ("1", "17")
    fields = ("event_id", "occurred_at", "action_id", "revision", "status", "reason", "note")
    again = encode("ActionReceipt", {name: decoded(message)[name] for name in fields})
    assert row["value"] == (as_sent or again)  # a Receipt v1 did not keep the bytes
    (after,) = await all_actions(database)
    assert after == action
    assert [one["outcome"] for one in await rows(database, receipts)] == [reason]


async def test_a_person_lets_through_and_stops(ledger: Ledger, database: Database) -> None:
    """Approval publishes, decline does not; both are recorded with name and note, and told to campaigns."""
    await handle(ledger, decision(*(proposal(target_account=name, benign_accounts_touched=99) for name in "ab")))
    assert await sent(database) == []
    by_name = {one.target.account: one.action_id for one in await all_actions(database)}
    await ledger.decide(by_name["a"], lifecycle.approved, by="eva", note="checked")
    await ledger.decide(by_name["b"], lifecycle.declined, by="eva", note="a school")
    messages = await sent(database)
    assert [(one.get("state"), one.get("verdict")) for _, one in messages] == [
        ("ACTIVE", None),
        (None, "APPROVED"),
        (None, "DECLINED"),
    ]
    verdicts = {row["action_id"]: row for row in await rows(database, approvals)}
    assert verdicts[by_name["a"]]["verdict"] == "APPROVED"
    assert (
        verdicts[by_name["b"]]["verdict"],
        verdicts[by_name["b"]]["decided_by"],
        verdicts[by_name["b"]]["note"],
    ) == ("DECLINED", "eva", "a school")
    with pytest.raises(LedgerError, match="is DECLINED"):
        await ledger.decide(by_name["b"], lifecycle.approved, by="max", note=None)
    with pytest.raises(LedgerError, match="no action"):
        await ledger.decide("nowhere", lifecycle.approved, by="max", note=None)


async def test_approval_of_a_suspension_ends_the_challenge_that_stood_for_it(
    ledger: Ledger, database: Database
) -> None:
    """Until then the milder action stands."""
    await handle(ledger, decision(proposal(supporting_parties=1)))
    await handle(ledger, decision(proposal(benign_accounts_touched=99), at_us=2_000_000))
    states = {one.measure: one for one in await all_actions(database)}
    assert (states["CHALLENGE"].state, states["SUSPEND"].state) == (State.ACTIVE, State.WAITING)
    await ledger.decide(states["SUSPEND"].action_id, lifecycle.approved, by="eva", note=None)
    states = {one.measure: one for one in await all_actions(database)}
    assert (states["CHALLENGE"].state, states["SUSPEND"].state) == (State.WITHDRAWN, State.ACTIVE)


async def test_a_question_lapses_when_the_action_is_withdrawn(ledger: Ledger, database: Database) -> None:
    """Nobody is asked about what is no longer proposed."""
    await handle(ledger, decision(proposal(benign_accounts_touched=99)))
    await handle(ledger, decision(proposal(op="WITHDRAW"), at_us=2_000_000))
    assert [row["verdict"] for row in await rows(database, approvals)] == ["LAPSED"]
    assert await sent(database) == []


async def test_actions_expire_when_their_time_has_come(ledger: Ledger, database: Database) -> None:
    """By the event clock: nothing lapses while the old world stands still, everything due lapses when it moves on."""
    start_us = 1_700_000_000_000_000
    await handle(ledger, decision(proposal(), proposal(target_account="b", measure="CHALLENGE"), at_us=start_us))
    assert await ledger.run_timers() == []
    await handle(ledger, decision(at_us=start_us + 15 * 24 * HOUR_US))
    assert len(await ledger.run_timers()) == 2  # the challenge lapsed; the suspension's receipt is overdue
    assert await ledger.run_timers() == []
    states = {one.measure: one for one in await all_actions(database)}
    assert (states["CHALLENGE"].state, states["CHALLENGE"].revision) == (State.EXPIRED, 2)
    assert (states["SUSPEND"].state, states["SUSPEND"].overdue) == (State.ACTIVE, True)
    verdicts = [message["verdict"] for topic, message in await sent(database) if topic == "weaklink.feedback"]
    assert verdicts == ["EXPIRED"]


async def test_the_event_clock_survives_a_restart_and_never_goes_back(ledger: Ledger, database: Database) -> None:
    """It is in the ledger; an older decision does not turn it back."""
    await handle(ledger, decision(at_us=9_000_000))
    again = Ledger(database, EnforceConfig(), Clock("event", 24))
    await handle(again, decision(proposal(), at_us=5_000_000))
    (action,) = await all_actions(database)
    assert action.issued_at_us == 9_000_000


async def test_a_party_with_a_clock_years_ahead_ends_nothing(ledger: Ledger, database: Database) -> None:
    """Receipts move the event clock at most a day beyond the newest decision."""
    action = await only_action(ledger, database)
    await handle(ledger, receipt(action.action_id, "DONE", occurred_at=4_000_000_000_000_000))
    times = {row["name"]: row["at_us"] for row in await rows(database, clock)}
    assert times == {"decided": 1_000_000, "now": 1_000_000 + 24 * HOUR_US}
    await ledger.run_timers()
    (after,) = await all_actions(database)
    assert after.state is State.ACTIVE


async def test_under_clock_append_the_wall_clock_counts(database: Database) -> None:
    """The decision's own time does not."""
    wall = [5_000_000]
    ledger = Ledger(database, EnforceConfig(), Clock("append", 24, wall=lambda: wall[0]))
    action = await only_action(ledger, database)
    assert action.issued_at_us == 5_000_000
    wall[0] = action.expires_at_us
    assert len(await ledger.run_timers()) == 1


async def test_a_dead_letter_is_kept_once_with_its_bytes(ledger: Ledger, database: Database) -> None:
    """A person can see what could not be handled."""
    for _ in range(2):
        await ledger.dead_letter(
            topic="weaklink.decisions", partition=1, offset=5, key=b"k", value=b"\xff", error="odd"
        )
    (row,) = await rows(database, dead_letters)
    assert (row["value"], row["error"]) == (b"\xff", "odd")


async def test_a_large_decision_is_one_transaction(ledger: Ledger, database: Database) -> None:
    """More targets than one IN list takes."""
    outcome = await handle(ledger, decision(*(proposal(target_account=f"acct-{i}") for i in range(1200))))
    assert len(outcome.changes) == 1200
    outcome = await handle(
        ledger, decision(*(proposal(target_account=f"acct-{i}", op="WITHDRAW") for i in range(1200)), at_us=2_000_000)
    )
    assert len(outcome.changes) == 1200
    assert len(await rows(database, outbox)) == 2400
