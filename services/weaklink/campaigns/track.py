"""Campaigns over time: identities that last while communities grow, split and merge, and membership that does not flap."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import polars as pl

from weaklink.campaigns import fast, matching
from weaklink.campaigns.cluster import NONE
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.evaluate import Evaluation
from weaklink.campaigns.graph import Bools, Ints
from weaklink.campaigns.profiles import US_PER_DAY, US_PER_HOUR

OPEN: Final = "OPEN"
DORMANT: Final = "DORMANT"
MERGED: Final = "MERGED"
DISSOLVED: Final = "DISSOLVED"
LIVE: Final = frozenset({OPEN, DORMANT})

MEMBERS: Final = pl.Schema(
    {
        "account": pl.UInt64,
        "campaign_id": pl.String,
        "since_us": pl.Int64,
        "misses": pl.Int32,  # evaluations that found its evidence gone, since it was last confirmed
        "missed_since_us": pl.Int64,  # the first of them; null: none
        "fast": pl.Boolean,  # taken in by the fast path, not confirmed yet
        "flagged": pl.Boolean,  # False: a reseller by which the campaign comes in
        "party": pl.String,
        "account_name": pl.String,
        "score": pl.Float64,
    }
)


@dataclass(slots=True)
class Campaign:
    """One campaign's identity and what it last asked for. Its members are rows of `Tracker.members`."""

    campaign_id: str
    state: str
    detected_at_us: int
    updated_at_us: int
    merged_into: str | None = None
    split_from: str | None = None
    evidence_at_us: int = 0
    confidence: float = 0.0
    measures: list[dict[str, Any]] = field(default_factory=list)
    volume_cut_share: float = 0.0
    benign_accounts_touched: int = 0
    gap: float = 0.0
    solver: str = ""


