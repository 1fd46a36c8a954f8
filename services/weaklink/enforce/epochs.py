"""Epochs of keys that are over: actions on their tokens end, and the ledger forgets them once their parties have been told.

What a token hides is safe only as long as its key is. So actions on tokens of an epoch that is over are not kept for the days that others
are: they go with their history, approvals, receipts and published messages. The topic `weaklink.epochs` says who ended the epoch, and why.

Dead letters are bytes that nothing here could handle, perhaps not even read, so nobody can say for certain which tokens they hold. One goes
as soon as any 17 bytes of it could be a token of such an epoch, by kind and epoch: no token is missed, and now and then one goes that had none.
"""

import re
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from weaklink.enforce.action import LIVE, Cause, Change, State, withdrawn
from weaklink.enforce.clock import Clock
from weaklink.enforce.config import EnforceConfig
from weaklink.enforce.database import Database
from weaklink.enforce.loading import load_actions
from weaklink.enforce.messages import change_messages
from weaklink.enforce.records import record_changes, record_outgoing
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
from weaklink.epochs import FIRST
from weaklink.records.identifiers import TOKEN_BYTES, IdentifierKind

_LOCK: Final = "weaklink.ledger.epochs"
_AGAIN_SECONDS: Final = 3600.0
_LIVE: Final = actions.c.state.in_([str(state) for state in LIVE])
_KIND_MAX: Final = int(max(IdentifierKind))


