"""A world and its parties in a closed loop with the engine and the policy, without Kafka: what the plans really cut, replacements included."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, cast

import polars as pl

from weaklink.backtest.feed import Feed, Tick
from weaklink.backtest.table import COLUMNS, DEFAULTS
from weaklink.campaigns.engine import Engine, Update
from weaklink.correlate.runs import LinkRuns
from weaklink.enforce.action import Action, Change
from weaklink.enforce.policy import apply_policy
from weaklink.enforce.receipts import answer
from weaklink.enforce.view import LedgerView
from weaklink.partner.client import WeaklinkClient
from weaklink.partner.models import EnforcementAction
from weaklink.partner.symbols import ActionState, Measure, ReceiptStatus
from weaklink.partner.tokens import LocalTokeniser
from weaklink.settings import Settings
from weaklink.sim.parties import Ground, SimulatedParty
from weaklink.sim.publishing import TokenTable
from weaklink.sim.restrictions import Restrictions
from weaklink.sim.spec import HOUR_US
from weaklink.sim.tables import backtest_frame
from weaklink.sim.worlds import World

Allow = Callable[[Action], bool]
_NEED_AN_ACCOUNT = ("ApiUsage", "PaymentAttempt", "AddressLease")


@dataclass
class Receipts:
    """The only part of a partner's client that a simulated party calls here."""

    answers: list[tuple[str, int, str]] = field(default_factory=list)

    def receipt(
        self, action_id: str, revision: int, status: ReceiptStatus, reason: str | None = None, note: str | None = None
    ) -> None:
        self.answers.append((action_id, revision, status.value))


@dataclass
class Made:
    """usage: [hour Int64, operator Int32 (null: honest), account Int32, requests Int64], what was really asked for."""

    usage: list[pl.DataFrame] = field(default_factory=list)
    issued: list[Action] = field(default_factory=list)
    updates: list[tuple[int, Update]] = field(default_factory=list)

    def requests(self) -> pl.DataFrame:
        return pl.concat(self.usage)


