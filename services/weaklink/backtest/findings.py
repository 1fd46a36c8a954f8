"""What a run says about weak links: classes to harden, party scorecards, replays of the plans, and how soon their measures cut."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

import polars as pl

from weaklink.campaigns import planning
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.customers import Customers
from weaklink.campaigns.outcome import Evaluation
from weaklink.campaigns.profiles import Profiles
from weaklink.parties import PartyKind
from weaklink.weaklinks import classes as weak
from weaklink.weaklinks.config import WeakLinksConfig
from weaklink.weaklinks.curve import CURVE, at_measures_per_account, cut_curve
from weaklink.weaklinks.cuts import MEMBER_COLUMNS
from weaklink.weaklinks.entries import entries
from weaklink.weaklinks.replay import EVERY_PARTY, NO_PLAN, REPLAY, replay_plan, token_holdings, with_account_keys
from weaklink.weaklinks.scorecard import scorecards

_US_PER_DAY: Final = 86_400_000_000
_CAMPAIGN: Final = ("campaign_id", pl.String())
WEAK_LINKS: Final = pl.Schema([_CAMPAIGN, *weak.CLASSES.items(), ("recommendation", pl.String())])
"""Classes of accounts by campaign (null: all campaigns together). recommendation: what to harden, null where the finding is not sure."""
REPLAYS: Final = pl.Schema([_CAMPAIGN, *REPLAY.items()])
CURVES: Final = pl.Schema([_CAMPAIGN, *CURVE.items()])
_SHOWN_MAX: Final = 3
_MEASURES_PER_ACCOUNT: Final = 1 / 20


@dataclass(frozen=True, slots=True)
class Findings:
    """weak_links: WEAK_LINKS. scorecards: `scorecard.SCORECARDS`. replays: REPLAYS. curves: CURVES."""

    weak_links: pl.DataFrame
    scorecards: pl.DataFrame
    replays: pl.DataFrame
    curves: pl.DataFrame

    def frames(self) -> dict[str, pl.DataFrame]:
        """By name, in order."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


@dataclass(frozen=True, slots=True)
class Run:
    """What findings are made from.

    members: track.MEMBERS, as of the end. activity: frames.ACTIVITY, all of it. links: frames.SHARED as they stand.
    measures: [campaign_id, party, measure, target_account, target_token, issued_at_us, until_us], the actions that were issued.
    """

    members: pl.DataFrame
    activity: pl.DataFrame
    links: pl.DataFrame
    profiles: Profiles
    customers: Customers
    measures: pl.DataFrame
    evaluation: Evaluation
    parties: Mapping[str, PartyKind]


def findings(run: Run, campaigns: CampaignsConfig, config: WeakLinksConfig) -> Findings:
    """Of all campaigns that have members at the end of a run."""
    kinds = pl.DataFrame(
        {"party": list(run.parties), "party_kind": [str(kind) for kind in run.parties.values()]},
        schema={"party": pl.String, "party_kind": pl.String},
    )
    flagged = run.members.filter("flagged").select("account", "party", "account_name", "campaign_id")
    entered = entries(run.activity, run.links, kinds)
    usage = (
        run.activity.filter(pl.col("record") == "ApiUsage")
        .select("account", pl.col("first_seen_us").alias("at_us"), "requests")
        .join(flagged.select("account", "campaign_id"), on="account")
    )
    first = run.activity.group_by("account").agg(pl.col("first_seen_us").min(), pl.col("requests").sum())
    counted = flagged.select("account", "party").join(first, on="account")
    answers = run.measures.with_columns(answer=pl.lit(None, pl.String), answered_at_us=pl.lit(None, pl.Int64))
    return Findings(
        weak_links=_weak_links(entered, flagged),
        scorecards=scorecards(counted, run.links, entered.select("account", "party"), answers, kinds),
        replays=_replays(run, flagged, usage, config),
        curves=_curves(run, first, campaigns, config),
    )


def _weak_links(entered: pl.DataFrame, flagged: pl.DataFrame) -> pl.DataFrame:
    """Classes over all campaigns, then of each, always against the accounts of none."""
    known = entered.join(flagged.select("account", "campaign_id"), on="account", how="left").with_columns(
        pl.col("campaign_id").is_not_null().alias("campaign")
    )
    benign = known.filter(~pl.col("campaign"))
    groups: list[tuple[str | None, pl.DataFrame]] = [(None, known)]
    groups += [
        (str(name), pl.concat([rows, benign]))
        for (name,), rows in known.filter("campaign")
        .partition_by("campaign_id", as_dict=True, maintain_order=True)
        .items()
    ]
    groups = groups if flagged.height else []
    parts = [
        weak.classes(rows)
        .filter(pl.col("campaign_accounts") > 0)
        .with_columns(pl.lit(name, pl.String).alias("campaign_id"), weak.recommendation())
        for name, rows in groups
    ]
    return _stacked(parts, WEAK_LINKS)


