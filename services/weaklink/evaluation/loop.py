"""The closed loop: parties carry out what is issued, operators buy new accounts, and what they still get is counted.

The backtest says what Weaklink would have said of a history. Only a world that answers back can say what that is worth: an operator
whose accounts are taken replaces them, and the volume that matters is what it makes in spite of everything.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final

import polars as pl

from weaklink.backtest.feed import Feed
from weaklink.backtest.table import DEFAULTS
from weaklink.campaigns.engine import Engine, Update
from weaklink.campaigns.standing import Thresholds
from weaklink.correlate.runs import LinkRuns
from weaklink.enforce.action import Action, Change
from weaklink.enforce.messages import action_message, feedback_values
from weaklink.enforce.policy import apply_policy
from weaklink.enforce.receipts import answer
from weaklink.enforce.view import LedgerView
from weaklink.evaluation.figures import Figures, mean, share
from weaklink.evaluation.judged import ACCOUNT
from weaklink.evaluation.spec import RunSpec
from weaklink.parties import PartyKind
from weaklink.partner.models import EnforcementAction
from weaklink.partner.symbols import ActionState, Measure
from weaklink.records.codec import decode
from weaklink.settings import Settings
from weaklink.sim.offline import LoopOutcome, Seen, closed_loop
from weaklink.sim.presets import preset
from weaklink.sim.spec import WorldSpec

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TOLD: Final = pl.Schema(
    [
        ("party", pl.String()),
        ("account", pl.String()),
        ("occurred_at", pl.Datetime("us", "UTC")),
        ("requests", pl.Int64()),
    ]
)


class Decider:
    """Weaklink in one process, for `closed_loop`: what is told goes through the stages' own functions, receipts included."""

    def __init__(self, world: WorldSpec, settings: Settings) -> None:
        self._settings = settings
        self._parties: dict[str, PartyKind] = {party.id: party.kind for party in world.parties}
        self._engine = Engine(settings.campaigns, settings.weaklinks, Thresholds.of(settings.enforce))
        self._runs = LinkRuns(settings.correlate)
        self._view = LedgerView()
        self._usage: list[pl.DataFrame] = []
        self.issued: list[Action] = []

    def __call__(self, seen: Seen) -> list[EnforcementAction]:
        """Fold a tick, evaluate as of its end, and return what is issued or withdrawn."""
        changes = self._heard(seen)
        self._fold(seen)
        for update in self._engine.tick(seen.end_us, self._parties):
            changes += self._decided(update, seen.end_us)
        published = [change.action for change in changes if change.publish]
        self.issued += [action for action in published if action.state.value == ActionState.ACTIVE.value]
        return [_told(action, self._settings.enforce.tlp) for action in published]

    def actions(self) -> list[Action]:
        """Every action as it stands, with what its party answered."""
        return list(self._view.actions.values())

    def usage(self) -> pl.DataFrame:
        """[party, account, occurred_at, requests] of everything that was told."""
        return pl.concat(self._usage) if self._usage else pl.DataFrame(schema=_TOLD)

    def _fold(self, seen: Seen) -> None:
        present = [name for name in DEFAULTS if name in seen.events.columns]
        events = seen.events.with_columns(pl.col(name).fill_null(DEFAULTS[name]) for name in present)
        state = self._engine.state
        if events.height:
            used = events.filter(pl.col("event_type") == "ApiUsage")
            self._usage.append(used.select(*ACCOUNT, "occurred_at", pl.col("requests").cast(pl.Int64)))
            for tick in Feed(events, 3_600_000_000, self._settings.ingest):
                if tick.links.height:
                    state.fold_shared(self._runs.add(tick.links))
                state.fold_activity(tick.activity)
        self._runs.expire(seen.end_us)

    def _decided(self, update: Update, now_us: int) -> list[Change]:
        outcome = apply_policy(
            update.changes,
            self._view,
            now_us,
            self._settings.enforce,
            campaign_id=update.campaign.campaign_id,
            decided_at_us=now_us,
            evidence_at_us=update.campaign.evidence_at_us,
        )
        self._view.take(outcome.changes, outcome.proposals)
        return list(outcome.changes)

    def _heard(self, seen: Seen) -> list[Change]:
        """Receipts to the ledger, and what they mean to campaigns."""
        changes, feedback = [], []
        for heard in seen.answers:
            action = self._view.actions.get(heard.action_id)
            receipt = {
                "action_id": heard.action_id,
                "revision": heard.revision,
                "status": heard.status.value,
                "party": heard.party,
                "appended_at": seen.end_us,
                "reason": None,
                "note": heard.note,
            }
            answered = answer(receipt, action, seen.end_us, self._settings.enforce)
            if answered.change:
                self._view.take([answered.change])
                changes.append(answered.change)
            if answered.verdict and action:
                feedback.append(feedback_values(action, answered.verdict, seen.end_us, heard.note))
        if feedback:
            self._engine.state.fold_feedback(feedback)
        return changes