class OfflineLoop:
    """`run` takes the world to its end (or `days`) in ticks of an hour. `allow`: which actions the parties carry out."""

    def __init__(self, world: World, settings: Settings | None = None, allow: Allow = lambda _: True) -> None:
        self.world, self.settings, self._allow = world, settings or Settings(), allow
        self._kinds = {party.id: party.kind for party in world.spec.parties}
        self.engine = Engine(self.settings.campaigns, self.settings.weaklinks)
        self._runs = LinkRuns(self.settings.correlate)
        self.view = LedgerView()
        tokens = TokenTable(world.vocabulary, LocalTokeniser.throwaway())
        self.ground = Ground(world.accounts, tokens)
        self._clients = [Receipts() for _ in world.spec.parties]
        self._parties = [
            SimulatedParty(i, spec, cast("WeaklinkClient", client), world.seed)
            for i, (spec, client) in enumerate(zip(world.spec.parties, self._clients, strict=True))
        ]
        self.made = Made()

    @property
    def taken(self) -> Restrictions:
        return self.ground.taken

    def run(self, days: float | None = None) -> Made:
        spec, benign = self.world.spec, self.world.benign
        history = benign.filter(pl.col("occurred_at_us") < spec.start_us)
        self._tick(self._tokenised(history), spec.start_us)
        end_us = spec.end_us if days is None else spec.start_us + int(days * 24 * HOUR_US)
        for start, end in self.world.steps():
            if start >= end_us:
                break
            moves = [operator.step(start, end, self.taken) for operator in self.world.operators]
            step = pl.concat([benign.filter(pl.col("occurred_at_us").is_between(start, end, closed="left")), *moves])
            step = step.with_columns(due=pl.max_horizontal("occurred_at_us", pl.lit(start)))
            for now in range(start, end, HOUR_US):
                for party in self._parties:
                    party.act(now, self.ground)
                self._hear(now)
                part = self._enforced(step.filter(pl.col("due").is_between(now, now + HOUR_US, closed="left")))
                self._count(part, now)
                self._tick(self._tokenised(part.drop("due")), now + HOUR_US)
        return self.made

    def _enforced(self, events: pl.DataFrame) -> pl.DataFrame:
        dead = pl.col("account").is_in(list(self.taken.dead))
        return events.filter(~(dead & pl.col("record").cast(pl.String).is_in(_NEED_AN_ACCOUNT)))

    def _count(self, events: pl.DataFrame, now: int) -> None:
        operators = pl.Series(self.world.accounts.operator, dtype=pl.Int32)
        usage = events.filter(pl.col("record") == "ApiUsage").select("account", "requests", "end_user")
        rows = usage.with_columns(operator=operators.gather(usage["account"]).replace(-1, None))
        hour = (now - self.world.spec.start_us) // HOUR_US
        self.made.usage.append(
            rows.group_by("operator", "account").agg(pl.col("requests").sum()).with_columns(hour=pl.lit(hour))
        )

    def _tokenised(self, events: pl.DataFrame) -> pl.DataFrame:
        table = backtest_frame(
            events.with_row_index("n").drop("n"), self.world.spec, self.world.accounts, self.world.vocabulary
        )
        numbers = events.sort("occurred_at_us", maintain_order=True)
        known = set(numbers["identifiers"].explode().drop_nulls().to_list()) | set(numbers["end_user"].drop_nulls())
        made = {number: self.ground.tokens.tokens(number) for number in sorted(known)}
        lists = [
            list(dict.fromkeys(token for number in row for token in made[number]))
            for row in (one or [] for one in numbers["identifiers"].to_list())
        ]
        users = [made[number][-1] if number is not None else None for number in numbers["end_user"].to_list()]
        plain = [name for name in COLUMNS if name not in ("identifiers", "end_user")]
        return table.select(
            *(pl.col(name).fill_null(DEFAULTS[name]) if name in DEFAULTS else pl.col(name) for name in plain)
        ).with_columns(
            pl.Series("identifiers", lists, dtype=pl.List(pl.Binary)), pl.Series("end_user", users, dtype=pl.Binary)
        )

    def _tick(self, events: pl.DataFrame, now_us: int) -> None:
        state = self.engine.state
        for tick in self._folded(events):
            if tick.links.height:
                state.fold_shared(self._runs.add(tick.links))
            state.fold_activity(tick.activity)
        self._runs.expire(now_us)
        for update in self.engine.tick(now_us, self._kinds):
            self.made.updates.append((now_us, update))
            self._decide(update, now_us)

    def _folded(self, events: pl.DataFrame) -> Iterator[Tick]:
        return iter(Feed(events, HOUR_US, self.settings.ingest)) if events.height else iter(())

    def _decide(self, update: Update, now_us: int) -> None:
        campaign = update.campaign
        outcome = apply_policy(
            update.changes, self.view, now_us, self.settings.enforce, campaign_id=campaign.campaign_id,
            decided_at_us=now_us, evidence_at_us=campaign.evidence_at_us,
        )  # fmt: skip
        self.view.take(outcome.changes, outcome.proposals)
        for change in outcome.changes:
            self._publish(change)

    def _publish(self, change: Change) -> None:
        action = change.action
        if not change.publish or not self._allow(action):
            return
        if action.state.value == "ACTIVE":
            self.made.issued.append(action)
        index = [party.id for party in self.world.spec.parties].index(action.target.party)
        sent = SimpleNamespace(
            action_id=action.action_id, revision=action.revision, state=ActionState(action.state.value),
            measure=Measure(action.measure), target_account=action.target.account, target_token=action.target.token,
            slice_model=action.target.slice_model, slice_end_user=action.target.slice_end_user,
        )  # fmt: skip
        self._parties[index].inbox.put(cast("EnforcementAction", sent))

    def _hear(self, now_us: int) -> None:
        """Receipts to the ledger, and what they mean to campaigns."""
        feedback: list[dict[str, Any]] = []
        for spec, client in zip(self.world.spec.parties, self._clients, strict=True):
            for action_id, revision, status in client.answers:
                action = self.view.actions.get(action_id)
                receipt = {
                    "action_id": action_id, "revision": revision, "status": status, "party": spec.id,
                    "appended_at": now_us, "reason": None, "note": None,
                }  # fmt: skip
                answered = answer(receipt, action, now_us, self.settings.enforce)
                if answered.change:
                    self.view.take([answered.change])
                    self._publish(answered.change)
                if answered.verdict and action:
                    feedback.append(
                        {
                            "party": spec.id, "measure": action.measure, "target_account": action.target.account,
                            "target_token": action.target.token, "verdict": answered.verdict, "recorded_at": now_us,
                        }
                    )  # fmt: skip
            client.answers.clear()
        if feedback:
            self.engine.state.fold_feedback(feedback)
