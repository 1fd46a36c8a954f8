"""What people ask the ledger: lists of actions, one action with its history and receipts, what waits. Reads only."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from weaklink.enforce.action import Cause, State
from weaklink.enforce.receipts import OBEYED
from weaklink.enforce.rows import action_json, action_of
from weaklink.enforce.tables import action_history, actions, approvals, dead_letters, outbox, receipts
from weaklink.errors import LedgerError

_BEGINNING: Final = re.compile(r"[0-9a-f]{1,32}")
_ENDING: Final = ("DISPUTED", "NOT_OURS", "REFUSED")


class NoSuchAction(LedgerError):
    """No action has this id, or one that begins so."""


@dataclass(frozen=True, slots=True)
class Filter:
    """Which actions; None does not narrow."""

    states: tuple[str, ...] = ()
    party: str | None = None
    account: str | None = None
    campaign_id: str | None = None
    measure: str | None = None
    limit: int | None = 100
    offset: int = 0
    published: bool = False
    """Only what its party has been sent, as it was sent: what waits for a person since then, or was declined, is none of its business."""

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """As SQL."""
        found: list[sa.ColumnElement[bool]] = []
        if self.states:
            found.append((action_history if self.published else actions).c.state.in_(self.states))
        for column, value in (
            (actions.c.party, self.party),
            (actions.c.target_account, self.account),
            (actions.c.campaign_id, self.campaign_id),
            (actions.c.measure, self.measure),
        ):
            if value is not None:
                found.append(column == value)
        if self.published:
            found.append(actions.c.revision >= 1)
        return found


_HELD: Final = sa.select(sa.func.min(action_history.c.change)).where(
    action_history.c.action_id == actions.c.action_id,
    action_history.c.revision == actions.c.revision,
    action_history.c.cause == Cause.HELD_FOR_PERSON.value,
)
_SEEN: Final = actions.join(
    action_history,
    sa.and_(
        action_history.c.action_id == actions.c.action_id,
        # Up to where it came to wait for a person without a new revision.
        action_history.c.change == sa.func.coalesce(_HELD.correlate(actions).scalar_subquery() - 1, actions.c.change),
    ),
)
"""Published actions, each with the last change that its party knows of."""
_ASKED: Final = actions.outerjoin(
    approvals, sa.and_(approvals.c.action_id == actions.c.action_id, approvals.c.verdict.is_(None))
)
_SINCE_US: Final = sa.case((actions.c.state == State.WAITING, actions.c.opened_at_us), else_=actions.c.issued_at_us)


async def list_actions(connection: AsyncConnection, which: Filter) -> list[dict[str, Any]]:
    """Actions, newest first, as JSON-ready dicts, with `waits_because` for those that wait for a person."""
    if which.published:
        query = sa.select(action_history.c.action).select_from(_SEEN).order_by(actions.c.issued_at_us.desc())
    else:
        why = approvals.c.why.label("waits_because")
        query = sa.select(actions, why).select_from(_ASKED).order_by(_SINCE_US.desc())
    query = query.where(*which.conditions()).order_by(actions.c.action_id).limit(which.limit).offset(which.offset)
    rows = (await connection.execute(query)).mappings()
    if which.published:
        return [row["action"] | {"waits_because": None} for row in rows]
    return [action_json(action_of(row)) | {"waits_because": row["waits_because"]} for row in rows]


async def count_actions(connection: AsyncConnection, which: Filter) -> int:
    """How many there are of these, limits aside."""
    source = _SEEN if which.published and which.states else actions
    query = sa.select(sa.func.count()).select_from(source).where(*which.conditions())
    return await connection.scalar(query) or 0


async def newest_change(connection: AsyncConnection) -> tuple[int, ...]:
    """Numbers that change with the ledger: whoever has seen them need not look again. Cheap: the last key of the outbox, and what waits."""
    waits = sa.select(sa.func.count(), sa.func.count(approvals.c.verdict)).select_from(approvals)
    last = await connection.scalar(sa.select(sa.func.max(outbox.c.id)))
    return (last or 0, *(await connection.execute(waits)).one())


async def find_ids(connection: AsyncConnection, prefixes: Sequence[str]) -> list[str]:
    """Full ids for ids or unmistakable beginnings of them. Raises LedgerError for none or several."""
    found = []
    for prefix in prefixes:
        # A range of the key, where LIKE would read all of it. Ids are digits and letters up to f.
        begins = sa.and_(actions.c.action_id >= prefix, actions.c.action_id < prefix + "g")
        query = sa.select(actions.c.action_id).where(begins).limit(2)
        idents = (await connection.scalars(query)).all() if _BEGINNING.fullmatch(prefix) else []
        if len(idents) != 1:
            if idents:
                raise LedgerError(f"several actions begin with {prefix!r}: see `weaklink actions list`")
            raise NoSuchAction(f"no action has the id {prefix!r}: see `weaklink actions list`")
        found.append(idents[0])
    return found


async def show_action(connection: AsyncConnection, ident: str) -> dict[str, Any]:
    """One action with its history, receipts and questions to people."""
    row = (await connection.execute(sa.select(actions).where(actions.c.action_id == ident))).mappings().one()
    return action_json(action_of(row)) | {
        "history": await history(connection, ident),
        "receipts": await _rows(
            connection, sa.select(receipts).where(receipts.c.action_id == ident).order_by(receipts.c.appended_at_us)
        ),
        "approvals": await _rows(
            connection, sa.select(approvals).where(approvals.c.action_id == ident).order_by(approvals.c.change)
        ),
    }


async def last_seen(connection: AsyncConnection, ident: str) -> dict[str, Any] | None:
    """A published action as its party knows it, as a JSON-ready dict; None: it has never been published."""
    which = sa.and_(actions.c.action_id == ident, actions.c.revision >= 1)
    found: dict[str, Any] | None = await connection.scalar(
        sa.select(action_history.c.action).select_from(_SEEN).where(which)
    )
    return found


async def history(connection: AsyncConnection, ident: str) -> list[dict[str, Any]]:
    """Every change of an action, oldest first."""
    query = sa.select(action_history).where(action_history.c.action_id == ident).order_by(action_history.c.change)
    return [{name: value for name, value in row.items() if name != "action"} for row in await _rows(connection, query)]


async def list_dead_letters(connection: AsyncConnection) -> list[dict[str, Any]]:
    """Messages that could not be handled, newest first, with their bytes in hex."""
    return await _rows(connection, sa.select(dead_letters).order_by(dead_letters.c.recorded_wall_us.desc()).limit(1000))


async def _rows(connection: AsyncConnection, query: sa.Select[Any]) -> list[dict[str, Any]]:
    rows = (await connection.execute(query)).mappings()
    return [{name: value.hex() if isinstance(value, bytes) else value for name, value in row.items()} for row in rows]


async def on_tokens(connection: AsyncConnection, campaign_id: str) -> list[dict[str, Any]]:
    """By measure: [measure, standing, obeyed, refused, expected_cut (requests a day), benign_accounts_touched] of a campaign's active actions on tokens.

    benign_accounts_touched: by those that their parties carried out.
    """
    done, refused = (
        sa.case((actions.c.answer.in_(words), 1), else_=0)
        for words in (("DONE", "PARTLY_DONE"), ("REFUSED", "DISPUTED", "NOT_OURS"))
    )
    query = (
        sa.select(
            actions.c.measure,
            sa.func.count().label("standing"),
            sa.func.sum(done).label("obeyed"),
            sa.func.sum(refused).label("refused"),
            sa.func.sum(actions.c.expected_cut).label("expected_cut"),
            sa.func.sum(done * actions.c.benign_accounts_touched).label("benign_accounts_touched"),
        )
        .where(actions.c.campaign_id == campaign_id, actions.c.state == "ACTIVE", actions.c.target_token.is_not(None))
        .group_by(actions.c.measure)
        .order_by(actions.c.measure)
    )
    return await _rows(connection, query)


async def answers(connection: AsyncConnection) -> list[dict[str, Any]]:
    """What scorecards count, by party: [party, actions (that it has seen), answered, ending (disputes and refusals), overdue, wait_us: the
    median from an action's opening to the receipt that obeys it, or None]."""
    # Two clocks, enforce's and the broker's: where they disagree, an answer may seem to come before its question.
    took_us = actions.c.answered_at_us - actions.c.opened_at_us
    wait_us = sa.case((took_us > 0, took_us), else_=0).label("wait_us")
    party, seen = actions.c.party, actions.c.revision >= 1
    place = sa.func.row_number().over(partition_by=party, order_by=wait_us).label("place")
    waits = sa.func.count().over(partition_by=party).label("waits")
    obeyed = sa.select(party, wait_us, place, waits).where(seen, actions.c.answer.in_(sorted(OBEYED))).cte("obeyed")
    # The one in the middle, or the two.
    middle = obeyed.c.place.in_([(obeyed.c.waits + 1) // 2, (obeyed.c.waits + 2) // 2])
    median = sa.select(obeyed.c.party, sa.func.avg(obeyed.c.wait_us).label("wait_us")).where(middle)
    medians = median.group_by(obeyed.c.party).cte("medians")
    counts = (
        sa.select(
            party,
            sa.func.count().label("actions"),
            sa.func.count(actions.c.answer).label("answered"),
            sa.func.sum(sa.case((actions.c.answer.in_(_ENDING), 1), else_=0)).label("ending"),
            sa.func.sum(sa.case((actions.c.overdue, 1), else_=0)).label("overdue"),
        )
        .where(seen)
        .group_by(party)
        .cte("counts")
    )
    both = counts.outerjoin(medians, medians.c.party == counts.c.party)
    return await _rows(
        connection, sa.select(counts, sa.cast(medians.c.wait_us, sa.Float).label("wait_us")).select_from(both)
    )


async def on_account(
    connection: AsyncConnection, party: str, account: str, *, published: bool = False
) -> list[dict[str, Any]]:
    """Actions on one account of a party, newest first, as JSON-ready dicts. `published`: as `Filter` has it."""
    return await list_actions(connection, Filter(party=party, account=account, limit=50, published=published))
