"""Enforce's metrics: what was handled is counted as it happens; what stands in the ledger is measured now and then."""

from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from weaklink import metrics
from weaklink.enforce.action import Change, State
from weaklink.enforce.database import Database, wall_us
from weaklink.enforce.policy import Outcome
from weaklink.enforce.receipts import Answered
from weaklink.enforce.tables import actions, outbox

_STAGE = "enforce"


def count_decision(outcome: Outcome | None) -> None:
    """A decision that was handled; None: it was known already."""
    metrics.RECORDS.labels(_STAGE).inc()
    metrics.DECISIONS.labels("repeated" if outcome is None else "applied").inc()
    if outcome is not None:
        count_changes(outcome.changes)


def count_changes(changes: Sequence[Change]) -> None:
    """Changes of actions, whatever brought them."""
    for change in changes:
        metrics.ACTION_CHANGES.labels(change.action.measure, change.cause.value).inc()


def count_receipts(receipts: Sequence[Mapping[str, Any]], answers: Sequence[Answered | None]) -> None:
    """Receipts with what they led to; None: known already."""
    metrics.RECORDS.labels(_STAGE).inc(len(receipts))
    for receipt, answered in zip(receipts, answers, strict=True):
        metrics.RECEIPTS.labels(receipt["party"], answered.outcome if answered else "repeated").inc()
        if answered and answered.change:
            action = answered.change.action
            if action.answered_at_us is not None:
                # A receipt that ends the action makes a revision of its own, which is no one's to answer.
                asked_us = action.issued_at_us if action.state is State.ACTIVE else action.opened_at_us
                delay_us = max(0, action.answered_at_us - asked_us)
                metrics.RECEIPT_SECONDS.labels(receipt["party"]).observe(delay_us / 1e6)
            count_changes([answered.change])


async def measure(database: Database) -> None:
    """Actions by state, and what waits in the outbox. Every worker of a ledger shows the same."""
    by_state = sa.select(actions.c.state, sa.func.count()).group_by(actions.c.state)
    overdue = sa.select(actions.c.party, sa.func.count()).where(
        actions.c.state == State.ACTIVE.value, actions.c.overdue
    )
    waiting = sa.select(sa.func.count(), sa.func.min(outbox.c.created_wall_us)).where(outbox.c.closed_wall_us.is_(None))
    async with database.read() as connection:
        found: dict[str, int] = dict((await connection.execute(by_state)).all())
        late: dict[str, int] = dict((await connection.execute(overdue.group_by(actions.c.party))).all())
        messages, oldest_us = (await connection.execute(waiting)).one()
    for state in State:
        metrics.ACTIONS.labels(state.value).set(found.get(state.value, 0))
    metrics.ACTIONS_OVERDUE.clear()  # parties that answered leave no series behind
    for party, count in late.items():
        metrics.ACTIONS_OVERDUE.labels(party).set(count)
    metrics.OUTBOX_MESSAGES.set(messages)
    metrics.OUTBOX_OLDEST_SECONDS.set(0 if oldest_us is None else max(0, wall_us() - oldest_us) / 1e6)