class Epochs:
    """`forget` is called again and again: what still has to be published stays until the next time.

    It reads whole tables. So it remembers when nothing is left, and looks again when a later epoch is over, when this process handled a
    decision on a token that is over (`saw`), and every hour, for what another process handled before it ended.
    """

    def __init__(
        self,
        database: Database,
        config: EnforceConfig,
        clock: Clock,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._config = config
        self._clock = clock
        self._oldest = self._forgotten = FIRST
        self._until = 0.0
        self._monotonic = monotonic

    def saw(self, measures: Iterable[Mapping[str, Any]]) -> None:
        """Measures (Avro ProposedMeasure, as dicts) of a decision that was handled: if one is on a token that is over, the next `forget` looks."""
        tokens = (one[name] for one in measures for name in ("target_token", "slice_end_user"))
        if any(token is not None and _epoch_is_over(token, self._oldest) for token in tokens):
            self._forgotten = FIRST

    async def forget(self, oldest: int) -> tuple[list[Change], dict[str, int]]:
        """End actions on tokens of epochs before `oldest`, then forget them: (changes, rows removed by table; of decisions, rows cleaned)."""
        self._oldest = oldest
        if oldest == FIRST or (oldest == self._forgotten and self._monotonic() < self._until):
            return [], {}
        # Before anything is read: `saw` may take it back meanwhile.
        self._forgotten, self._until = oldest, 0.0
        changes = await self._end(oldest)
        removed = {
            "actions": await self._remove_actions(oldest),
            "proposals": await self._remove_proposals(oldest),
            "decisions": await self._clean_decisions(oldest),
            "dead_letters": await self._remove_dead_letters(oldest),
        }
        if not await self._is_left(oldest):
            self._until = self._monotonic() + _AGAIN_SECONDS
        return changes, {table: rows for table, rows in removed.items() if rows}

    async def _end(self, oldest: int) -> list[Change]:
        done: list[Change] = []
        async for campaigns in self._campaigns(sa.and_(_LIVE, over(actions, oldest))):
            for campaign_id, idents in campaigns.items():
                async with self._database.write(campaign_id) as connection:
                    now_us = await self._clock.now(connection)
                    note = f"made with keys of an epoch before {oldest}, which is over"
                    changes = [
                        withdrawn(one, Cause.EXPIRED, now_us, state=State.EXPIRED, verdict="EXPIRED", note=note)
                        for one in await load_actions(connection, idents, _LIVE)
                    ]
                    await record_changes(connection, [(change, f"epoch {oldest - 1}") for change in changes])
                    messages = [message for change in changes for message in change_messages(change, self._config.tlp)]
                    await record_outgoing(connection, messages)
                done += changes
        return done

    async def _remove_actions(self, oldest: int) -> int:
        removed = 0
        waits = sa.exists().where(
            outbox.c.key == sa.cast(actions.c.action_id, sa.LargeBinary), outbox.c.closed_wall_us.is_(None)
        )
        due = sa.and_(~_LIVE, over(actions, oldest), ~waits)
        async for campaigns in self._campaigns(due):
            for campaign_id, idents in campaigns.items():
                async with self._database.write(campaign_id) as connection:
                    still = sa.select(actions.c.action_id).where(actions.c.action_id.in_(idents), due)
                    removed += await _remove(connection, list((await connection.scalars(still)).all()))
        return removed

    async def _is_left(self, oldest: int) -> bool:
        async with self._database.read() as connection:
            return bool(await connection.scalar(sa.select(sa.exists().where(over(actions, oldest)))))

    async def _remove_proposals(self, oldest: int) -> int:
        wanted = sa.exists().where(actions.c.action_id == proposals.c.action_id)
        due, removed = sa.and_(over(proposals, oldest), ~wanted), 0
        async for rows in self._pages(proposals, due=due):
            mine = proposals.c.proposal_id.in_([row.proposal_id for row in rows])
            async with self._database.write() as connection:
                removed += (await connection.execute(sa.delete(proposals).where(mine, due))).rowcount
        return removed

    async def _clean_decisions(self, oldest: int) -> int:
        """Decisions stay, so that none is handled twice; of what they were refused the targets go."""
        cleaned, mine = 0, decisions.c.decision_id == sa.bindparam("of")
        clean = sa.update(decisions).where(mine).values(refused=sa.bindparam("kept", type_=sa.JSON))
        refused = sa.cast(decisions.c.refused, sa.String) != "[]"
        async for rows in self._pages(decisions, decisions.c.refused, due=refused):
            due = [row.decision_id for row in rows if _kept(row.refused, oldest) != row.refused]
            if not due:
                continue
            # Read again, alone: another worker may have taken out more, of a later epoch.
            some = sa.select(decisions.c.decision_id, decisions.c.refused).where(decisions.c.decision_id.in_(due))
            async with self._database.write(_LOCK) as connection:
                still = (await connection.execute(some)).all()
                if still:
                    await connection.execute(
                        clean, [{"of": ident, "kept": _kept(refused, oldest)} for ident, refused in still]
                    )
            cleaned += len(still)
        return cleaned

    async def _remove_dead_letters(self, oldest: int) -> int:
        """A page at a time: a defect may have left thousands."""
        removed, keys = 0, sa.tuple_(*dead_letters.primary_key)
        async for rows in self._pages(dead_letters, dead_letters.c.key, dead_letters.c.value):
            due = [
                (row.topic, row.partition, row.offset)
                for row in rows
                if any(_may_name(one, oldest) for one in (row.key, row.value) if one)
            ]
            if due:
                async with self._database.write() as connection:
                    removed += (await connection.execute(sa.delete(dead_letters).where(keys.in_(due)))).rowcount
        return removed

    async def _campaigns(self, due: sa.ColumnElement[bool]) -> AsyncIterator[dict[str, list[str]]]:
        """Ids of actions that are due, by campaign, a page at a time."""
        async for rows in self._pages(actions, actions.c.campaign_id, due=due):
            found: dict[str, list[str]] = defaultdict(list)
            for row in rows:
                found[row.campaign_id].append(row.action_id)
            yield found

    async def _pages(
        self, table: sa.Table, *columns: sa.ColumnElement[Any], due: sa.ColumnElement[bool] | None = None
    ) -> AsyncIterator[Sequence[sa.Row[Any]]]:
        """A table's keys and `columns` in the order of its keys, each page read for itself: none holds a writer up, or takes the ledger's time."""
        keys = tuple(table.primary_key)
        page = sa.select(*keys, *columns).order_by(*keys).limit(self._config.prune_rows)
        page = page if due is None else page.where(due)
        beyond: sa.ColumnElement[bool] = sa.true()
        while True:
            async with self._database.read() as connection:
                rows = (await connection.execute(page.where(beyond))).all()
            if rows:
                yield rows
            if len(rows) < self._config.prune_rows:
                return
            last = sa.tuple_(*rows[-1][: len(keys)], types=[key.type for key in keys])
            beyond = sa.tuple_(*keys) > last


def over(table: sa.Table, oldest: int) -> sa.ColumnElement[bool]:
    """Whether a row names a token of an epoch before `oldest`."""
    return sa.or_(*(_epoch_of(table.c[name]) < bytes((oldest,)) for name in ("target_token", "slice_end_user")))


def _epoch_of(column: sa.Column[Any]) -> sa.ColumnElement[bytes]:
    return sa.func.substr(column, 2, 1, type_=sa.LargeBinary)


def _kept(refused: Sequence[Mapping[str, Any]], oldest: int) -> list[Mapping[str, Any]]:
    """What a decision was refused (`ledger._refusal`), without targets that are tokens of earlier epochs."""
    return [one for one in refused if not _is_over(one["target"], oldest)]


def _is_over(target: str, oldest: int) -> bool:
    """Whether the name of a target (`Target.name`) is that of a token of an earlier epoch."""
    try:
        return _epoch_is_over(bytes.fromhex(target), oldest)
    except ValueError:
        return False


def _epoch_is_over(token: bytes, oldest: int) -> bool:
    return len(token) == TOKEN_BYTES and 1 <= token[0] <= _KIND_MAX and token[1] < oldest


def _may_name(content: bytes, oldest: int) -> bool:
    """Whether any bytes, or their hexadecimal digits, could be a token of an earlier epoch."""
    first, last, rest = 1, oldest - 1, TOKEN_BYTES - 2
    raw = rb"[\x01-\x%02x][\x%02x-\x%02x](?s:.{%d})" % (_KIND_MAX, first, last, rest)
    digits = b"|".join(
        b"%02x%02x" % (kind, epoch) for kind in range(1, _KIND_MAX + 1) for epoch in range(first, oldest)
    )
    return bool(re.search(raw, content) or re.search(rb"(?i:%b)[0-9a-fA-F]{%d}" % (digits, 2 * rest), content))


async def _remove(connection: AsyncConnection, idents: list[str]) -> int:
    # The action first: its history cannot be deleted while it is there.
    for table in (actions, action_history, approvals, receipts, proposals):
        await connection.execute(sa.delete(table).where(table.c.action_id.in_(idents)))
    await connection.execute(sa.delete(outbox).where(outbox.c.key.in_([ident.encode() for ident in idents])))
    return len(idents)
