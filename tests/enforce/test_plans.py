"""What is asked of the ledger again and again finds its rows by an index, on both databases: none of it grows with all that the ledger holds."""

import sqlalchemy as sa

from tests.enforce.plans import plans, statements
from tests.enforce.samples import decision, decoded, proposal
from weaklink.enforce.clock import Clock
from weaklink.enforce.config import EnforceConfig
from weaklink.enforce.database import Database
from weaklink.enforce.ledger import Ledger
from weaklink.enforce.queries import Filter, count_actions, find_ids, last_seen, list_actions, on_account
from weaklink.enforce.retention import Retention
from weaklink.enforce.tables import actions


async def fill(ledger: Ledger, database: Database) -> None:
    """Actions of ten parties, nearly all overdue."""
    message = decision(*(proposal(party=f"lab-{n % 10}", target_account=f"a{n}") for n in range(600)))
    await ledger.handle_decision(decoded(message), message)
    async with database.write() as connection:
        await connection.execute(sa.update(actions).where(actions.c.target_account != "a1").values(overdue=True))
        if not database.sqlite:  # PostgreSQL does so by itself in time, SQLite never
            await connection.exec_driver_sql("ANALYZE")


async def test_timers_read_only_what_is_due(ledger: Ledger, database: Database) -> None:
    """Every second, in every worker. A day after it was issued every standing action met the time of its receipt, answered or not."""
    await fill(ledger, database)
    with statements(database) as sent:
        await ledger.run_timers()
    found = await plans(database, [one for one in sent if " OR " in one[0]])
    assert "ix_actions_state_expires" in found
    assert "ix_actions_unanswered" in found
    assert "SCAN actions" not in found


async def test_pruning_finds_proposals_by_the_action_that_they_led_to(ledger: Ledger, database: Database) -> None:
    """For each action that has ended: all proposals there are were read for it."""
    await fill(ledger, database)
    config = EnforceConfig()
    with statements(database) as sent:
        await Retention(database, config, Clock("event", config.clock_lead_hours_max)).prune()
    found = await plans(database, [one for one in sent if "proposals" in one[0]])
    assert "ix_proposals_action" in found
    assert "SCAN proposals" not in found


async def test_a_party_s_pages_read_its_own_actions_and_no_others(ledger: Ledger, database: Database) -> None:
    """Every open page asks again at every change of the ledger. A list is read in its order, and no further than the page goes."""
    await fill(ledger, database)
    mine = Filter(party="lab-1", published=True, limit=20)
    async with database.read() as connection:
        (newest, *_) = await list_actions(connection, mine)
        with statements(database) as lists:
            await list_actions(connection, mine)
            await list_actions(connection, Filter(party="lab-1", limit=20))
        with statements(database) as others:
            await count_actions(connection, mine)
            await count_actions(connection, Filter(party="lab-1", published=True, states=("WITHDRAWN",)))
            await on_account(connection, "lab-1", "a1")
            await on_account(connection, "lab-1", "a1", published=True)
            await find_ids(connection, [newest["action_id"], newest["action_id"][:12]])
            await last_seen(connection, newest["action_id"])
    found = [await plans(database, [one]) for one in (*lists, *others)]
    assert not any("SCAN" in one or "Seq Scan" in one for one in found)
    assert "ix_actions_party_issued" in found[0]
    assert "FOR ORDER BY" not in found[0].replace("LAST TERM OF ORDER BY", "")
    assert all("ix_actions_party_account" in one for one in found[4:6])