def looped(spec: RunSpec, free: pl.DataFrame, settings: Settings) -> tuple[Figures, dict[str, list[float]]]:
    """Run the world of `spec` under enforcement. free: USAGE of the same world without (`judged.usage_of`).

    loop_prevented: of all campaign requests, replacements included, the share that was not made. loop_cut_after_measure: the same
    from the first plan against each operator on (`first_issue`), averaged. loop_honest_lost: share of honest requests that enforcement cost.
    loop_honest_suspended: honest accounts that a party took away. loop_measures_per_account: actions by campaign accounts.
    The curve has requests of campaigns by day, `without` and `with` enforcement.
    """
    world = preset(spec.world, spec.size, spec.family)
    decider = Decider(world, settings)
    # Operators look around once a step, and no tick may see beyond it.
    tick_seconds = math.gcd(spec.tick_seconds, int(world.step_hours * 3600))
    outcome = closed_loop(world, spec.seed, decider, tick_seconds)
    made = decider.usage().join(
        outcome.truth.select(*ACCOUNT, pl.col("campaign").alias("operator")).drop_nulls(), on=ACCOUNT
    )
    figures = loop_figures(outcome, first_issue(decider.issued, outcome.truth), free, made)
    members = outcome.truth["campaign"].count()
    figures["loop_measures_per_account"] = share(len({action.action_id for action in decider.issued}), members)
    start = world.start
    return figures, {"without": _daily(free.drop_nulls("operator"), start), "with": _daily(made, start)}


def loop_figures(outcome: LoopOutcome, first: dict[str, datetime], free: pl.DataFrame, made: pl.DataFrame) -> Figures:
    """Figures of a loop. first: operator -> when the first plan against it was issued. free, made: [operator, occurred_at, requests]."""
    cuts = []
    for operator, at in first.items():
        later = [
            int(usage.filter(pl.col("occurred_at") > at, operator=operator)["requests"].sum()) for usage in (free, made)
        ]
        cuts.append(None if not later[0] else 1 - later[1] / later[0])
    honest = outcome.honest_requests + outcome.honest_requests_lost
    return {
        "loop_prevented": outcome.prevented_share if sum(outcome.free.values()) else None,
        "loop_cut_after_measure": mean(pl.Series(cuts, dtype=pl.Float64)),
        "loop_honest_lost": share(outcome.honest_requests_lost, honest),
        "loop_honest_suspended": len(outcome.toll.suspended),
    }


def first_issue(issued: Iterable[Action], truth: pl.DataFrame) -> dict[str, datetime]:
    """Operator -> when its first plan was issued. truth: [party, account, campaign].

    A campaign is the operator's whose accounts most of its measures are on: one account that got into another's campaign, or that
    another's measure met, is no plan against its operator. OBSERVE is no measure.
    """
    of = {(party, name): operator for party, name, operator in truth.select(*ACCOUNT, "campaign").iter_rows()}
    asked: dict[str, Counter[str]] = defaultdict(Counter)
    began: dict[str, int] = {}
    for action in issued:
        if action.measure == Measure.OBSERVE.value:
            continue
        campaign = action.campaign_id
        began[campaign] = min(action.opened_at_us, began.get(campaign, action.opened_at_us))
        operator = of.get((action.target.party, action.target.account or ""))
        if operator is not None:
            asked[campaign][operator] += 1
    first: dict[str, datetime] = {}
    for campaign, counts in asked.items():
        operator = max(counts, key=lambda one: (counts[one], one))
        at = _EPOCH + timedelta(microseconds=began[campaign])
        first[operator] = min(at, first.get(operator, at))
    return first


def _daily(usage: pl.DataFrame, start: datetime) -> list[float]:
    """Requests by day since `start`."""
    days = usage.with_columns((pl.col("occurred_at") - start).dt.total_days().alias("day"))
    totals = dict(days.filter(pl.col("day") >= 0).group_by("day").agg(pl.col("requests").sum()).iter_rows())
    return [float(totals.get(day, 0)) for day in range(max(totals, default=-1) + 1)]


def _told(action: Action, tlp: str) -> EnforcementAction:
    """As its party reads it."""
    return EnforcementAction.model_validate(decode(action_message(action, tlp).value)[1])
