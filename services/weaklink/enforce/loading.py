"""What a transaction of the ledger reads before it decides: actions, and the view that policy takes."""

from collections.abc import Iterable, Sequence
from typing import Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from weaklink.enforce.action import Action
from weaklink.enforce.rows import action_of, proposal_of
from weaklink.enforce.tables import actions, proposals
from weaklink.enforce.view import LedgerView

_CHUNK: Final = 500  # parameters of one IN: far below every database's limit


async def load_action(connection: AsyncConnection, ident: str) -> Action | None:
    """One action, or None."""
    found = await load_actions(connection, [ident])
    return found[0] if found else None


async def load_actions(
    connection: AsyncConnection, idents: Sequence[str], also: sa.ColumnElement[bool] | None = None
) -> list[Action]:
    """Actions by id that meet a condition."""
    where = actions.c.action_id.in_(idents)
    rows = await connection.execute(sa.select(actions).where(where if also is None else sa.and_(where, also)))
    return [action_of(row) for row in rows.mappings()]


async def load_view(
    connection: AsyncConnection, campaign_id: str, target_keys: Iterable[str], since_us: int
) -> LedgerView:
    """What policy needs to know for decisions of a campaign on these targets."""
    view = LedgerView()
    keys = sorted(target_keys)
    for at in range(0, len(keys), _CHUNK):
        some = keys[at : at + _CHUNK]
        rows = await connection.execute(sa.select(actions).where(actions.c.target_key.in_(some)))
        view.add(actions=[action_of(row) for row in rows.mappings()])
        rows = await connection.execute(sa.select(proposals).where(proposals.c.target_key.in_(some)))
        view.add(proposals=[proposal_of(row) for row in rows.mappings()])
    lately = sa.select(actions.c.measure, actions.c.opened_at_us).where(
        actions.c.campaign_id == campaign_id, actions.c.opened_at_us > since_us
    )
    for measure, opened_at_us in await connection.execute(lately.order_by(actions.c.opened_at_us)):
        view.opened_us[campaign_id, measure].append(opened_at_us)
    return view
