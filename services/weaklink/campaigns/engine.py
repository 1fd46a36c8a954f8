"""The whole of campaigns without Kafka: fold, evaluate, track, plan, and say what changed. The stage and the backtest run this."""

from collections.abc import Collection, Mapping
from typing import Final

import polars as pl

from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.evaluator import Evaluator
from weaklink.campaigns.identity import Clocks
from weaklink.campaigns.planner import Observer, Planner
from weaklink.campaigns.profiles import US_PER_HOUR
from weaklink.campaigns.standing import DEFAULT_THRESHOLDS, Thresholds
from weaklink.campaigns.state import CampaignsState
from weaklink.campaigns.track import Tracker
from weaklink.campaigns.updates import Update
from weaklink.parties import PartyKind
from weaklink.weaklinks.config import WeakLinksConfig

__all__ = ["Engine", "Update"]


class Engine:
    """State, tracker and plans. `tick` evaluates what was folded and returns the campaigns that changed, each once."""

    def __init__(
        self, config: CampaignsConfig, weaklinks: WeakLinksConfig, thresholds: Thresholds = DEFAULT_THRESHOLDS
    ) -> None:
        """`thresholds`: of the policy that decides on what is proposed."""
        self._config: Final = config
        self.state: Final = CampaignsState(config)
        self.tracker: Final = Tracker(config)
        self._evaluator: Final = Evaluator(config, self.state)
        self._planner: Final = Planner(config, weaklinks, self._evaluator, self.tracker, thresholds)
        self.clocks = Clocks()
        self.searched = False
        """Whether the last tick looked for communities."""
        self._known = self.tracker.members

    def tick(self, now_us: int, parties: Mapping[str, PartyKind], *, eager: bool = False) -> list[Update]:
        """Evaluate as of `now_us`; then plan or amend the campaigns that changed. `eager`: look for communities sooner (see `Evaluator.evaluate`)."""
        self._expire(now_us)
        if self._known is not self.tracker.members:
            self._known = self.tracker.members
            self._evaluator.know(self.tracker.known())
        evaluation = self._evaluator.evaluate(now_us, whole=bool(self._planner.waiting), eager=eager)
        self.searched = evaluation is not None and evaluation.ring is not None
        self.clocks.ticked_us = now_us
        if evaluation is None:
            return self._planner.renew(now_us)
        before = self.tracker.members
        if evaluation.ring is None:
            joined = self.tracker.join(evaluation)
            return self._planner.admit(joined, self._evidence_at(before, joined), evaluation, parties)
        changed = self.tracker.update(evaluation)
        return self._planner.decide(changed, self._evidence_at(before), evaluation, parties)

    def replan(self) -> None:
        """Plan every campaign anew, as soon as it is its turn: what its last plan names may be no more."""
        for campaign in self.tracker.campaigns.values():
            campaign.planned = None

    def observe(self, observer: Observer) -> None:
        """Tell `observer` of each plan from now on."""
        self._planner.observer = observer

    @property
    def waiting(self) -> bool:
        """Whether campaigns wait for their plan."""
        return bool(self._planner.waiting)

    def _evidence_at(self, before: pl.DataFrame, campaigns: Collection[str] | None = None) -> dict[str, int]:
        """By campaign, all or these, the append time of the evidence that tipped it: of what came since the last evaluation, the oldest.

        Looked for at the accounts that are new to the campaign, else at all its members; where nothing new came, their newest evidence.
        """
        members = self.tracker.members.select("account", "campaign_id")
        if campaigns is not None:
            members = members.filter(pl.col("campaign_id").is_in(sorted(campaigns)))
        new = members.join(before.select("account", "campaign_id"), on=["account", "campaign_id"], how="anti")
        members = pl.concat([new, members.join(new, on="campaign_id", how="anti")])
        times = members.join(self.state.appended(members["account"]), on="account")
        appended = pl.col("appended_at_us")
        tipped = times.group_by("campaign_id").agg(
            pl.coalesce(appended.filter(appended > self.clocks.seen_us).min(), appended.max())
        )
        self.clocks.seen_us = self.state.newest_us
        return dict(tipped.iter_rows())

    def _expire(self, now_us: int) -> None:
        if now_us - self.clocks.expired_us >= self._config.expire_every_hours * US_PER_HOUR:
            self.state.expire(now_us, self.tracker.kept())
            self.clocks.expired_us = now_us
