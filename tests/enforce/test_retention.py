"""What the ledger forgets, on SQLite and on a real PostgreSQL: what is over, after its days; never what is live or rests on it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import sqlalchemy as sa
from prometheus_client import REGISTRY

from tests.enforce.samples import decision, proposal, receipt
from tests.enforce.test_ledger import all_actions, handle, rows
from weaklink.enforce import observe
from weaklink.enforce.clock import Clock
from weaklink.enforce.config import EnforceConfig
from weaklink.enforce.database import Database
from weaklink.enforce.ledger import Ledger
from weaklink.enforce.outbox import Outbox
from weaklink.enforce.retention import Retention
from weaklink.enforce.tables import (
    action_history,
    approvals,
    dead_letters,
    decisions,
    metadata,
    outbox,
    proposals,
    receipts,
)

DAY_US = 86_400_000_000
CONFIG = EnforceConfig(
    decisions_keep_days=90, receipts_keep_days=100, ended_actions_keep_days=400, outbox_keep_days=14, prune_rows=2
)


class Wall:
    """The wall clock of every module of enforce, in days."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.day = 20_000.0
        for module in ("ledger", "records", "outbox", "retention", "observe"):
            monkeypatch.setattr(f"weaklink.enforce.{module}.wall_us", self.us)

    def us(self) -> int:
        return int(self.day * DAY_US)


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    return Wall(monkeypatch)


@pytest.fixture
def lived(database: Database, wall: Wall) -> tuple[Ledger, Callable[[], Awaitable[dict[str, int]]]]:
    """A ledger under the wall clock, and its pruning."""
    clock = Clock("append", 24, wall=wall.us)
    return Ledger(database, CONFIG, clock), Retention(database, CONFIG, clock).prune


async def withdraw(ledger: Ledger, wall: Wall, *accounts: str) -> None:
    await handle(ledger, decision(*(proposal(op="WITHDRAW", target_account=one) for one in accounts), at_us=wall.us()))


async def test_an_action_goes_with_all_that_is_its_own_once_it_is_long_over(
    database: Database, wall: Wall, lived: Any
) -> None:
    """Five ended ones in batches of two; the one that stands, and the one that ended lately, keep everything."""
    ledger, prune = lived
    accounts = ["a", "b", "c", "d", "e", "lately", "stands"]
    await handle(ledger, decision(*(proposal(target_account=one) for one in accounts), at_us=wall.us()))
    for action in await all_actions(database):
        await handle(ledger, receipt(action.action_id, "DONE", appended_at=wall.us(), occurred_at=wall.us()))
    await withdraw(ledger, wall, *"abcde")
    for _ in range(8):  # renewed, as long as campaigns asks for it
        wall.day += 50
        await handle(ledger, decision(proposal(target_account="stands"), at_us=wall.us()))
    await withdraw(ledger, wall, "lately")
    wall.day += 2
    removed = await prune()
    assert (removed["actions"], removed["proposals"]) == (5, 5)
    left = {action.target.account: action.action_id for action in await all_actions(database)}
    assert set(left) == {"lately", "stands"}
    for table in (action_history, receipts):
        assert {row["action_id"] for row in await rows(database, table)} <= set(left.values())
    assert {row["action_id"] for row in await rows(database, action_history)} == set(left.values())
    assert {row["action_id"] for row in await rows(database, receipts)} == {left["stands"]}
    assert (await prune())["actions"] == 0


async def test_what_is_still_asked_for_or_on_hold_stays(database: Database, wall: Wall, lived: Any) -> None:
    """One lapsed while campaigns goes on asking for it; one was disputed, and its target is held for long."""
    ledger, prune = lived
    config = CONFIG.model_copy(update={"hold_days": 5_000})
    patient = Ledger(database, config, Clock("append", 24, wall=wall.us))
    await handle(patient, decision(proposal(target_account="lapsed"), proposal(target_account="held"), at_us=wall.us()))
    held = next(one for one in await all_actions(database) if one.target.account == "held")
    await handle(patient, receipt(held.action_id, "DISPUTED", appended_at=wall.us(), occurred_at=wall.us()))
    await withdraw(patient, wall, "held")
    wall.day += 91
    assert len(await ledger.run_timers()) == 1
    wall.day += 1_000
    assert (await prune())["actions"] == 0
    wall.day += 5_000
    assert (await prune())["actions"] == 1
    assert [one.target.account for one in await all_actions(database)] == ["lapsed"]
    await withdraw(ledger, wall, "lapsed")
    assert (await prune())["actions"] == 1
    assert await rows(database, approvals) == []


