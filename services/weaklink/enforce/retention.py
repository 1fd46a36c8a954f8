"""What the ledger forgets, and when: rows of what is over, after the days that the settings say, a few in each transaction.

Nothing that is live goes, nor what anything live rests on: a standing proposal, a hold on a target, a message not yet published.
"""

from collections import defaultdict
from typing import Any, Final

import sqlalchemy as sa

from weaklink.enforce.action import LIVE
from weaklink.enforce.clock import Clock
from weaklink.enforce.config import EnforceConfig
from weaklink.enforce.database import Database, wall_us
from weaklink.enforce.tables import (
    action_history,
    actions,
    approvals,
    dead_letters,
    decisions,
    outbox,
    proposals,
    receipts,
)

_DAY_US: Final = 86_400_000_000
_LIVE: Final = actions.c.state.in_([str(state) for state in LIVE])


class Retention:
    """Several workers may prune at once: each transaction looks again at what it removes."""

    def __init__(self, database: Database, config: EnforceConfig, clock: Clock) -> None:
        self._database = database
        self._config = config
        self._clock = clock

    async def prune(self) -> dict[str, int]:
        """Remove everything that is due; how many rows of each table."""
        config, now_us = self._config, wall_us()
        live = sa.exists().where(actions.c.action_id == receipts.c.action_id, _LIVE)
        old_receipts = sa.and_(receipts.c.handled_wall_us < now_us - config.receipts_keep_days * _DAY_US, ~live)
        return {
            "outbox": await self._remove(
                outbox,
                # Rows that were given up stay, for a person to see.
                sa.and_(outbox.c.closed_wall_us < now_us - config.outbox_keep_days * _DAY_US, outbox.c.error.is_(None)),
            ),
            "decisions": await self._remove(
                decisions, decisions.c.handled_wall_us < now_us - config.decisions_keep_days * _DAY_US
            ),
            "receipts": await self._remove(receipts, old_receipts),
            "dead_letters": await self._remove(
                dead_letters, dead_letters.c.recorded_wall_us < now_us - config.dead_letters_keep_days * _DAY_US
            ),
            "actions": await self._remove_actions(now_us - config.ended_actions_keep_days * _DAY_US),
            "proposals": await self._remove_proposals(),
        }

    async def _remove(self, table: sa.Table, due: sa.ColumnElement[bool]) -> int:
        keys = sa.tuple_(*table.primary_key)
        some = sa.select(*table.primary_key).where(due).limit(self._config.prune_rows)
        removed = 0
        while True:
            async with self._database.write() as connection:
                count = (await connection.execute(sa.delete(table).where(keys.in_(some)))).rowcount
            removed += count
            if count < self._config.prune_rows:
                return removed

    async def _remove_actions(self, before_us: int) -> int:
        """Actions with all that is theirs, under the lock of their campaign: a decision may bring one back to life at any time."""
        removed = 0
        while True:
            async with self._database.read() as connection:
                due = _ended(before_us, await self._clock.now(connection))
                some = sa.select(actions.c.campaign_id, actions.c.action_id).where(due).limit(self._config.prune_rows)
                rows = (await connection.execute(some)).all()
            by_campaign: dict[str, list[str]] = defaultdict(list)
            for campaign_id, ident in rows:
                by_campaign[campaign_id].append(ident)
            counts = [await self._remove_actions_of(one, idents, due) for one, idents in by_campaign.items()]
            removed += sum(counts)
            if sum(counts) < self._config.prune_rows:
                return removed

    async def _remove_actions_of(self, campaign_id: str, idents: list[str], due: sa.ColumnElement[bool]) -> int:
        async with self._database.write(campaign_id) as connection:
            still = sa.select(actions.c.action_id).where(actions.c.action_id.in_(idents), due)
            ended = list((await connection.scalars(still)).all())
            # The action first: its history cannot be deleted while it is there.
            for table in (actions, action_history, approvals, receipts):
                await connection.execute(sa.delete(table).where(table.c.action_id.in_(ended)))
            return len(ended)

    async def _remove_proposals(self) -> int:
        async with self._database.read() as connection:
            now_us = await self._clock.now(connection)
        return await self._remove(
            proposals,
            sa.and_(
                proposals.c.standing.is_(False),
                proposals.c.decided_at_us < now_us - self._config.ended_actions_keep_days * _DAY_US,
                ~sa.exists().where(_rests_on_it()),
            ),
        )


def _ended(before_us: int, now_us: int) -> Any:
    """Ended, unchanged since, no hold left on the target, and not called for by campaigns (one that lapsed may still stand proposed)."""
    changed_since = sa.exists().where(
        action_history.c.action_id == actions.c.action_id, action_history.c.recorded_wall_us >= before_us
    )
    wanted = sa.exists().where(_rests_on_it(), proposals.c.standing.is_(True))
    return sa.and_(~_LIVE, ~changed_since, actions.c.held_until_us <= now_us, ~wanted)


def _rests_on_it() -> sa.ColumnElement[bool]:
    """A proposal and the action that it asked for, or that was granted instead."""
    return sa.or_(proposals.c.proposal_id == actions.c.action_id, proposals.c.action_id == actions.c.action_id)
