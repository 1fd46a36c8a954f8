"""The second half of a run: what correlate says at each tick through campaigns' engine and enforce's policy. A tick sees nothing after its end."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import polars as pl

from weaklink.backtest.actions import MemoryLedger
from weaklink.backtest.findings import Findings, Run, findings
from weaklink.backtest.history import Step
from weaklink.benign import BenignRecord
from weaklink.campaigns import calibration
from weaklink.campaigns.engine import Engine, Update
from weaklink.campaigns.identity import MERGED
from weaklink.campaigns.outcome import Evaluation
from weaklink.campaigns.standing import Thresholds
from weaklink.parties import PartyKind
from weaklink.settings import Settings

_UTC: Final = pl.Datetime("us", "UTC")
_ACCOUNTS_COLUMNS: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "party": pl.String,
    "account": pl.String,
    "score": pl.Float64,
    "campaign_id": pl.String,
    "flagged_at": _UTC,
}
ACCOUNTS: Final = pl.Schema(_ACCOUNTS_COLUMNS)
"""Every account of the input. `flagged_at`: end of the tick at which it first joined a campaign, kept if it was released later."""
_CAMPAIGNS_COLUMNS: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "campaign_id": pl.String,
    "detected_at": _UTC,
    "accounts": pl.Int64,
    "requests": pl.Int64,
    "output_tokens": pl.Int64,
    "taken_requests": pl.Int64,
    "taken_requests_low": pl.Int64,
    "taken_requests_high": pl.Int64,
    "traits": pl.List(pl.String),
    "state": pl.String,
    "volume_cut_share": pl.Float64,
    "gap": pl.Float64,
}
CAMPAIGNS: Final = pl.Schema(_CAMPAIGNS_COLUMNS)
"""Every campaign that was not merged into another, as it last stood while it had members.

taken_*: as it was last told (`taken.Taken`). gap: the largest of its plans; null: it had none."""
_TAKEN: Final = ("requests", "requests_low", "requests_high")


@dataclass
class _Seen:
    detected_at_us: int
    facts: Mapping[str, Any]
    accounts: int
    volume_cut_share: float
    gap: float | None


class Replay:
    """State of a run. `step` takes the ticks in order; the frames may be taken after any of them."""

    def __init__(
        self, settings: Settings, parties: Mapping[str, PartyKind], benign: Sequence[BenignRecord] = ()
    ) -> None:
        self._parties = parties
        self._engine = Engine(settings.campaigns, settings.weaklinks, Thresholds.of(settings.enforce))
        self._engine.state.fold_benign(benign)
        self._campaigns: dict[str, _Seen] = {}
        self._flagged: dict[int, int] = {}  # account to when it was flagged first
        self._members: pl.DataFrame | None = None
        self._now_us = 0
        self._last: Evaluation | None = None
        self.ledger = MemoryLedger(settings.enforce)

    def step(self, tick: Step) -> None:
        """Fold what the tick brings, then evaluate as of its end."""
        state = self._engine.state
        if tick.shared.height:
            state.fold_shared(tick.shared)
        state.fold_activity(tick.activity)
        self._now_us = tick.end_us
        self._decide()
        self._note_flagged()

    def _note_flagged(self) -> None:
        members = self._engine.tracker.members
        if members is not self._members:
            self._members = members
            flagged = members.filter("flagged")["account"].to_list()
            self._flagged |= {account: self._now_us for account in flagged if account not in self._flagged}

    def finish(self) -> None:
        """Plan what still waits for its turn, as of the last tick."""
        while self._engine.waiting:
            self._decide()

    def _decide(self) -> None:
        for update in self._engine.tick(self._now_us, self._parties):
            self._note(update)
            campaign = update.campaign
            self.ledger.decide(campaign.campaign_id, update.changes, self._now_us, campaign.evidence_at_us)

    def _note(self, update: Update) -> None:
        campaign = update.campaign
        if update.members.height:
            before = self._campaigns.get(campaign.campaign_id)
            gap = before.gap if before else None
            if campaign.solver:  # it has a plan
                gap = max(gap or 0.0, campaign.gap)
            self._campaigns[campaign.campaign_id] = _Seen(
                campaign.detected_at_us,
                campaign.facts,
                update.members.filter("flagged").height,
                campaign.volume_cut_share,
                gap,
            )

    def findings(self, activity: pl.DataFrame, settings: Settings) -> Findings:
        """Weak links, scorecards and replays, as of the last tick. activity: frames.ACTIVITY of the whole history."""
        state = self._engine.state
        run = Run(
            members=self._engine.tracker.members,
            activity=activity,
            links=state.links.rows(),
            profiles=state.profiles,
            customers=state.customers,
            measures=self.ledger.measures(),
            evaluation=self._evaluation(),
            parties=self._parties,
        )
        return findings(run, settings.campaigns, settings.weaklinks)

    def _evaluation(self) -> Evaluation:
        """As of the last tick, made once."""
        if self._last is None or self._last.now_us != self._now_us:
            self._last = self._engine.state.evaluate(self._now_us)
        return self._last

    def accounts(self, every: pl.DataFrame) -> pl.DataFrame:
        """ACCOUNTS as of the last tick. every: [account UInt64, party, account_name].

        The score is the probability that the account is an operator's (`campaigns.calibration`).
        An account that was idle for so long that its profile is forgotten has the score that it had as a member, or else 0.
        """
        evaluated = self._evaluation().accounts.select("account", "score")
        members = self._engine.tracker.members.filter("flagged").select(
            "account", "campaign_id", pl.col("score").alias("member_score")
        )
        flagged = pl.DataFrame(
            {"account": list(self._flagged), "flagged_at_us": list(self._flagged.values())},
            schema={"account": pl.UInt64, "flagged_at_us": pl.Int64},
        )
        found = (
            every.join(evaluated, on="account", how="left")
            .join(members, on="account", how="left")
            .join(flagged, on="account", how="left")
            .with_columns(pl.coalesce("score", "member_score", pl.lit(0.0)).alias("score"))
        )
        return (
            found.with_columns(calibration.probability(found["score"], found["campaign_id"].is_not_null()))
            .select(
                "party",
                pl.col("account_name").alias("account"),
                "score",
                "campaign_id",
                pl.from_epoch("flagged_at_us", time_unit="us").dt.replace_time_zone("UTC").alias("flagged_at"),
            )
            .sort("party", "account")
            .cast(ACCOUNTS)
        )

    def campaigns(self) -> pl.DataFrame:
        """CAMPAIGNS as of the last tick."""
        rows = []
        for campaign_id, seen in self._campaigns.items():
            campaign = self._engine.tracker.campaigns.get(campaign_id)
            if campaign is not None and campaign.state == MERGED:
                continue
            rows.append(
                {
                    "campaign_id": campaign_id,
                    "detected_at": seen.detected_at_us,
                    "accounts": seen.accounts,
                    "requests": seen.facts["requests"],
                    "output_tokens": seen.facts["output_tokens"],
                    **{f"taken_{name}": seen.facts["taken"][name] for name in _TAKEN},
                    "traits": list(seen.facts["traits"]),
                    "state": campaign.state if campaign else "DISSOLVED",
                    "volume_cut_share": seen.volume_cut_share,
                    "gap": seen.gap,
                }
            )
        schema = dict(CAMPAIGNS) | {"detected_at": pl.Int64}
        found = pl.DataFrame(rows, schema=schema)
        at = pl.from_epoch("detected_at", time_unit="us").dt.replace_time_zone("UTC")
        return found.with_columns(at).sort("detected_at", "campaign_id").cast(CAMPAIGNS)
