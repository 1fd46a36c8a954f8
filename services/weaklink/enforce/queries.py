"""What people ask the ledger: lists of actions, one action with its history and receipts, what waits. Reads only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from weaklink.enforce.rows import action_json, action_of
from weaklink.enforce.tables import action_history, actions, approvals, dead_letters, outbox, receipts
from weaklink.errors import LedgerError


@dataclass(frozen=True, slots=True)
class Filter:
    """Which actions; None does not narrow."""

    states: tuple[str, ...] = ()
    party: str | None = None
    campaign_id: str | None = None
    measure: str | None = None
    limit: int | None = 100
    offset: int = 0
    published: bool = False
    """Only what its party has been sent."""

    def conditions(self) -> list[sa.ColumnElement[bool]]:
        """As SQL."""
        found: list[sa.ColumnElement[bool]] = []
        if self.states:
            found.append(actions.c.state.in_(self.states))
        for column, value in (
            (actions.c.party, self.party),
            (actions.c.campaign_id, self.campaign_id),
            (actions.c.measure, self.measure),
        ):
            if value is not None:
                found.append(column == value)
        if self.published:
            found.append(actions.c.revision >= 1)
        return found


async def list_actions(connection: AsyncConnection, which: Filter) -> list[dict[str, Any]]:
    """Actions, newest first, as JSON-ready dicts, with `waits_because` for those that wait for a person."""
    open_question = sa.and_(approvals.c.action_id == actions.c.action_id, approvals.c.verdict.is_(None))
    query = (
        sa.select(actions, approvals.c.why.label("waits_because"))
        .select_from(actions.outerjoin(approvals, open_question))
        .where(*which.conditions())
        .order_by(actions.c.issued_at_us.desc(), actions.c.action_id)
        .limit(which.limit)
        .offset(which.offset)
    )
    rows = (await connection.execute(query)).mappings()
    return [action_json(action_of(row)) | {"waits_because": row["waits_because"]} for row in rows]


async def count_actions(connection: AsyncConnection, which: Filter) -> int:
    """How many there are of these, limits aside."""
    return await connection.scalar(sa.select(sa.func.count()).select_from(actions).where(*which.conditions())) or 0


async def newest_change(connection: AsyncConnection) -> tuple[int, ...]:
    """Numbers that change with the ledger: whoever has seen them need not look again. Cheap: the last key of the outbox, and what waits."""
    waits = sa.select(sa.func.count(), sa.func.count(approvals.c.verdict)).select_from(approvals)
    last = await connection.scalar(sa.select(sa.func.max(outbox.c.id)))
    return (last or 0, *(await connection.execute(waits)).one())


async def find_ids(connection: AsyncConnection, prefixes: Sequence[str]) -> list[str]:
    """Full ids for ids or unmistakable beginnings of them. Raises LedgerError for none or several."""
    found = []
    for prefix in prefixes:
        query = sa.select(actions.c.action_id).where(actions.c.action_id.startswith(prefix, autoescape=True)).limit(2)
        idents = (await connection.scalars(query)).all() if prefix else []
        if len(idents) != 1:
            what = "several actions begin with" if idents else "no action has the id"
            raise LedgerError(f"{what} {prefix!r}: see `weaklink actions list`")
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


async def answers(connection: AsyncConnection, party: str | None = None) -> list[dict[str, Any]]:
    """What scorecards count: [party, state, answer, opened_at_us, answered_at_us, overdue] of every action that its party has seen."""
    columns = (actions.c.party, actions.c.state, actions.c.answer, actions.c.opened_at_us, actions.c.answered_at_us, actions.c.overdue)  # fmt: skip
    query = sa.select(*columns).where(actions.c.revision >= 1)
    return await _rows(connection, query if party is None else query.where(actions.c.party == party))


async def on_account(connection: AsyncConnection, party: str, account: str) -> list[dict[str, Any]]:
    """Actions on one account of a party, newest first, as JSON-ready dicts."""
    mine = sa.and_(actions.c.party == party, actions.c.target_account == account)
    rows = await connection.execute(sa.select(actions).where(mine).order_by(actions.c.issued_at_us.desc()).limit(50))
    return [action_json(action_of(row)) for row in rows.mappings()]
