"""The whole of campaigns without Kafka: fold, evaluate, track, plan, and say what changed. The stage and the backtest run this."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import polars as pl

from weaklink.campaigns import planning, standing
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.evaluate import Evaluation
from weaklink.campaigns.facts import facts
from weaklink.campaigns.planning import Situation
from weaklink.campaigns.profiles import US_PER_HOUR
from weaklink.campaigns.state import CampaignsState
from weaklink.campaigns.track import LIVE, Campaign, Tracker
from weaklink.parties import PartyKind
from weaklink.weaklinks.config import WeakLinksConfig


@dataclass(frozen=True, slots=True)
class Update:
    """A campaign that changed: as it stands, its members (track.MEMBERS), facts for its message, and the changes of its measures."""

    campaign: Campaign
    members: pl.DataFrame
    facts: dict[str, Any]
    changes: list[dict[str, Any]]


class Engine:
    """State, tracker and plans. `tick` evaluates what was folded and returns the campaigns that changed, each once."""

    def __init__(self, config: CampaignsConfig, weaklinks: WeakLinksConfig) -> None:
        self._config: Final = config
        self._weaklinks: Final = weaklinks
        self.state: Final = CampaignsState(config)
        self.tracker: Final = Tracker(config)
        self._planned: dict[str, Situation] = {}
        self._waiting: dict[
            str, int
        ] = {}  # campaigns that wait for their plan, and the append time of what called for it
        self._seen_us = 0  # newest append time that the last evaluation knew
        self._expired_us = 0

    def tick(self, now_us: int, parties: Mapping[str, PartyKind]) -> list[Update]:
        """Evaluate as of `now_us`; plan campaigns whose members, grounds or volume changed, the largest first, up to `plans_per_tick_max`."""
        self._expire(now_us)
        evaluation = self.state.evaluate(now_us)
        before = self.tracker.members
        changed = self.tracker.update(evaluation) | self._waiting.keys()
        members = planning.plan_members(self.tracker.members, evaluation, self._config)
        situations = planning.situations(members)
        for campaign_id, situation in situations.items():
            last = self._planned.get(campaign_id)
            if last is None or situation.differs(last, self._config.plan_volume_change_share):
                changed.add(campaign_id)
        ranked = sorted(changed, key=lambda i: (-situations[i].requests_per_day if i in situations else -1e18, i))
        ended = [i for i in ranked if self.tracker.campaigns[i].state not in LIVE or i not in situations]
        planned = [i for i in ranked if i not in ended][: self._config.plans_per_tick_max]
        evidence = self._evidence_at(before) | self._waiting  # what waited keeps the time from which it has waited
        self._waiting = {i: evidence.get(i, 0) for i in sorted(changed - set(ended) - set(planned))}
        updates = [self._end(self.tracker.campaigns[i], now_us) for i in ended]
        for campaign_id in planned:
            self._planned[campaign_id] = situations[campaign_id]
            rows = members.filter(pl.col("campaign_id") == campaign_id)
            campaign = self.tracker.campaigns[campaign_id]
            campaign.evidence_at_us = evidence.get(campaign_id, campaign.evidence_at_us)
            updates.append(self._plan(campaign, rows, evaluation, parties))
        return updates

    @property
    def waiting(self) -> bool:
        """Whether campaigns wait for their plan."""
        return bool(self._waiting)

    def _end(self, campaign: Campaign, now_us: int) -> Update:
        """A campaign that merged or dissolved: everything that it asked for falls."""
        withdrawn = [{**measure, "op": standing.WITHDRAW} for measure in campaign.measures]
        campaign.measures, campaign.volume_cut_share, campaign.benign_accounts_touched = [], 0.0, 0
        campaign.updated_at_us = now_us
        self._planned.pop(campaign.campaign_id, None)
        nothing = {
            "shared_identifiers": 0,
            "requests": 0,
            "output_tokens": 0,
            "requests_per_day": 0.0,
            "traits": [],
            "models": [],
            "evidence": [],
        }
        return Update(campaign, self.tracker.members.clear(), nothing, withdrawn)

    def _plan(self, campaign: Campaign, members: pl.DataFrame, evaluation: Evaluation, parties: Mapping[str, PartyKind]) -> Update:  # fmt: skip
        links = planning.shared_links(members, self.state.links.rows(), evaluation)
        own = self.tracker.members.filter(pl.col("campaign_id") == campaign.campaign_id)
        plan = planning.make_plan(
            members,
            links,
            self.state.profiles.models.rows(),
            parties,
            self._weaklinks,
            time_limit_seconds=self._config.plan_seconds_max,
        )
        refused = self.state.refusals.rows().select("party", "measure", "target").rows()
        held = links.join(own.select("account"), on="account", how="semi")["identifier"].unique().to_list()
        campaign.measures, changes = standing.changes(
            campaign.measures,
            plan.measures,
            members=set(members.filter(~pl.col("reseller")).select("party", "account_name").rows()),
            resellers=set(members.filter("reseller").select("party", "account_name").rows()),
            identifiers=set(held),
            refused=set(refused),
        )
        campaign.volume_cut_share, campaign.gap, campaign.solver = plan.volume_cut_share, plan.gap, plan.solver
        campaign.benign_accounts_touched = plan.benign_accounts_touched
        campaign.updated_at_us = evaluation.now_us
        campaign.confidence = float(own.filter("flagged")["score"].mean() or 0.0)  # type: ignore[arg-type]
        told = facts(members, links, evaluation, self.state.profiles)
        return Update(replace(campaign), own, told, changes)

    def _evidence_at(self, before: pl.DataFrame) -> dict[str, int]:
        """By campaign, the append time of the evidence that tipped it: of what came since the last evaluation, the oldest.

        Looked for at the accounts that are new to the campaign, else at all its members; where nothing new came, their newest evidence.
        """
        members = self.tracker.members.select("account", "campaign_id")
        new = members.join(before.select("account", "campaign_id"), on=["account", "campaign_id"], how="anti")
        members = pl.concat([new, members.join(new, on="campaign_id", how="anti")])
        profiles = self.state.profiles.accounts.rows().select("account", "appended_at_us")
        links = self.state.links.rows().select("account", "appended_at_us")
        appended = pl.col("appended_at_us")
        times = pl.concat([profiles, links.join(members, on="account", how="semi")]).join(members, on="account")
        tipped = times.group_by("campaign_id").agg(
            pl.coalesce(appended.filter(appended > self._seen_us).min(), appended.max())
        )
        self._seen_us = max(self._seen_us, int(profiles["appended_at_us"].max() or 0))  # type: ignore[arg-type]
        return dict(tipped.iter_rows())

    def _expire(self, now_us: int) -> None:
        if now_us - self._expired_us >= self._config.expire_every_hours * US_PER_HOUR:
            self.state.expire(now_us, self.tracker.members["account"])
            self._expired_us = now_us
