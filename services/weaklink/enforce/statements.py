"""INSERT with ON CONFLICT, for both of the ledger's databases."""

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection


def insert(connection: AsyncConnection, table: sa.Table) -> "sqlite.Insert | postgresql.Insert":
    """The dialect's own INSERT, which knows ON CONFLICT."""
    return sqlite.insert(table) if connection.dialect.name == "sqlite" else postgresql.insert(table)


def upsert(connection: AsyncConnection, table: sa.Table) -> Any:
    """INSERT of whole rows that replaces the row of the same primary key."""
    statement = insert(connection, table)
    keys = [column.name for column in table.primary_key]
    values = {column.name: statement.excluded[column.name] for column in table.columns if column.name not in keys}
    return statement.on_conflict_do_update(index_elements=keys, set_=values)
