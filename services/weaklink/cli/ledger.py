"""How commands reach the ledger: one database for one command."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from weaklink.enforce.database import Database

Answer = TypeVar("Answer")


def read(query: Callable[[Any], Awaitable[Answer]]) -> Answer:
    """What a query of one connection gives."""

    async def run(database: "Database") -> Answer:
        async with database.read() as connection:
            return await query(connection)

    return with_database(run)


def with_database(work: "Callable[[Database], Awaitable[Answer]]") -> Answer:
    """Run `work` on the ledger of the settings, brought to this version's schema."""
    from weaklink.enforce.database import Database, ledger_url
    from weaklink.settings import load_settings

    async def run() -> Answer:
        database = Database(ledger_url(load_settings()))
        try:
            await database.migrate()
            return await work(database)
        finally:
            await database.close()

    return asyncio.run(run())