class Tracker:
    """Campaigns and their members. `update` takes evaluations in order; `restore` takes what was last published."""

    def __init__(self, config: CampaignsConfig) -> None:
        self._config: Final = config
        self.members = pl.DataFrame(schema=MEMBERS)
        self.campaigns: dict[str, Campaign] = {}
        self._apart_since_us: dict[str, int] = {}
        self._disputed: dict[str, int] = {}
        self._rejected = pl.Series("account", [], pl.UInt64)

    def restore(self, campaigns: Iterable[Campaign], members: pl.DataFrame) -> None:
        """Become what was last published."""
        self.campaigns = {campaign.campaign_id: campaign for campaign in campaigns}
        self.members = members.select(pl.col(name).cast(dtype) for name, dtype in MEMBERS.items()).sort("account")
        self._apart_since_us.clear()
        self._disputed.clear()

    def update(self, evaluation: Evaluation) -> set[str]:
        """Take an evaluation; returns the ids of campaigns that changed: members, state, or confidence of a member's flag."""
        before = self.members
        found = self._identify(evaluation)
        kept = self._carry(evaluation, found)
        self.members = pl.concat([found, kept]).sort("account")
        self.members = self._join_fast(evaluation)
        changed = _differences(before, self.members)
        changed |= self._settle(evaluation)
        return changed

    def _identify(self, evaluation: Evaluation) -> pl.DataFrame:
        """The confirmed accounts as MEMBERS, their communities under lasting ids."""
        confirmed = evaluation.accounts.filter("flagged")
        overlaps = (
            confirmed.select("account", "community")
            .join(self.members.filter("flagged").select("account", "campaign_id"), on="account")
            .group_by("community", "campaign_id")
            .agg(pl.len().alias("common"))
        )
        sizes = dict(self.members.filter("flagged").group_by("campaign_id").len().iter_rows())
        matched = matching.match(
            confirmed["community"].unique().sort().to_list(),
            [(c, i, n, self.campaigns[i].detected_at_us) for c, i, n in overlaps.iter_rows()],
            sizes,
            self._apart_since_us,
            now_us=evaluation.now_us,
            config=self._config.track,
        )
        for campaign_id, into in matched.merged.items():
            campaign = self.campaigns[campaign_id]
            campaign.state, campaign.merged_into, campaign.updated_at_us = MERGED, into, evaluation.now_us
        ids = dict(matched.ids)
        for community, split_from in matched.new.items():
            ids[community] = self._found_campaign(confirmed, community, split_from, evaluation.now_us)
        moved = pl.col("campaign_id").replace(matched.merged)
        earlier = self.members.select("account", pl.col("since_us").alias("earlier_us"), moved.alias("earlier_id"))
        return (
            confirmed.with_columns(
                pl.col("community").replace_strict(ids, return_dtype=pl.String).alias("campaign_id")
                if ids
                else pl.lit(None, pl.String).alias("campaign_id")
            )
            .join(earlier, on="account", how="left")
            .with_columns(
                pl.coalesce("earlier_us", pl.lit(evaluation.now_us)).alias("since_us"),
                pl.lit(0, pl.Int32).alias("misses"),
                pl.lit(None, pl.Int64).alias("missed_since_us"),
                pl.lit(value=False).alias("fast"),
                pl.lit(value=True).alias("flagged"),
            )
            .select(MEMBERS.names())
        )

    def _found_campaign(self, confirmed: pl.DataFrame, community: int, split_from: str | None, now_us: int) -> str:
        """A new campaign, named after its founding accounts and time: the same input gives the same id."""
        founders = confirmed.filter(pl.col("community") == community)["account"].sort().head(32).to_list()
        name = f"{now_us}|{split_from}|" + ",".join(map(str, founders))
        campaign_id = f"c-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
        self.campaigns[campaign_id] = Campaign(campaign_id, OPEN, now_us, now_us, split_from=split_from)
        return campaign_id

    def _carry(self, evaluation: Evaluation, found: pl.DataFrame) -> pl.DataFrame:
        """Members that this evaluation did not confirm and that stay nonetheless: evidence must be gone for good to release one."""
        config = self._config
        merged = {c.campaign_id: c.merged_into for c in self.campaigns.values() if c.state == MERGED and c.merged_into}
        now = evaluation.accounts.select("account", pl.col("score").alias("score_now"), "disputed")
        discredited = pl.col("campaign_id").is_in(self._discredited(now, found))
        missed = pl.col("fast") | (pl.col("score_now") < config.track.release_score) | discredited
        left = (
            self.members.join(found.select("account"), on="account", how="anti")
            .join(now, on="account", how="left")
            .with_columns(
                (pl.col("misses") + missed.fill_null(value=False).cast(pl.Int32)).alias("misses"),
                pl.when(missed)
                .then(pl.coalesce("missed_since_us", pl.lit(evaluation.now_us)))
                .otherwise("missed_since_us")
                .alias("missed_since_us"),
                pl.coalesce("score_now", "score").alias("score"),
                pl.col("campaign_id").replace(merged),
            )
        )
        often = (
            pl.when("fast").then(config.fast.unconfirmed_evaluations_max).otherwise(config.track.release_evaluations)
        )
        long_us = US_PER_HOUR * pl.when("fast").then(config.fast.unconfirmed_hours).otherwise(
            config.track.release_hours
        )
        lately = (evaluation.now_us - pl.col("missed_since_us") < long_us).fill_null(value=True) & ~discredited
        stays = ~pl.col("disputed").fill_null(value=False) & ((pl.col("misses") < often) | lately) & pl.col("flagged")
        gone = left.filter(~stays & pl.col("flagged"))["account"]
        self._rejected = pl.concat([self._rejected, gone]).unique().sort()
        return left.filter(stays).select(MEMBERS.names())

    def _discredited(self, now: pl.DataFrame, found: pl.DataFrame) -> list[str]:
        """Campaigns too many of whose members their own parties have disputed, and that no evaluation has confirmed since."""
        disputed = self.members.join(now.filter("disputed"), on="account", how="semi")
        for campaign_id, many in disputed.group_by("campaign_id").len().iter_rows():
            self._disputed[campaign_id] = self._disputed.get(campaign_id, 0) + many
        for campaign_id in found["campaign_id"].unique():
            self._disputed.pop(campaign_id, None)
        sizes = dict(self.members.group_by("campaign_id").len().iter_rows())
        share = self._config.track.discredited_share
        return [i for i, many in self._disputed.items() if many >= share * max(sizes.get(i, 0), many)]

    def _join_fast(self, evaluation: Evaluation) -> pl.DataFrame:
        """Members, with newcomers on known infrastructure and the resellers by which campaigns come in."""
        graph, accounts = evaluation.graph, evaluation.accounts
        ids = sorted(self.members["campaign_id"].unique().to_list())
        labels = np.full(graph.n_accounts, NONE, np.int64)
        rows = self.members.filter("flagged")
        at = np.searchsorted(graph.accounts, rows["account"].to_numpy())
        known = at < graph.n_accounts
        if not ids:
            return self.members
        number = rows["campaign_id"].replace_strict(ids, range(len(ids)), return_dtype=pl.Int64).to_numpy()
        labels[at[known]] = number[known]
        young_us = int(self._config.fast.new_account_days * US_PER_DAY)
        young: Bools = (accounts["first_seen_us"] >= evaluation.now_us - young_us).to_numpy()
        rejected: Bools = accounts["account"].is_in(self._rejected.implode()).to_numpy()
        disputed, reseller = accounts["disputed"].to_numpy(), accounts["reseller"].to_numpy()
        candidates = young & ~rejected & ~disputed & ~reseller
        who, joins = fast.newcomers(graph, labels, candidates, evaluation.evidenced, self._config.fast)
        through, serves = fast.resellers(graph, labels, reseller & ~disputed, evaluation.evidenced, self._config.fast)
        return pl.concat(
            [
                rows,
                self._new_rows(evaluation, who, joins, ids, flagged=True),
                self._new_rows(evaluation, through, serves, ids, flagged=False),
            ]
        ).sort("account")

    def _new_rows(
        self, evaluation: Evaluation, at: Ints, label: Ints, ids: list[str], *, flagged: bool
    ) -> pl.DataFrame:
        earlier = self.members.select("account", pl.col("since_us").alias("earlier_us"))
        rows: pl.DataFrame = (
            evaluation.accounts.select("account", "party", "account_name", "score")[at.tolist()]
            .with_columns(pl.Series("campaign_id", [ids[i] for i in label.tolist()], pl.String))
            .join(earlier, on="account", how="left", maintain_order="left")
            .with_columns(
                pl.coalesce("earlier_us", pl.lit(evaluation.now_us)).alias("since_us"),
                pl.lit(0, pl.Int32).alias("misses"),
                pl.lit(None, pl.Int64).alias("missed_since_us"),
                pl.lit(flagged).alias("fast"),
                pl.lit(flagged).alias("flagged"),
            )
            .select(MEMBERS.names())
        )
        return rows

    def _settle(self, evaluation: Evaluation) -> set[str]:
        """States by what is left of each campaign: no flagged member, dissolved; nothing seen for long, dormant."""
        last = dict(
            self.members.filter("flagged")
            .join(evaluation.accounts.select("account", "last_seen_us"), on="account", how="left")
            .group_by("campaign_id")
            .agg(pl.col("last_seen_us").max())
            .iter_rows()
        )
        idle_us = evaluation.now_us - int(self._config.track.dormant_days * US_PER_DAY)
        changed = set()
        for campaign in self.campaigns.values():
            if campaign.state not in LIVE:
                continue
            state = DISSOLVED if campaign.campaign_id not in last else OPEN
            if state == OPEN and (last[campaign.campaign_id] or 0) < idle_us:
                state = DORMANT
            if state != campaign.state:
                campaign.state, campaign.updated_at_us = state, evaluation.now_us
                changed.add(campaign.campaign_id)
        oldest_us = evaluation.now_us - int(self._config.track.tombstone_days * US_PER_DAY)
        for campaign in list(self.campaigns.values()):
            if campaign.state not in LIVE and campaign.updated_at_us < oldest_us:
                del self.campaigns[campaign.campaign_id]
        return changed


def _differences(before: pl.DataFrame, after: pl.DataFrame) -> set[str]:
    """Campaigns whose membership differs between two MEMBERS frames."""
    keys = ["account", "campaign_id", "flagged"]
    gone = before.join(after, on=keys, how="anti")["campaign_id"]
    came = after.join(before, on=keys, how="anti")["campaign_id"]
    return set(gone.to_list()) | set(came.to_list())
