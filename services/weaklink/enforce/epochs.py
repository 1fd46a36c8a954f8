"""Epochs of keys that are over: actions on their tokens end, and the ledger forgets them once their parties have been told.

What a token hides is safe only as long as its key is. So actions on tokens of an epoch that is over are not kept for the days that others
are: they go with their history, approvals, receipts and published messages. The topic `weaklink.epochs` says who ended the epoch, and why.

Dead letters are bytes that nothing here could handle, perhaps not even read, so nobody can say for certain which tokens they hold. One goes
as soon as any 17 bytes of it could be a token of such an epoch, by kind and epoch: no token is missed, and now and then one goes that had none.
"""

import re
from collections import defaultdict
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

_ROWS: Final = 500
_LIVE: Final = actions.c.state.in_([str(state) for state in LIVE])
_KIND_MAX: Final = int(max(IdentifierKind))


class Epochs:
    """`forget` is called again and again: what still has to be published stays until the next time."""

    def __init__(self, database: Database, config: EnforceConfig, clock: Clock) -> None:
        self._database = database
        self._config = config
        self._clock = clock

    async def forget(self, oldest: int) -> tuple[list[Change], dict[str, int]]:
        """End actions on tokens of epochs before `oldest`, then forget them: (changes, rows removed by table; of decisions, rows cleaned)."""
        if oldest == FIRST:
            return [], {}
        changes = await self._end(oldest)
        removed = {
            "actions": await self._remove_actions(oldest),
            "proposals": await self._remove_proposals(oldest),
            "decisions": await self._clean_decisions(oldest),
            "dead_letters": await self._remove_dead_letters(oldest),
        }
        return changes, {table: rows for table, rows in removed.items() if rows}

    async def _end(self, oldest: int) -> list[Change]:
        done: list[Change] = []
        while rows := await self._some(sa.and_(_LIVE, over(actions, oldest))):
            for campaign_id, idents in rows.items():
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
        while rows := await self._some(due):
            for campaign_id, idents in rows.items():
                async with self._database.write(campaign_id) as connection:
                    still = sa.select(actions.c.action_id).where(actions.c.action_id.in_(idents), due)
                    removed += await _remove(connection, list((await connection.scalars(still)).all()))
        return removed

    async def _remove_proposals(self, oldest: int) -> int:
        wanted = sa.exists().where(actions.c.action_id == proposals.c.action_id)
        async with self._database.write() as connection:
            return (await connection.execute(sa.delete(proposals).where(over(proposals, oldest), ~wanted))).rowcount

    async def _clean_decisions(self, oldest: int) -> int:
        """Decisions stay, so that none is handled twice; of what they were refused the targets go."""
        async with self._database.write() as connection:
            some = sa.select(decisions.c.decision_id, decisions.c.refused).where(
                sa.cast(decisions.c.refused, sa.String) != "[]"
            )
            cleaned = [
                {"of": ident, "kept": kept}
                for ident, refused in await connection.execute(some)
                if len(kept := [one for one in refused if not _is_over(one["target"], oldest)]) < len(refused)
            ]
            if cleaned:
                mine = decisions.c.decision_id == sa.bindparam("of")
                await connection.execute(
                    sa.update(decisions).where(mine).values(refused=sa.bindparam("kept", type_=sa.JSON)), cleaned
                )
            return len(cleaned)

    async def _remove_dead_letters(self, oldest: int) -> int:
        """A page at a time: a defect may have left thousands."""
        keys, types = sa.tuple_(*dead_letters.primary_key), [column.type for column in dead_letters.primary_key]
        page = sa.select(*dead_letters.primary_key, dead_letters.c.key, dead_letters.c.value).order_by(
            *dead_letters.primary_key
        )
        removed, after = 0, ("", -1, -1)  # before every key
        while True:
            async with self._database.write() as connection:
                some = page.where(keys > sa.tuple_(*after, types=types)).limit(self._config.prune_rows)
                rows = (await connection.execute(some)).all()
                due = [tuple(row[:3]) for row in rows if any(_may_name(one, oldest) for one in row[3:] if one)]
                if due:
                    await connection.execute(sa.delete(dead_letters).where(keys.in_(due)))
            removed += len(due)
            if len(rows) < self._config.prune_rows:
                return removed
            after = tuple(rows[-1][:3])

    async def _some(self, due: sa.ColumnElement[bool]) -> dict[str, list[str]]:
        """Some actions that are due, by campaign."""
        async with self._database.read() as connection:
            rows = await connection.execute(
                sa.select(actions.c.campaign_id, actions.c.action_id).where(due).limit(_ROWS)
            )
            found: dict[str, list[str]] = defaultdict(list)
            for campaign_id, ident in rows:
                found[campaign_id].append(ident)
            return found


def over(table: sa.Table, oldest: int) -> sa.ColumnElement[bool]:
    """Whether a row names a token of an epoch before `oldest`."""
    return sa.or_(*(_epoch_of(table.c[name]) < bytes((oldest,)) for name in ("target_token", "slice_end_user")))


def _epoch_of(column: sa.Column[Any]) -> sa.ColumnElement[bytes]:
    return sa.func.substr(column, 2, 1, type_=sa.LargeBinary)


def _is_over(target: str, oldest: int) -> bool:
    """Whether the name of a target (`Target.name`) is that of a token of an earlier epoch."""
    try:
        token = bytes.fromhex(target)
    except ValueError:
        return False
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
