"""What is sent to a ledger's database, and by which way the database would find it."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa

from weaklink.enforce.database import Database

Sent = tuple[str, Any]
"""A statement, and its parameters as the driver takes them."""


@contextmanager
def statements(database: Database) -> Iterator[list[Sent]]:
    """What is sent to the database within the block."""
    found: list[Sent] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        found.append((statement, parameters))

    sa.event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(database.engine.sync_engine, "before_cursor_execute", note)


async def plans(database: Database, sent: Sequence[Sent]) -> str:
    """How the database would find what SELECTs ask for, in its own words; PostgreSQL reads small tables whole only where it has to."""
    lines: list[str] = []
    async with database.read() as connection:
        if not database.sqlite:
            await connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        explain = "EXPLAIN QUERY PLAN" if database.sqlite else "EXPLAIN"
        for statement, parameters in sent:
            if statement.startswith(("SELECT", "WITH")):
                found = await connection.exec_driver_sql(f"{explain} {statement}", parameters)
                lines += [str(row[-1]) for row in found]
    return "\n".join(lines)
