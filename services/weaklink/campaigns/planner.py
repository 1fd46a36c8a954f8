"""When each campaign is planned, and what is asked between two plans: a new member's own measure at once, the whole plan now and then."""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import polars as pl

from weaklink.campaigns import course, planning, standing
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.evaluator import Evaluator
from weaklink.campaigns.facts import facts
from weaklink.campaigns.identity import LIVE, Campaign, Planned, Situation
from weaklink.campaigns.outcome import Evaluation
from weaklink.campaigns.profiles import US_PER_DAY, US_PER_HOUR
from weaklink.campaigns.standing import Thresholds
from weaklink.campaigns.taken import taken
from weaklink.campaigns.track import Tracker
from weaklink.campaigns.updates import Update, end, updated
from weaklink.parties import PartyKind
from weaklink.weaklinks.accounts import account_measures
from weaklink.weaklinks.config import WeakLinksConfig
from weaklink.weaklinks.cuts import MEMBER_COLUMNS
from weaklink.weaklinks.learning import learned

_SUMMED: Final = ("requests", "output_tokens", "requests_per_day")
_TOTALS: Final = tuple(pl.col(name).sum() for name in _SUMMED)


Observer = Callable[[Campaign, pl.DataFrame, pl.DataFrame, Evaluation], None]
"""Is told of each plan that was made: the campaign, planning.plan_members, planning.shared_links, and the evaluation."""


