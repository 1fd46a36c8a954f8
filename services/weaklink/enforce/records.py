"""Rows that a transaction of the ledger writes: changes with their history, proposals, and what is to be published."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from weaklink.enforce.action import LIVE, Cause, Change
from weaklink.enforce.database import wall_us
from weaklink.enforce.messages import Outgoing
from weaklink.enforce.rows import action_json, action_row, proposal_row
from weaklink.enforce.statements import insert, upsert
from weaklink.enforce.tables import action_history, actions, approvals, outbox, proposals
from weaklink.enforce.view import Proposal

Sourced = tuple[Change, str]
"""A change, and what brought it: a decision, a receipt, a timer, a person."""


async def record_changes(connection: AsyncConnection, sourced: Sequence[Sourced]) -> None:
    """Write changes, in order, and their history.

    History goes first: were the action changed since it was read, its (action_id, change) would be taken, and the database would
    refuse the whole transaction.
    """
    if not sourced:
        return
    changes = [change for change, _ in sourced]
    await connection.execute(sa.insert(action_history), [_history_row(change, source) for change, source in sourced])
    await connection.execute(upsert(connection, actions), [action_row(change.action) for change in changes])
    asked = [_approval_row(change) for change in changes if change.waits_because]
    if asked:
        await connection.execute(sa.insert(approvals), asked)
    for change in changes:
        if _ends_waiting(change):
            await _settle_approval(connection, change)


async def record_proposals(connection: AsyncConnection, changed: Sequence[Proposal]) -> None:
    """Write what campaigns now asks for."""
    if changed:
        await connection.execute(upsert(connection, proposals), [proposal_row(one) for one in changed])


async def record_outgoing(connection: AsyncConnection, messages: Sequence[Outgoing]) -> None:
    """Put messages into the outbox, in order. An effect that is there already is not written again."""
    if not messages:
        return
    now_us = wall_us()
    rows = [
        {
            "once": one.once,
            "topic": one.topic,
            "key": one.key,
            "value": one.value,
            "headers": one.headers,
            "created_wall_us": now_us,
            "claimed_until_wall_us": 0,
        }
        for one in messages
    ]
    await connection.execute(insert(connection, outbox).on_conflict_do_nothing(index_elements=["once"]), rows)


def _ends_waiting(change: Change) -> bool:
    """Whether the action may have waited until now: it was let through, or ended without the party having seen it."""
    return change.cause is Cause.APPROVED or (not change.publish and change.action.state not in LIVE)


async def _settle_approval(connection: AsyncConnection, change: Change) -> None:
    verdicts = {Cause.APPROVED: "APPROVED", Cause.DECLINED: "DECLINED"}
    still_open = sa.and_(approvals.c.action_id == change.action.action_id, approvals.c.verdict.is_(None))
    await connection.execute(
        sa.update(approvals)
        .where(still_open)
        .values(
            verdict=verdicts.get(change.cause, "LAPSED"),
            decided_by=change.actor,
            note=change.note,
            decided_at_us=change.at_us,
        )
    )


def _history_row(change: Change, source: str) -> dict[str, Any]:
    action = change.action
    return {
        "action_id": action.action_id,
        "change": action.change,
        "revision": action.revision,
        "state": action.state.value,
        "cause": change.cause.value,
        "published": change.publish,
        "at_us": change.at_us,
        "recorded_wall_us": wall_us(),
        "source": source,
        "actor": change.actor,
        "note": change.note or change.waits_because,
        "action": action_json(action),
    }


def _approval_row(change: Change) -> dict[str, Any]:
    return {
        "action_id": change.action.action_id,
        "change": change.action.change,
        "asked_at_us": change.at_us,
        "why": change.waits_because,
    }