def _replays(run: Run, flagged: pl.DataFrame, usage: pl.DataFrame, config: WeakLinksConfig) -> pl.DataFrame:
    """Every campaign's plan again, as its measures were issued, each in effect after its party's usual time to act."""
    parts = []
    hours = dict.fromkeys(run.parties, config.hours_to_act)
    for (name,), asked in run.measures.partition_by("campaign_id", as_dict=True, maintain_order=True).items():
        own = flagged.filter(pl.col("campaign_id") == name).select("account")
        used = usage.filter(pl.col("campaign_id") == name)
        if used.is_empty():
            continue
        lessees = with_account_keys(asked.filter(pl.col("measure") == "REVOKE_LEASE").drop_nulls("target_account"))
        concerned = pl.concat([own, lessees.select("account")]).unique()
        holdings = token_holdings(run.links.join(concerned, on="account", how="semi"))
        found = replay_plan(asked.drop("campaign_id"), used.drop("campaign_id"), holdings, hours, config)
        parts.append(found.with_columns(pl.lit(name, pl.String).alias("campaign_id")))
    return _stacked(parts, REPLAYS)


def _curves(run: Run, first: pl.DataFrame, campaigns: CampaignsConfig, config: WeakLinksConfig) -> pl.DataFrame:
    """By the mean volume of each account over the whole history: at its end many are idle already."""
    days = max(1.0, (run.evaluation.now_us - int(first["first_seen_us"].min() or 0)) / _US_PER_DAY)  # type: ignore[arg-type]
    mean = first.select("account", (pl.col("requests") / days).alias("mean_requests"))
    members = planning.plan_members(run.members, run.evaluation, run.profiles.parties.rows(), campaigns).join(
        mean, on="account", how="left"
    )
    members = members.with_columns(pl.col("mean_requests").fill_null(0.0).alias("requests_per_day"))
    parts = []
    for (name,), rows in members.partition_by("campaign_id", as_dict=True, maintain_order=True).items():
        links = planning.shared_links(rows, run.links, run.evaluation.accounts)
        found = cut_curve(
            rows.select(MEMBER_COLUMNS),
            links,
            run.parties,
            config,
            slices=planning.reseller_slices(rows, run.profiles, run.customers, run.evaluation, campaigns),
        )
        parts.append(found.with_columns(pl.lit(name, pl.String).alias("campaign_id")))
    return _stacked(parts, CURVES)


def _stacked(parts: list[pl.DataFrame], schema: pl.Schema) -> pl.DataFrame:
    """All parts in one frame of this schema."""
    if not parts:
        return pl.DataFrame(schema=schema)
    return pl.concat([part.select(pl.col(name).cast(dtype) for name, dtype in schema.items()) for part in parts])


def lines(found: Findings) -> list[str]:
    """The findings in a few sentences, for a summary."""
    said = []
    replays = found.replays.group_by("acting").agg(pl.col("prevented").sum(), pl.col("requests").sum())
    shares = {
        row["acting"]: row["prevented"] / row["requests"] for row in replays.iter_rows(named=True) if row["requests"]
    }
    # A party that is in no plan of a campaign prevents nothing of it, so every share is of all campaigns' requests.
    total = float(replays.filter(pl.col("acting") == EVERY_PARTY)["requests"].sum())
    alone = {
        row["acting"]: row["prevented"] / total
        for row in replays.iter_rows(named=True)
        if total and row["acting"] not in (EVERY_PARTY, NO_PLAN)
    }
    if EVERY_PARTY in shares and alone:
        party, best = max(alone.items(), key=lambda item: (item[1], item[0]))
        said.append(
            f"replayed, the plans prevent {shares[EVERY_PARTY]:.0%} of the campaigns' requests; {party} alone, the best single party, {best:.0%}"
        )
    curves = [
        (int(rows["accounts"].item(0)), *at_measures_per_account(rows, _MEASURES_PER_ACCOUNT))
        for rows in found.curves.partition_by("campaign_id", maintain_order=True)
    ]
    accounts = sum(many for many, _, _ in curves)
    if accounts:
        cut, only = (sum(one[0] * one[place] for one in curves) / accounts for place in (1, 2))
        said.append(f"with one measure per 20 accounts they cut {cut:.0%} of the volume, on accounts alone {only:.0%}")
    advice = found.weak_links.filter(pl.col("campaign_id").is_null())["recommendation"].drop_nulls()
    return said + advice.head(_SHOWN_MAX).to_list()