class Planner:
    """Decides; what it must remember for that is in the tracker's campaigns and members."""

    def __init__(
        self,
        config: CampaignsConfig,
        weaklinks: WeakLinksConfig,
        evaluator: Evaluator,
        tracker: Tracker,
        thresholds: Thresholds,
    ) -> None:
        self._config: Final = config
        self._weaklinks: Final = weaklinks
        self._evaluator: Final = evaluator
        self._state: Final = evaluator.state
        self._tracker: Final = tracker
        self._thresholds: Final = thresholds
        self._reissue_us: Final = int(config.track.reissue_hours * US_PER_HOUR)
        self.observer: Observer | None = None

    @property
    def waiting(self) -> dict[str, int]:
        """Campaigns that wait for their plan, and the append time of the evidence that called for it."""
        campaigns = self._tracker.campaigns
        return {name: one.waits_since_us for name, one in campaigns.items() if one.waits_since_us is not None}

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
        members = self._members(self._tracker.members, evaluation)
        campaigns, situations, waiting = self._tracker.campaigns, planning.situations(members), self.waiting
        changed = {*changed, *waiting} & campaigns.keys()
        changed |= {i for i, one in situations.items() if self._unlike(campaigns[i], one, evaluation.now_us)}
        ranked = sorted(changed, key=lambda i: (-situations[i].requests_per_day if i in situations else -1e18, i))
        ended = [i for i in ranked if campaigns[i].state not in LIVE or i not in situations]
        lasting = [i for i in ranked if i not in ended]
        due = [i for i in lasting if i in waiting or self._due(campaigns[i], situations[i], evaluation.now_us)]
        due.sort(key=lambda i: i not in waiting)  # whoever has waited comes first: no campaign starves
        planned = due[: self._config.plans_per_tick_max]
        evidence = {**evidence_at_us, **waiting}  # what waited keeps the time from which it has waited
        for campaign_id in changed:
            waits = campaign_id in due and campaign_id not in planned
            campaigns[campaign_id].waits_since_us = evidence.get(campaign_id, 0) if waits else None
        fresh = self._fresh(members)
        updates = [end(campaigns[i], self._tracker.members, evaluation.now_us) for i in ended]
        for campaign_id in lasting:
            campaign = campaigns[campaign_id]
            campaign.evidence_at_us = evidence.get(campaign_id, campaign.evidence_at_us)
            campaign.updated_at_us = evaluation.now_us
            rows = members.filter(pl.col("campaign_id") == campaign_id)
            if campaign_id in planned:
                updates.append(self._plan(campaign, rows, situations[campaign_id], evaluation, parties))
            else:
                updates.append(self._amend(campaign, rows, fresh, evaluation.now_us, parties))
        return updates

    def admit(
        self,
        joined: Collection[str],
        evidence_at_us: Mapping[str, int],
        evaluation: Evaluation,
        parties: Mapping[str, PartyKind],
    ) -> list[Update]:
        """One update of each campaign that newcomers joined, with measures on them alone; `evaluation` need have no other members."""
        members = self._members(self._tracker.members.filter("fast"), evaluation)
        fresh = self._fresh(members)
        rows = members.filter(pl.col("campaign_id").is_in(sorted(joined)) & pl.col("account").is_in(fresh.implode()))
        asked = self._asked_of_all(rows, parties)
        totals = {row["campaign_id"]: row for row in rows.group_by("campaign_id").agg(*_TOTALS).iter_rows(named=True)}
        updates = []
        for campaign_id in sorted(joined):
            campaign = self._tracker.campaigns[campaign_id]
            campaign.evidence_at_us = evidence_at_us.get(campaign_id, campaign.evidence_at_us)
            campaign.updated_at_us = evaluation.now_us
            campaign.measures, changes = standing.added(
                campaign.measures, asked.get(campaign_id, []), self._refused(), evaluation.now_us
            )
            campaign.oldest_issue_us = min((m["issued_at_us"] for m in campaign.measures), default=None)
            changes += self._renewed(campaign, evaluation.now_us)
            more = totals.get(campaign_id, {})
            campaign.facts |= {name: campaign.facts[name] + more.get(name, 0) for name in _SUMMED}
            updates.append(updated(campaign, self._own(campaign), changes))
        return updates + self.renew(evaluation.now_us)

    def _asked_of_all(self, rows: pl.DataFrame, parties: Mapping[str, PartyKind]) -> dict[str, list[dict[str, Any]]]:
        """`_asked` of the members of several campaigns, by campaign."""
        planned = {i: c.planned.unit_requests_per_day for i, c in self._tracker.campaigns.items() if c.planned}
        known = rows.filter(pl.col("campaign_id").is_in(list(planned)))
        units = known["campaign_id"].replace_strict(planned, return_dtype=pl.Float64) if planned else known["score"]
        found: dict[str, list[dict[str, Any]]] = {}
        owner = dict(zip(known.select("party", "account_name").iter_rows(), known["campaign_id"], strict=True))
        for one in account_measures(known.select(MEMBER_COLUMNS), parties, self._weaklinks, units):
            found.setdefault(owner[one["party"], one["target_account"]], []).append(one)
        for campaign_id in set(rows["campaign_id"]) - planned.keys():
            own = rows.filter(pl.col("campaign_id") == campaign_id)
            found[campaign_id] = self._asked(self._tracker.campaigns[campaign_id], own, parties)
        return found

    def renew(self, now_us: int) -> list[Update]:
        """Issue again what is due, though nothing else is to be decided: one update of each campaign that has such a measure."""
        due = [one for _, one in sorted(self._tracker.campaigns.items()) if self._reissues(one, now_us)]
        updates = []
        for campaign in due:
            campaign.updated_at_us = now_us
            updates.append(updated(campaign, self._own(campaign), self._renewed(campaign, now_us)))
        return updates

    def _renewed(self, campaign: Campaign, now_us: int) -> list[dict[str, Any]]:
        """ISSUE of the measures that are due within the day, if one is due now: they would else be issued again one by one."""
        if not self._reissues(campaign, now_us):
            return []
        campaign.measures, changes = standing.renewed(campaign.measures, now_us, self._reissue_us - US_PER_DAY)
        campaign.oldest_issue_us = min(m["issued_at_us"] for m in campaign.measures)
        return changes

    def _members(self, members: pl.DataFrame, evaluation: Evaluation) -> pl.DataFrame:
        return planning.plan_members(members, evaluation, self._state.profiles.parties.rows(), self._config)

    def _refused(self) -> set[tuple[str, str, bytes]]:
        return set(self._state.refusals.rows().select("party", "measure", "target").rows())

    def _fresh(self, members: pl.DataFrame) -> pl.Series:
        """Accounts for whose measure something else speaks than when it was last decided; the members remember what does now."""
        before = self._tracker.members
        now = before.select("account").join(
            planning.grounds(members, self._thresholds), on="account", how="left", maintain_order="left"
        )
        grounds = pl.coalesce(now["grounds"], before["grounds"])
        self._tracker.members = before.with_columns(grounds.alias("grounds"))
        return before.filter(before["grounds"].ne_missing(self._tracker.members["grounds"]))["account"]

    def _unlike(self, campaign: Campaign, situation: Situation, now_us: int) -> bool:
        """Whether it looks different from when it was last planned, or a measure of it is due to be issued again."""
        if campaign.planned is None or situation.differs(campaign.planned.situation, self._config):
            return True
        return self._reissues(campaign, now_us)

    def _reissues(self, campaign: Campaign, now_us: int) -> bool:
        return campaign.oldest_issue_us is not None and now_us - campaign.oldest_issue_us >= self._reissue_us

    def _due(self, campaign: Campaign, situation: Situation, now_us: int) -> bool:
        return campaign.planned is None or campaign.planned.due(situation, now_us, self._config)

    def _plan(
        self,
        campaign: Campaign,
        members: pl.DataFrame,
        situation: Situation,
        evaluation: Evaluation,
        parties: Mapping[str, PartyKind],
    ) -> Update:
        near, accounts = self._evaluator.surroundings(members["account"], evaluation)
        links = planning.shared_links(members, near, accounts)
        own = self._own(campaign)
        plan = planning.make_plan(
            members,
            links,
            planning.reseller_slices(members, self._state.profiles, self._state.customers, evaluation, self._config),
            parties,
            self._learned(campaign, own, evaluation.now_us),
            time_limit_seconds=self._config.plan_seconds_max,
        )
        held = links.join(own.select("account"), on="account", how="semi")["identifier"].unique().to_list()
        changes = self._stand(campaign, members, plan.measures, held, evaluation.now_us)
        campaign.volume_cut_share, campaign.gap, campaign.solver = plan.volume_cut_share, plan.gap, plan.solver
        campaign.benign_accounts_touched = plan.benign_accounts_touched
        campaign.facts = facts(members, links, evaluation, self._state)
        campaign.planned = Planned(evaluation.now_us, situation, plan.unit_requests_per_day)
        if self.observer is not None:
            self.observer(campaign, members, links, evaluation)
        return updated(campaign, own, changes)

    def _learned(self, campaign: Campaign, own: pl.DataFrame, now_us: int) -> WeakLinksConfig:
        """The settings of the plan, with the effects that measures had on this campaign so far."""
        if self._state.feedback.of(own["account"]).is_empty():
            return self._weaklinks
        lives = course.member_lives(own, self._state)
        daily = self._state.profiles.daily.of(own["account"])
        seen = course.course(campaign, lives, daily, now_us, disputed_before=0)
        return learned(self._weaklinks, seen["measures"], seen["losses"])

    def _amend(
        self,
        campaign: Campaign,
        members: pl.DataFrame,
        fresh: pl.Series,
        now_us: int,
        parties: Mapping[str, PartyKind],
    ) -> Update:
        """Between two plans: its own account's measure for each member that is new or for which something else speaks now."""
        rows = members.filter(pl.col("account").is_in(fresh.implode()))
        asked = self._asked(campaign, rows, parties) if rows.height else []
        # Tokens stay as they were planned: whether members still hold them is looked at with the next plan.
        held = [int.from_bytes(m["target_token"][2:10], "little") for m in campaign.measures if m["target_token"]]
        changes = self._stand(campaign, members, asked, held, now_us)
        flagged = members.filter("flagged")
        campaign.facts |= {
            "requests": int(flagged["requests"].sum() or 0),
            "output_tokens": int(flagged["output_tokens"].sum() or 0),
            "requests_per_day": float(flagged["requests_per_day"].sum() or 0.0),
            "taken": taken(flagged).record(),
        }
        return updated(campaign, self._own(campaign), changes)

    def _asked(self, campaign: Campaign, rows: pl.DataFrame, parties: Mapping[str, PartyKind]) -> list[dict[str, Any]]:
        """What is asked of these members' accounts between two plans."""
        unit = campaign.planned.unit_requests_per_day if campaign.planned else None
        return account_measures(rows.select(MEMBER_COLUMNS), parties, self._weaklinks, unit)

    def _stand(
        self,
        campaign: Campaign,
        members: pl.DataFrame,
        wanted: list[dict[str, Any]],
        identifiers: list[int],
        now_us: int,
    ) -> list[dict[str, Any]]:
        # What is due within the day goes out together: measures that were issued one by one would else be issued again one by one.
        early_us = US_PER_DAY if self._reissues(campaign, now_us) else 0
        spared = pl.col("reseller") | pl.col("established") | pl.col("organisation_verified")
        campaign.measures, changes = standing.changes(
            campaign.measures,
            wanted,
            members=set(members.filter(~spared).select("party", "account_name").rows()),
            spared=set(members.filter(spared).select("party", "account_name").rows()),
            identifiers=set(identifiers),
            refused=self._refused(),
            now_us=now_us,
            reissue_us=self._reissue_us - early_us,
            thresholds=self._thresholds,
        )
        campaign.oldest_issue_us = min((m["issued_at_us"] for m in campaign.measures), default=None)
        return changes

    def _own(self, campaign: Campaign) -> pl.DataFrame:
        return self._tracker.members.filter(pl.col("campaign_id") == campaign.campaign_id)
