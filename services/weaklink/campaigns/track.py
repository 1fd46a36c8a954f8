"""Campaigns over time: identities that last while communities grow, split and merge, and membership that does not flap."""

import hashlib
from typing import Final

import numpy as np
import polars as pl

from weaklink.campaigns import fast, former, matching
from weaklink.campaigns.cluster import NONE
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.graph import Bools
from weaklink.campaigns.identity import DISSOLVED, DORMANT, ENDED, FORMER, LIVE, MEMBERS, MERGED, OPEN, Campaign
from weaklink.campaigns.member_rows import confirmed_rows, differences, labelled, new_rows, steady
from weaklink.campaigns.outcome import Evaluation
from weaklink.campaigns.profiles import US_PER_DAY, US_PER_HOUR
from weaklink.campaigns.rings import at_parties
from weaklink.campaigns.serving import serving


class Tracker:
    """Campaigns, their members, and those that were. `update` takes evaluations in order.

    Everything is in `campaigns`, `members` and `former`: a tracker that is given these goes on as the one that they came from.
    An evaluation need not have a row for every account: one without a row is as it was before.
    """

    def __init__(self, config: CampaignsConfig) -> None:
        self._config: Final = config
        self.members = pl.DataFrame(schema=MEMBERS)
        self.former = pl.DataFrame(schema=FORMER)
        self.campaigns: dict[str, Campaign] = {}

    def kept(self) -> pl.Series:
        """Accounts whose links and profiles are kept beyond their usual time: members, and tombstones."""
        return pl.concat([self.members["account"], self.former.filter("tombstone")["account"]]).unique()

    def update(self, evaluation: Evaluation) -> set[str]:
        """Take an evaluation; returns the ids of campaigns that changed: members, state, or confidence of a member's flag."""
        before = self.members
        found = self._identify(evaluation)
        serves = self._serving(evaluation, found)
        kept = self._carry(evaluation, found, serves)
        self.members = pl.concat([found, serves, kept]).sort("account")
        told = before.select("account", "campaign_id", "grounds")
        self.members = (
            self._join_fast(evaluation, before)
            .drop("grounds")
            .join(told, on=["account", "campaign_id"], how="left", maintain_order="left")
            .select(MEMBERS.names())
        )
        changed = differences(before, self.members)
        changed |= self._settle(evaluation)
        return changed

    def join(self, evaluation: Evaluation) -> set[str]:
        """Take in those who join campaigns by an evaluation that did not look for communities; returns the ids of these."""
        before = pl.concat([self.former["account"], self.members["account"]])
        at = np.flatnonzero(~evaluation.accounts["account"].is_in(before.implode()).to_numpy())
        if len(at) == 0:
            return set()
        names = [evaluation.campaigns[i] for i in evaluation.accounts["community"].gather(at).to_list()]
        joined = new_rows(evaluation, at, names, self.members, self._config.track, flagged=True)
        self.members = pl.concat([self.members, joined]).sort("account")
        return set(names)

    def known(self) -> pl.DataFrame:
        """[account, campaign_id, tombstone, since_us] of confirmed members and of tombstones (since null)."""
        members = self.members.filter("flagged").select(
            "account", "campaign_id", pl.lit(value=False).alias("tombstone"), "since_us"
        )
        stones = self.former.filter("tombstone").select(
            "account", "campaign_id", "tombstone", pl.lit(None, pl.Int64).alias("since_us")
        )
        return pl.concat([members, stones.join(members, on="account", how="anti")]).sort("account")

    def _identify(self, evaluation: Evaluation) -> pl.DataFrame:
        """The confirmed accounts as MEMBERS, their communities under lasting ids."""
        confirmed = evaluation.accounts.filter("flagged")
        self.former = former.confirmed_again(self.former, confirmed["account"], evaluation.now_us)
        held = former.held_back(self.former, evaluation.now_us, self._config.track)
        inside = pl.col("account").is_in(self.members["account"].implode())
        confirmed = confirmed.filter(inside | ~pl.col("account").is_in(held.implode()))
        long_us = evaluation.now_us - int(self._config.track.split_hours * US_PER_HOUR)
        lately_us = evaluation.now_us - int(self._config.track.active_hours * US_PER_HOUR)
        known = self.known()
        overlaps = (
            confirmed.select("account", "community", (pl.col("last_seen_us") >= lately_us).alias("active"))
            .join(known, on="account")
            .group_by("community", "campaign_id")
            .agg(pl.len().alias("common"), ((pl.col("since_us") <= long_us) & pl.col("active")).sum().alias("active"))
        )
        matched = matching.match(
            confirmed["community"].unique().sort().to_list(),
            overlaps.rows(),
            dict(known.group_by("campaign_id").len().iter_rows()),
            self.campaigns,
            now_us=evaluation.now_us,
            config=self._config.track,
        )
        for campaign_id, into in matched.merged.items():
            campaign = self.campaigns[campaign_id]
            campaign.state, campaign.merged_into, campaign.updated_at_us = MERGED, into, evaluation.now_us
            campaign.joins = campaign.joins_since_us = None
        self.former = self.former.with_columns(pl.col("campaign_id").replace(matched.merged))
        ids = dict(matched.ids)
        for community, split_from in matched.new.items():
            ids[community] = self._found_campaign(confirmed, community, split_from, evaluation.now_us)
        return confirmed_rows(
            confirmed, self.members, ids, matched, now_us=evaluation.now_us, config=self._config.track
        )

    def _found_campaign(self, confirmed: pl.DataFrame, community: int, split_from: str | None, now_us: int) -> str:
        """A new campaign, named after its founding accounts and time: the same input gives the same id."""
        founders = confirmed.filter(pl.col("community") == community)["account"].sort().head(32).to_list()
        name = f"{now_us}|{split_from}|" + ",".join(map(str, founders))
        campaign_id = f"c-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
        self.campaigns[campaign_id] = Campaign(campaign_id, OPEN, now_us, now_us, split_from=split_from)
        return campaign_id

    def _merged(self) -> dict[str, str]:
        """Into which campaign each one went that is no more."""
        return {c.campaign_id: c.merged_into for c in self.campaigns.values() if c.state == MERGED and c.merged_into}

    def _serving(self, evaluation: Evaluation, found: pl.DataFrame) -> pl.DataFrame:
        """Accounts that serve standing members, whether or not an evaluation of now alone confirms those."""
        graph, accounts = evaluation.graph, evaluation.accounts
        assert evaluation.ring is not None
        silent = at_parties(graph, evaluation.population.silent)
        quiet = accounts.select("account").filter(pl.Series(silent))
        standing = (
            self.members.filter("flagged").join(found, on="account", how="anti").join(quiet, on="account", how="anti")
        )
        known = pl.concat([found, standing.with_columns(pl.col("campaign_id").replace(self._merged()))])
        labels, ids = labelled(graph, known)
        before, refused = labels.copy(), accounts["disputed"] | accounts["reseller"]
        refused |= accounts["account"].is_in(self.former["account"].implode())
        able = silent & ~refused.to_numpy() & ~evaluation.ring.judged
        for _ in range(self._config.adherents.rounds):
            who, served = serving(graph, labels, able, self._config.adherents)
            if not len(who):
                break
            labels[who] = served
        who = np.flatnonzero(labels != before)
        rows = new_rows(
            evaluation, who, [ids[i] for i in labels[who].tolist()], self.members, self._config.track, flagged=True
        )
        return rows.with_columns(pl.lit(value=False).alias("fast"))

    def _carry(self, evaluation: Evaluation, found: pl.DataFrame, serves: pl.DataFrame) -> pl.DataFrame:
        """Members that this evaluation did not confirm and that stay nonetheless: evidence must be gone for good to release one."""
        config, now_us = self._config, evaluation.now_us
        now = evaluation.accounts.select("account", pl.col("score").alias("score_now"), "disputed", "last_seen_us")
        discredited = pl.col("campaign_id").is_in(self._discredited(now, found))
        missed = (pl.col("fast") | (pl.col("score_now") < config.track.release_score) | discredited).fill_null(
            pl.col("missed_since_us").is_not_null()
        )
        since = pl.when(missed).then(pl.coalesce("missed_since_us", pl.lit(now_us)))
        left = (
            self.members.filter("flagged")
            .join(pl.concat([found, serves]).select("account"), on="account", how="anti")
            .join(now, on="account", how="left", maintain_order="left")
            .with_columns(
                since.alias("missed_since_us"),
                steady(pl.col("score_now"), pl.col("score"), config.track),
                pl.col("campaign_id").replace(self._merged()),
                pl.col("disputed").fill_null(value=False),
            )
        )
        hours = pl.when("fast").then(config.fast.unconfirmed_hours).otherwise(config.track.release_hours)
        long = (now_us - pl.col("missed_since_us") >= US_PER_HOUR * hours).fill_null(value=False)
        goes = pl.col("disputed") | discredited | long
        because = former.reason(disputed=pl.col("disputed"), discredited=discredited, fast=pl.col("fast"))
        leaving = left.filter(goes).with_columns(because.alias("reason"))
        self.former = former.leave(self.former, leaving, now_us, config.track)
        return left.filter(~goes).select(MEMBERS.names())

    def _discredited(self, now: pl.DataFrame, found: pl.DataFrame) -> list[str]:
        """Campaigns too many of whose members their own parties have disputed, and that no evaluation has confirmed since."""
        disputed = self.members.join(now.filter("disputed"), on="account", how="semi")
        for campaign_id, many in disputed.group_by("campaign_id").len().iter_rows():
            self.campaigns[campaign_id].disputed_accounts += many
        for campaign_id in found["campaign_id"].unique():
            self.campaigns[campaign_id].disputed_accounts = 0
        sizes = dict(self.members.group_by("campaign_id").len().iter_rows())
        share = self._config.track.discredited_share
        return [
            name
            for name, campaign in self.campaigns.items()
            if (many := campaign.disputed_accounts) and many >= share * max(sizes.get(name, 0), many)
        ]

    def _join_fast(self, evaluation: Evaluation, before: pl.DataFrame) -> pl.DataFrame:
        """Members, with newcomers on known infrastructure and the resellers by which campaigns come in.

        Known is what members hold, and what the tombstones of former ones held: their evidence is inherited.
        """
        graph, accounts, config = evaluation.graph, evaluation.accounts, self._config.fast
        rows, known = self.members.filter("flagged"), self.known()
        labels, ids = labelled(graph, known)
        if not (labels != NONE).any():
            return rows
        evidenced = evaluation.evidenced | np.isin(graph.accounts, known.filter("tombstone")["account"].to_numpy())
        young_us = int(config.new_account_days * US_PER_DAY)
        young: Bools = (accounts["first_seen_us"] >= evaluation.now_us - young_us).to_numpy()
        released: Bools = accounts["account"].is_in(self.former["account"].implode()).to_numpy()
        disputed, reseller = accounts["disputed"].to_numpy(), accounts["reseller"].to_numpy()
        candidates = young & ~released & ~disputed & ~reseller
        who, joins = fast.newcomers(graph, labels, candidates, evidenced, config)
        through, serves = fast.resellers(graph, labels, reseller & ~disputed, evidenced, config)
        new = new_rows(evaluation, who, [ids[i] for i in joins.tolist()], before, self._config.track, flagged=True)
        serving = new_rows(
            evaluation, through, [ids[i] for i in serves.tolist()], before, self._config.track, flagged=False
        )
        living = pl.concat([rows["campaign_id"], new["campaign_id"]]).unique()
        serving = serving.filter(pl.col("campaign_id").is_in(living.implode()))
        return pl.concat([rows, new, serving]).unique("account", keep="first", maintain_order=True).sort("account")

    def _settle(self, evaluation: Evaluation) -> set[str]:
        """States by what is left of each campaign: no flagged member, dissolved; nothing seen for long, dormant; then at an end."""
        now_us, track = evaluation.now_us, self._config.track
        flagged = self.members.filter("flagged").join(
            evaluation.accounts.select("account", "last_seen_us"), on="account", how="left"
        )
        last = dict(flagged.group_by("campaign_id").agg(pl.col("last_seen_us").max()).iter_rows())
        idle_us, oldest_us = (
            now_us - int(track.dormant_days * US_PER_DAY),
            now_us - int(track.tombstone_days * US_PER_DAY),
        )
        ended = [name for name, seen_us in last.items() if seen_us is not None and seen_us < oldest_us]
        leaving = flagged.filter(pl.col("campaign_id").is_in(ended)).with_columns(pl.lit(ENDED).alias("reason"))
        self.former = former.expire(former.leave(self.former, leaving, now_us, track), now_us, track)
        self.members = self.members.filter(~pl.col("campaign_id").is_in(ended))
        changed = set()
        for name, campaign in self.campaigns.items():
            if campaign.state == MERGED:
                continue
            state = OPEN if name in last and name not in ended else DISSOLVED
            seen_us = last.get(name)
            if state == OPEN and (seen_us < idle_us if seen_us is not None else campaign.state == DORMANT):
                state = DORMANT
            if state != campaign.state:
                campaign.state, campaign.updated_at_us = state, now_us
                changed.add(name)
        stones = set(self.former["campaign_id"].unique().to_list())
        for name, campaign in list(self.campaigns.items()):
            if campaign.state not in LIVE and campaign.updated_at_us < oldest_us and name not in stones:
                del self.campaigns[name]
        return changed
