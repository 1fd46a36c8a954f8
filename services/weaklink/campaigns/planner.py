"""When each campaign is planned, and what is asked between two plans: a new member's own measure at once, the whole plan now and then."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

import polars as pl

from weaklink.campaigns import planning, standing
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.evaluate import Evaluation
from weaklink.campaigns.facts import facts
from weaklink.campaigns.planning import Planned, Situation
from weaklink.campaigns.state import CampaignsState
from weaklink.campaigns.track import LIVE, Campaign, Tracker
from weaklink.parties import PartyKind
from weaklink.weaklinks.accounts import account_measures
from weaklink.weaklinks.config import WeakLinksConfig
from weaklink.weaklinks.cuts import MEMBER_COLUMNS

_NOTHING: Final[Mapping[str, Any]] = {
    "shared_identifiers": 0,
    "requests": 0,
    "output_tokens": 0,
    "requests_per_day": 0.0,
    "traits": [],
    "models": [],
    "evidence": [],
}
_GROUNDS: Final = pl.Schema({"account": pl.UInt64, "campaign_id": pl.String, "grounds": pl.UInt8})


@dataclass(frozen=True, slots=True)
class Update:
    """A campaign that changed: as it stands, its members (track.MEMBERS), facts for its message, and the changes of its measures."""

    campaign: Campaign
    members: pl.DataFrame
    facts: dict[str, Any]
    changes: list[dict[str, Any]]


class Planner:
    """What each campaign asked for when it was last planned, and what its members' measures rest on."""

    def __init__(
        self, config: CampaignsConfig, weaklinks: WeakLinksConfig, state: CampaignsState, tracker: Tracker
    ) -> None:
        self._config: Final = config
        self._weaklinks: Final = weaklinks
        self._state: Final = state
        self._tracker: Final = tracker
        self._planned: dict[str, Planned] = {}
        self._told: dict[str, dict[str, Any]] = {}
        self._grounds = pl.DataFrame(schema=_GROUNDS)
        # Campaigns that wait for their plan, and the append time of what called for it.
        self._waiting: dict[str, int] = {}

    @property
    def waiting(self) -> frozenset[str]:
        """Campaigns that wait for their plan."""
        return frozenset(self._waiting)

    def decide(
        self,
        changed: Collection[str],
        evidence_at_us: Mapping[str, int],
        evaluation: Evaluation,
        parties: Mapping[str, PartyKind],
    ) -> list[Update]:
        """One update of each campaign that changed, of those that wait, and of those whose plan no longer fits their situation.

        Those that wait and then the largest are planned first, up to `plans_per_tick_max`; until its turn a campaign is amended.
        """
        members = planning.plan_members(self._tracker.members, evaluation, self._config)
        situations = planning.situations(members)
        changed = {*changed, *self._waiting}
        changed |= {i for i, one in situations.items() if self._unlike(i, one)}
        ranked = sorted(changed, key=lambda i: (-situations[i].requests_per_day if i in situations else -1e18, i))
        ended = [i for i in ranked if self._tracker.campaigns[i].state not in LIVE or i not in situations]
        lasting = [i for i in ranked if i not in ended]
        due = [i for i in lasting if self._due(i, situations[i], evaluation.now_us)]
        due.sort(key=lambda i: i not in self._waiting)  # whoever has waited comes first: no campaign starves
        planned = due[: self._config.plans_per_tick_max]
        evidence = {**evidence_at_us, **self._waiting}  # what waited keeps the time from which it has waited
        self._waiting = {i: evidence.get(i, 0) for i in sorted(due[self._config.plans_per_tick_max :])}
        now = planning.grounds(members)
        fresh = now.join(self._grounds, on=list(_GROUNDS), how="anti")["account"]
        self._grounds = now
        updates = [self._end(self._tracker.campaigns[i], evaluation.now_us) for i in ended]
        for campaign_id in lasting:
            campaign = self._tracker.campaigns[campaign_id]
            campaign.evidence_at_us = evidence.get(campaign_id, campaign.evidence_at_us)
            campaign.updated_at_us = evaluation.now_us
            rows = members.filter(pl.col("campaign_id") == campaign_id)
            if campaign_id in planned:
                updates.append(self._plan(campaign, rows, situations[campaign_id], evaluation, parties))
            else:
                updates.append(self._amend(campaign, rows, fresh, parties))
        return updates

    def _unlike(self, campaign_id: str, situation: Situation) -> bool:
        last = self._planned.get(campaign_id)
        return last is None or situation.differs(last.situation, self._config)

    def _due(self, campaign_id: str, situation: Situation, now_us: int) -> bool:
        last = self._planned.get(campaign_id)
        return last is None or campaign_id in self._waiting or last.due(situation, now_us, self._config)

    def _end(self, campaign: Campaign, now_us: int) -> Update:
        """A campaign that merged or dissolved: everything that it asked for falls."""
        withdrawn = [{**measure, "op": standing.WITHDRAW} for measure in campaign.measures]
        campaign.measures, campaign.volume_cut_share, campaign.benign_accounts_touched = [], 0.0, 0
        campaign.updated_at_us = now_us
        self._planned.pop(campaign.campaign_id, None)
        self._told.pop(campaign.campaign_id, None)
        return Update(campaign, self._tracker.members.clear(), dict(_NOTHING), withdrawn)

    def _plan(
        self,
        campaign: Campaign,
        members: pl.DataFrame,
        situation: Situation,
        evaluation: Evaluation,
        parties: Mapping[str, PartyKind],
    ) -> Update:
        links = planning.shared_links(members, self._state.links.rows(), evaluation)
        own = self._own(campaign)
        plan = planning.make_plan(
            members,
            links,
            self._state.profiles.models.rows(),
            parties,
            self._weaklinks,
            time_limit_seconds=self._config.plan_seconds_max,
        )
        held = links.join(own.select("account"), on="account", how="semi")["identifier"].unique().to_list()
        changes = self._stand(campaign, members, plan.measures, held)
        campaign.volume_cut_share, campaign.gap, campaign.solver = plan.volume_cut_share, plan.gap, plan.solver
        campaign.benign_accounts_touched = plan.benign_accounts_touched
        told = facts(members, links, evaluation, self._state.profiles)
        self._planned[campaign.campaign_id] = Planned(evaluation.now_us, situation, plan.unit_requests_per_day)
        self._told[campaign.campaign_id] = told
        return self._update(campaign, own, told, changes)

    def _amend(
        self, campaign: Campaign, members: pl.DataFrame, fresh: pl.Series, parties: Mapping[str, PartyKind]
    ) -> Update:
        """Between two plans: its own account's measure for each member that is new or for which something else speaks now."""
        last = self._planned.get(campaign.campaign_id)
        rows = members.filter(pl.col("account").is_in(fresh.implode()))
        asked: list[dict[str, Any]] = []
        if rows.height:
            unit = last.unit_requests_per_day if last else None
            asked = account_measures(rows.select(MEMBER_COLUMNS), parties, self._weaklinks, unit)
        # Tokens stay as they were planned: whether members still hold them is looked at with the next plan.
        held = [int.from_bytes(m["target_token"][2:10], "little") for m in campaign.measures if m["target_token"]]
        changes = self._stand(campaign, members, asked, held)
        flagged = members.filter("flagged")
        told = self._told.get(campaign.campaign_id, dict(_NOTHING)) | {
            "requests": int(flagged["requests"].sum() or 0),
            "output_tokens": int(flagged["output_tokens"].sum() or 0),
            "requests_per_day": float(flagged["requests_per_day"].sum() or 0.0),
        }
        return self._update(campaign, self._own(campaign), told, changes)

    def _stand(
        self, campaign: Campaign, members: pl.DataFrame, wanted: list[dict[str, Any]], identifiers: list[int]
    ) -> list[dict[str, Any]]:
        refused = self._state.refusals.rows().select("party", "measure", "target").rows()
        campaign.measures, changes = standing.changes(
            campaign.measures,
            wanted,
            members=set(members.filter(~pl.col("reseller")).select("party", "account_name").rows()),
            resellers=set(members.filter("reseller").select("party", "account_name").rows()),
            identifiers=set(identifiers),
            refused=set(refused),
        )
        return changes

    def _own(self, campaign: Campaign) -> pl.DataFrame:
        return self._tracker.members.filter(pl.col("campaign_id") == campaign.campaign_id)

    @staticmethod
    def _update(campaign: Campaign, own: pl.DataFrame, told: dict[str, Any], changes: list[dict[str, Any]]) -> Update:
        campaign.confidence = float(own.filter("flagged")["score"].mean() or 0.0)  # type: ignore[arg-type]
        return Update(replace(campaign), own, told, changes)
