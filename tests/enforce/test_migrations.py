"""The ledger's schema goes forward and back with its rows, on both databases; what must never be deleted cannot be, at any version."""

from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.exc import DBAPIError

from tests.enforce.conftest import open_database
from tests.enforce.samples import decision, decoded, proposal, receipt
from weaklink.console.config import ConsoleConfig
from weaklink.console.users import Role, Users
from weaklink.enforce.clock import Clock
from weaklink.enforce.config import EnforceConfig
from weaklink.enforce.database import Database
from weaklink.enforce.ledger import Ledger
from weaklink.enforce.tables import action_history, actions, metadata
from weaklink.errors import LedgerError

REVISIONS = ("0001", "0002", "0003")


async def everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table."""
    async with database.read() as connection:
        return {
            name: sorted((tuple(row) for row in await connection.execute(sa.select(table))), key=repr)
            for name, table in metadata.tables.items()
        }


async def filled(database: Database) -> None:
    """A decision with its action, its history and a receipt."""
    ledger = Ledger(database, EnforceConfig(), Clock("event", 24))
    message = decision(proposal(), proposal(target_account="acct-2"))
    await ledger.handle_decision(decoded(message), message)
    async with database.read() as connection:
        ident = (await connection.execute(sa.select(actions.c.action_id))).scalars().first()
    await ledger.handle_receipts([decoded(receipt(str(ident), "DONE"))])


async def test_back_and_forward_again_loses_no_row_and_ends_in_the_same_schema(ledger_address: str) -> None:
    """Step by step to the first revision and up again; work goes on afterwards."""
    database = open_database(ledger_address)
    await database.migrate()
    await filled(database)
    before = await everything(database)
    assert before["action_history"]
    for revision in reversed(REVISIONS[:-1]):
        await database.migrate_back(revision)
        assert await database.revision() == revision
        assert await everything(database) == before
        await refuses_to_delete_history(database)
    await database.migrate()
    assert await database.revision() == REVISIONS[-1]
    assert await everything(database) == before
    await refuses_to_delete_history(database)
    async with database.read() as connection:
        assert (
            await connection.run_sync(lambda sync: compare_metadata(MigrationContext.configure(sync), metadata)) == []
        )
    await filled(database)
    assert len((await everything(database))["actions"]) == len(before["actions"])
    await database.close()


async def refuses_to_delete_history(database: Database) -> None:
    """Of an action that is there."""
    with pytest.raises(DBAPIError, match="append-only"):
        async with database.write() as connection:
            await connection.execute(sa.delete(action_history))


async def test_there_is_no_way_back_behind_the_first_revision_or_to_one_that_is_not_there(ledger_address: str) -> None:
    """One clear error, and nothing is changed."""
    database = open_database(ledger_address)
    await database.migrate()
    await filled(database)
    before = await everything(database)
    for revision in ("base", "9999"):
        with pytest.raises(LedgerError, match=f"cannot go back to '{revision}'"):
            await database.migrate_back(revision)
    assert await database.revision() == REVISIONS[-1]
    assert await everything(database) == before
    await database.close()


async def test_the_console_s_own_tables_are_left_alone_whichever_came_first(ledger_address: str) -> None:
    """Made before the ledger's: that is new all the same. Users stay when the schema goes back and forward."""
    database = open_database(ledger_address)
    users = Users(database, ConsoleConfig())
    await users.create_tables()
    await users.add("olga", Role.OPERATOR, None, "correct horse battery")
    token = await users.sign_in("olga")
    assert await database.revision() is None
    await database.migrate()
    for revision in reversed(REVISIONS[:-1]):
        await database.migrate_back(revision)
        assert await users.session(token)
    await users.create_tables()
    await database.migrate()
    assert await database.revision() == REVISIONS[-1]
    assert [one["name"] for one in await users.list()] == ["olga"]
    assert await users.session(token)
    await database.close()