async def test_decisions_receipts_and_messages_go_by_their_own_days(database: Database, wall: Wall, lived: Any) -> None:
    """A live action keeps its receipts; what was never published, or was given up, stays for good."""
    ledger, prune = lived
    await handle(ledger, decision(proposal(target_account="a"), at_us=wall.us()))
    (action,) = await all_actions(database)
    await handle(ledger, receipt(action.action_id, "DONE", appended_at=wall.us(), occurred_at=wall.us()))
    await handle(ledger, receipt("f" * 32, "DONE"))
    box = Outbox(database, CONFIG, "w1")
    first, second, *_ = await box.claim()
    await box.close_rows([first])
    await box.close_rows([second], error="too large")
    wall.day += 15
    assert await prune() == {
        "outbox": 1,
        "decisions": 0,
        "receipts": 0,
        "dead_letters": 0,
        "actions": 0,
        "proposals": 0,
    }
    wall.day += 60
    await handle(ledger, decision(proposal(target_account="a"), at_us=wall.us()))  # renewed
    wall.day += 30
    assert await prune() == {
        "outbox": 0,
        "decisions": 1,
        "receipts": 1,
        "dead_letters": 0,
        "actions": 0,
        "proposals": 0,
    }
    assert [row["action_id"] for row in await rows(database, receipts)] == [action.action_id]
    assert len(await rows(database, decisions)) == 1
    assert second.id in {row["id"] for row in await rows(database, outbox)}


async def test_a_dead_letter_goes_after_its_days(database: Database, wall: Wall, lived: Any) -> None:
    """Three old ones in batches of two; the one of today stays, with its bytes."""
    ledger, prune = lived
    for offset in range(4):
        wall.day += 31 if offset == 3 else 0
        await ledger.dead_letter(
            topic="weaklink.decisions", partition=0, offset=offset, key=b"c", value=b"\xff", error="odd"
        )
    assert (await prune())["dead_letters"] == 3
    assert [(row["offset"], row["value"]) for row in await rows(database, dead_letters)] == [(3, b"\xff")]
    assert (await prune())["dead_letters"] == 0


async def test_a_decision_that_comes_while_it_is_pruned_finds_its_action_again(
    database: Database, wall: Wall, lived: Any
) -> None:
    """An action that was forgotten begins anew."""
    ledger, prune = lived
    await handle(ledger, decision(proposal(target_account="a"), at_us=wall.us()))
    await withdraw(ledger, wall, "a")
    wall.day += 401
    assert (await prune())["actions"] == 1
    await handle(ledger, decision(proposal(target_account="a"), at_us=wall.us()))
    (action,) = await all_actions(database)
    assert (action.state, action.revision) == ("ACTIVE", 1)


async def test_the_metrics_tell_what_stands_in_the_ledger(database: Database, wall: Wall, lived: Any) -> None:
    """Actions by state, and what waits to be published, with its age."""
    ledger, _ = lived
    measures = [proposal(target_account="a"), proposal(target_account="b", benign_accounts_touched=99)]
    await handle(ledger, decision(*measures, at_us=wall.us()))
    wall.day += 0.5
    await observe.measure(database)
    shown = {
        state: REGISTRY.get_sample_value("weaklink_actions", {"state": state})
        for state in ("ACTIVE", "WAITING", "EXPIRED")
    }
    assert shown == {"ACTIVE": 1, "WAITING": 1, "EXPIRED": 0}
    async with database.read() as connection:
        waiting = await connection.scalar(sa.select(sa.func.count()).select_from(outbox))
    assert REGISTRY.get_sample_value("weaklink_outbox_messages") == waiting == 1
    assert REGISTRY.get_sample_value("weaklink_outbox_oldest_seconds") == pytest.approx(43_200)
    box = Outbox(database, CONFIG, "w1")
    await box.close_rows(await box.claim())
    await observe.measure(database)
    assert REGISTRY.get_sample_value("weaklink_outbox_oldest_seconds") == 0


def test_every_table_of_the_ledger_is_pruned_or_small() -> None:
    """A table that is added needs a decision on how long its rows are kept."""
    tables = (outbox, decisions, receipts, action_history, approvals, proposals, dead_letters)
    assert set(metadata.tables) - {one.name for one in tables} - {"actions"} == {"clock"}
