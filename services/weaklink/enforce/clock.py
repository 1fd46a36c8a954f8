"""Enforce's clock: the wall clock, or under clock=event the furthest time that decisions and receipts have shown. Kept in the ledger."""

from collections.abc import Callable
from typing import Final, Literal

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from weaklink.enforce.action import HOUR_US
from weaklink.enforce.database import wall_us
from weaklink.enforce.statements import insert
from weaklink.enforce.tables import clock

_NOW: Final = "now"
_DECIDED: Final = "decided"


class Clock:
    """Never goes back. Under clock=event an old world's actions do not lapse at once, and time stands still while nothing arrives."""

    def __init__(
        self, mode: Literal["append", "event"], lead_hours_max: float, wall: Callable[[], int] = wall_us
    ) -> None:
        self._event = mode == "event"
        self._lead_us = int(lead_hours_max * HOUR_US)
        self._wall = wall

    async def now(self, connection: AsyncConnection) -> int:
        """Microseconds since 1970."""
        return await self._read(connection, _NOW) if self._event else self._wall()

    async def decided(self, connection: AsyncConnection, decided_at_us: int) -> int:
        """Take in the time of a decision; gives now."""
        if not self._event:
            return self._wall()
        await self._advance(connection, _DECIDED, decided_at_us)
        return await self._advance(connection, _NOW, decided_at_us)

    async def occurred(self, connection: AsyncConnection, occurred_at_us: int) -> int:
        """Take in the time of a receipt; gives now. A party's clock moves ours only so far beyond the newest decision: else one party
        with a clock years ahead would end every party's actions."""
        if not self._event:
            return self._wall()
        bound = await self._read(connection, _DECIDED) + self._lead_us
        return await self._advance(connection, _NOW, min(occurred_at_us, bound))

    async def _read(self, connection: AsyncConnection, name: str) -> int:
        return int(await connection.scalar(sa.select(clock.c.at_us).where(clock.c.name == name)) or 0)

    async def _advance(self, connection: AsyncConnection, name: str, at_us: int) -> int:
        before = await self._read(connection, name)
        if at_us <= before:
            return before
        # Another worker may have written since we read: the condition keeps the larger of the two.
        ahead = sa.update(clock).where(clock.c.name == name, clock.c.at_us < at_us).values(at_us=at_us)
        if before == 0:
            await connection.execute(insert(connection, clock).values(name=name, at_us=0).on_conflict_do_nothing())
        await connection.execute(ahead)
        return await self._read(connection, name)
