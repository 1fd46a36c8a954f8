"""The ledger: decisions, receipts, people's verdicts and timers, each in one transaction with the actions and outbox rows that follow.

Doing a thing twice is impossible: a decision is known by the hash of its bytes, a receipt by its party and event id, a change of an
action by (action_id, change), an effect by `outbox.once`. What was cut short by a kill left nothing, and is done again as a whole.
"""

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from weaklink.enforce import receipts as lifecycle
from weaklink.enforce.action import HOUR_US, Action, Change, State, Target, micros
from weaklink.enforce.clock import Clock
from weaklink.enforce.config import EnforceConfig
from weaklink.enforce.database import Database, wall_us
from weaklink.enforce.loading import load_action, load_actions, load_view
from weaklink.enforce.messages import Outgoing, change_messages, feedback_message, reject_message
from weaklink.enforce.policy import Outcome, apply_policy, unsupported
from weaklink.enforce.records import Sourced, record_changes, record_outgoing, record_proposals
from weaklink.enforce.statements import insert
from weaklink.enforce.tables import UNANSWERED, actions, dead_letters, decisions, receipts
from weaklink.errors import LedgerError

_TIMER_ROWS: Final = 500

Verdict = Callable[..., Change]
ReceiptKey = tuple[str, bytes]  # party, event id


