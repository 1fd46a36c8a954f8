"""The ledger read from outside, in plain SQL: sqlite3 or psycopg, none of Weaklink's own code."""

import sqlite3
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row


def rows(url: str, statement: str) -> list[dict[str, Any]]:
    """What a SELECT gives, from `sqlite:///path` or `postgresql://...`; nothing where there is no ledger yet. Raises what the driver raises."""
    if url.startswith("sqlite:///"):
        path = Path(url.removeprefix("sqlite:///"))
        if not path.exists():
            return []
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=30)
        connection.row_factory = sqlite3.Row
        try:
            return [dict(row) for row in connection.execute(statement)]
        except sqlite3.OperationalError as error:
            if "no such table" in str(error):
                return []
            raise
        finally:
            connection.close()
    with psycopg.connect(url, row_factory=dict_row) as server:
        try:
            return list(server.execute(statement.encode()))
        except psycopg.errors.UndefinedTable:
            return []


def unpublished(url: str) -> int:
    """Rows of the outbox that wait."""
    found = rows(url, "SELECT count(*) AS n FROM outbox WHERE closed_wall_us IS NULL")
    return int(found[0]["n"]) if found else 0


def oldest_unpublished(url: str) -> dict[str, int]:
    """By topic: id of the first row of the outbox that waits."""
    found = rows(url, "SELECT topic, min(id) AS oldest FROM outbox WHERE closed_wall_us IS NULL GROUP BY topic")
    return {row["topic"]: row["oldest"] for row in found}