class Ledger:
    """Writes of the ledger. Every method is one transaction, and may be called from several processes at once."""

    def __init__(self, database: Database, config: EnforceConfig, clock: Clock) -> None:
        self._database = database
        self._config = config
        self._clock = clock

    async def handle_decision(
        self, decision: Mapping[str, Any], value: bytes, unregistered: Collection[str] = ()
    ) -> Outcome | None:
        """Apply a `Decision` (decoded) whose bytes are `value`. None: it was handled before. `unregistered`: see `policy.apply_policy`."""
        campaign_id, decided_at_us = decision["campaign_id"], micros(decision["decided_at"])
        decision_id = hashlib.sha256(value).hexdigest()[:32]
        async with self._database.write(campaign_id) as connection:
            known = sa.select(decisions.c.decision_id).where(decisions.c.decision_id == decision_id)
            if await connection.scalar(known):
                return None
            now_us = await self._clock.decided(connection, decided_at_us)
            targets = {Target.of(one).key for one in decision["measures"]}
            view = await load_view(connection, campaign_id, targets, now_us - HOUR_US)
            outcome = apply_policy(
                decision["measures"],
                view,
                now_us,
                self._config,
                campaign_id=campaign_id,
                decided_at_us=decided_at_us,
                evidence_at_us=micros(decision["evidence_at"]),
                unregistered=unregistered,
            )
            await connection.execute(
                sa.insert(decisions).values(
                    decision_id=decision_id,
                    campaign_id=campaign_id,
                    decided_at_us=decided_at_us,
                    evidence_at_us=micros(decision["evidence_at"]),
                    measures=len(decision["measures"]),
                    changes=len(outcome.changes),
                    refused=[_refusal(verdict, proposed) for verdict, proposed in outcome.refused],
                    handled_wall_us=wall_us(),
                )
            )
            await record_proposals(connection, outcome.proposals)
            await self._record(connection, [(change, f"decision {decision_id}") for change in outcome.changes])
            return outcome

    async def handle_receipts(self, batch: Sequence[Mapping[str, Any]]) -> list[lifecycle.Answered | None]:
        """Apply Receipts (decoded) in their order, in one transaction. None for each that was handled before.

        Most of a receipt's cost is its transaction's, and each action brings two of them.
        """
        idents = sorted({receipt["action_id"] for receipt in batch})
        known = sa.select(actions.c.action_id, actions.c.campaign_id).where(actions.c.action_id.in_(idents))
        async with self._database.write() as connection:
            campaigns: dict[str, str] = dict((await connection.execute(known)).all())
            locks = {campaigns.get(one["action_id"], f"receipts of {one['party']}") for one in batch}
            await self._database.lock(connection, *locks)
            first = await self._first_times(connection, batch)
            now_us = await self._clock.occurred(connection, max(micros(one["occurred_at"]) for one in batch))
            standing = {action.action_id: action for action in await load_actions(connection, idents)}
            answers: list[lifecycle.Answered | None] = []
            changes: list[Sourced] = []
            told: list[Outgoing] = []
            for receipt in batch:
                if _receipt_key(receipt) not in first:
                    answers.append(None)
                    continue
                first.discard(_receipt_key(receipt))  # the same receipt may stand in one batch twice
                action = standing.get(receipt["action_id"])
                answered = lifecycle.answer(receipt, action, now_us, self._config)
                answers.append(answered)
                source = f"receipt {receipt['party']}/{receipt['event_id'].hex()}"
                if answered.change:
                    standing[receipt["action_id"]] = answered.change.action
                    changes.append((answered.change, source))
                if answered.outcome not in (lifecycle.APPLIED, lifecycle.LATE):
                    told.append(reject_message(receipt, answered))
                elif action is not None and answered.verdict is not None:
                    note = lifecycle.note_of(receipt)
                    told.append(feedback_message(action, answered.verdict, now_us, note, f"feedback/{source}"))
            await self._note_outcomes(connection, batch, answers)
            await self._record(connection, changes)
            await record_outgoing(connection, told)
        return answers

    async def run_timers(self) -> list[Change]:
        """Expire what has run out and note overdue receipts. Gives the changes."""
        async with self._database.read() as connection:
            now_us = await self._clock.now(connection)
            due = sa.select(actions.c.campaign_id, actions.c.action_id).where(_due(now_us)).limit(_TIMER_ROWS)
            rows = (await connection.execute(due)).all()
        campaigns: dict[str, list[str]] = {}
        for campaign_id, ident in rows:
            campaigns.setdefault(campaign_id, []).append(ident)
        done: list[Change] = []
        for campaign_id, idents in campaigns.items():
            async with self._database.write(campaign_id) as connection:
                # Read again under the lock: a receipt or a renewal may have come between.
                current = await load_actions(connection, idents, _due(now_us))
                changes = [
                    lifecycle.expired(one, now_us) if one.expires_at_us <= now_us else lifecycle.overdue(one, now_us)
                    for one in current
                ]
                await self._record(connection, [(change, "timer") for change in changes])
            done += changes
        return done

    async def decide(self, ident: str, verdict: Verdict, *, by: str, note: str | None) -> Action:
        """A person's verdict on an action: `receipts.approved`, `declined` or `taken_back`. Raises LedgerError when it does not fit."""
        async with self._database.write() as connection:
            campaign_id = await connection.scalar(sa.select(actions.c.campaign_id).where(actions.c.action_id == ident))
            if campaign_id is None:
                raise LedgerError(f"no action {ident!r} in the ledger: see `weaklink actions list`")
            await self._database.lock(connection, campaign_id)
            action = await load_action(connection, ident)
            assert action is not None
            now_us = await self._clock.now(connection)
            change = verdict(action, now_us, self._config, by=by, note=note)
            view = await load_view(connection, campaign_id, {action.target.key}, now_us)
            view.take([change])
            changes = [change, *unsupported(view, campaign_id, action.target.key, now_us)]
            await self._record(connection, [(change, "person") for change in changes])
            return change.action

    async def dead_letter(
        self, *, topic: str, partition: int, offset: int, key: bytes | None, value: bytes | None, error: str
    ) -> None:
        """Keep a message that cannot be handled, with its bytes, so that a person can see it and nothing is lost unseen."""
        async with self._database.write() as connection:
            row = insert(connection, dead_letters).values(
                topic=topic,
                partition=partition,
                offset=offset,
                key=key,
                value=value,
                error=error,
                recorded_wall_us=wall_us(),
            )
            await connection.execute(row.on_conflict_do_nothing())

    async def _first_times(self, connection: AsyncConnection, batch: Sequence[Mapping[str, Any]]) -> set[ReceiptKey]:
        """Write down the receipts that are not there yet; which those are."""
        rows = [
            {name: receipt[name] for name in _RECEIPT_FIELDS}
            | {
                "occurred_at_us": micros(receipt["occurred_at"]),
                "appended_at_us": micros(receipt["appended_at"]),
                "outcome": "",
                "handled_wall_us": wall_us(),
            }
            for receipt in batch
        ]
        # Rows beside the statement: with them in it, it would be compiled anew for every number of rows.
        new = insert(connection, receipts).on_conflict_do_nothing()
        done = await connection.execute(new.returning(receipts.c.party, receipts.c.event_id), rows)
        return {(party, bytes(event_id)) for party, event_id in done}

    async def _note_outcomes(
        self,
        connection: AsyncConnection,
        batch: Sequence[Mapping[str, Any]],
        answers: Sequence[lifecycle.Answered | None],
    ) -> None:
        rows = [
            {"of_party": receipt["party"], "of_event": receipt["event_id"], "found": answered.outcome}
            for receipt, answered in zip(batch, answers, strict=True)
            if answered
        ]
        mine = sa.and_(receipts.c.party == sa.bindparam("of_party"), receipts.c.event_id == sa.bindparam("of_event"))
        if rows:
            await connection.execute(sa.update(receipts).where(mine).values(outcome=sa.bindparam("found")), rows)

    async def _record(self, connection: AsyncConnection, changes: Sequence[Sourced]) -> None:
        messages: list[Outgoing] = []
        for change, _ in changes:
            messages += change_messages(change, self._config.tlp)
        await record_changes(connection, changes)
        await record_outgoing(connection, messages)


def _receipt_key(receipt: Mapping[str, Any]) -> ReceiptKey:
    return receipt["party"], receipt["event_id"]


_RECEIPT_FIELDS: Final = (
    "party",
    "event_id",
    "action_id",
    "revision",
    "status",
    "reason",
    "note",
    "source_partition",
    "source_offset",
)


def _due(now_us: int) -> sa.ColumnElement[bool]:
    expired = sa.and_(actions.c.state.in_([State.ACTIVE, State.WAITING]), actions.c.expires_at_us <= now_us)
    return sa.or_(expired, sa.and_(UNANSWERED, actions.c.respond_by_us <= now_us))


def _refusal(verdict: str, proposed: Mapping[str, Any]) -> dict[str, Any]:
    target = Target.of(proposed)
    return {"verdict": verdict, "measure": proposed["measure"], "party": target.party, "target": target.name}
