"""From a campaign to its weak-link plan: the frames that the plan takes, and what each campaign looked like when it was last planned."""

from collections.abc import Mapping
from typing import Final

import polars as pl

from weaklink.campaigns import calibration
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.customers import Customers
from weaklink.campaigns.end_users import end_user_slices
from weaklink.campaigns.graph import UNLINKED_KINDS
from weaklink.campaigns.identity import Situation
from weaklink.campaigns.outcome import Evaluation
from weaklink.campaigns.profiles import US_PER_DAY, Profiles
from weaklink.campaigns.standing import Thresholds
from weaklink.parties import PartyKind
from weaklink.weaklinks.candidates import SLICES
from weaklink.weaklinks.config import WeakLinksConfig
from weaklink.weaklinks.cuts import MEMBER_COLUMNS, Plan, plan_campaign
from weaklink.weaklinks.holdings import FEEDING_KINDS

_SURE: Final = 0.9
HOLDER: Final = ("account", "party", "account_name", "score", "requests_per_day", "organisation_verified", "requests")


def plan_members(
    members: pl.DataFrame, evaluation: Evaluation, parties: pl.DataFrame, config: CampaignsConfig
) -> pl.DataFrame:
    """`MEMBER_COLUMNS` of the accounts in `members` (identity.MEMBERS rows of one or several campaigns), with campaign_id and totals.

    A confirmed member's score is its probability to be the operator's (`calibration`): what its measures say and are granted by.
    Established is judged as of the day an account joined: one that was suspended young does not grow old in its suspension. An account
    whose opening was not reported may be older than what its party tells: it is established unless it was first seen when its party had told
    what its accounts do for as long as it takes to be. `parties`: profiles.PARTIES.
    """
    facts = evaluation.accounts.drop("party", "account_name", "flagged")
    joined = members.select("account", "campaign_id", "party", "account_name", "flagged", "since_us").join(
        facts, on="account"
    )
    confidence = calibration.MEMBER.of(joined["score"])
    joined = joined.with_columns(pl.when("flagged").then(confidence).otherwise("score").alias("score"))
    old_us = int(config.conduct.old_account_days * US_PER_DAY)
    joined = joined.join(parties.rename({"since_us": "told_since_us"}), on="party", how="left", maintain_order="left")
    came_later = pl.when(pl.col("first_seen_us") >= pl.col("told_since_us") + old_us).then("first_seen_us")
    opened_us = pl.coalesce("opened_at_us", came_later)
    old = (pl.col("since_us") - opened_us >= old_us).fill_null(value=True)
    vouched = pl.col("organisation_verified") if config.organisation_established else pl.lit(value=False)
    joined = joined.with_columns((old | vouched).alias("established")).drop("told_since_us")
    # A reseller is in the campaign's way, not in the campaign: only its slice is known to serve it.
    return joined.with_columns((pl.col("reseller") | ~pl.col("flagged")).alias("reseller"))


def grounds(members: pl.DataFrame, thresholds: Thresholds) -> pl.DataFrame:
    """[account, campaign_id, grounds]: what speaks for a measure on each member, as bits; `members` as `plan_members` gives them.

    With `standing.grounds`, which asks the same of a measure: whoever has others than before is asked about anew.
    """
    return members.select(
        "account",
        "campaign_id",
        pl.sum_horizontal(
            bit.cast(pl.UInt8) * place
            for place, bit in (
                (1, pl.col("own_finding")),
                (2, pl.col("supporting_parties") >= thresholds.suspend_supporting_parties_min),
                (4, pl.col("hard_identifier")),
                (8, pl.col("established")),
                (16, pl.col("score") > thresholds.suspend_confidence_above),
                (32, pl.col("score") >= thresholds.challenge_confidence_min),
            )
        ).alias("grounds"),
    )


def situations(members: pl.DataFrame) -> dict[str, Situation]:
    """Situation of each campaign; `members` as `plan_members` gives them."""
    grouped = members.group_by("campaign_id").agg(
        pl.len(),
        pl.col("own_finding").sum().alias("own"),
        (pl.col("supporting_parties") > 1).sum().alias("supported"),
        pl.col("hard_identifier").sum().alias("hard"),
        pl.col("established").sum().alias("old"),
        (pl.col("score") > _SURE).sum().alias("sure"),
        pl.col("requests_per_day").sum(),
    )
    return {
        row["campaign_id"]: Situation(
            row["len"], (row["own"], row["supported"], row["hard"], row["old"], row["sure"]), row["requests_per_day"]
        )
        for row in grouped.iter_rows(named=True)
    }


def shared_links(members: pl.DataFrame, links: pl.DataFrame, accounts: pl.DataFrame) -> pl.DataFrame:
    """Links that `plan_campaign` takes: every node that two or more of these members hold, with all its holders.

    And all cards and addresses of those among the holders that never used anything (payers, lessees): whom they feed besides the
    campaign decides what may be asked about them. `accounts`: of all that the links name, [*HOLDER].
    """
    linking = links.filter(~pl.col("kind").is_in([int(kind) for kind in UNLINKED_KINDS]))
    held = linking.join(members.select("account"), on="account", how="semi")
    nodes = held.group_by("identifier", "slot").len().filter(pl.col("len") > 1).select("identifier", "slot")
    feeding = linking.filter(pl.col("kind").is_in(FEEDING_KINDS))
    idle = accounts.filter(pl.col("requests") == 0).select("account")
    feeders = feeding.join(nodes, on=["identifier", "slot"], how="semi").join(idle, on="account", how="semi")
    fed = feeding.join(feeders.select("account").unique(), on="account", how="semi").select("identifier", "slot")
    nodes = pl.concat([nodes, fed]).unique()
    holders = linking.join(nodes, on=["identifier", "slot"], how="semi")
    return holders.join(accounts.select(HOLDER).drop("requests"), on="account").sort("identifier", "slot", "account")


def reseller_slices(
    members: pl.DataFrame, profiles: Profiles, customers: Customers, evaluation: Evaluation, config: CampaignsConfig
) -> pl.DataFrame:
    """The campaign's part of its resellers' traffic (`candidates.SLICES`).

    By END_USER where the reseller names the customers of most of its usage; else by model: usage of the models that the
    campaign's own members extract.
    """
    resellers = members.filter("reseller").select("account", "requests_per_day")
    if resellers.is_empty():
        return pl.DataFrame(schema=SLICES)
    windows = profiles.accounts.of(resellers["account"]).select("account", "windows", "end_user_windows")
    share = pl.col("end_user_windows") >= config.reseller_end_user_share_min * pl.col("windows")
    names = resellers.join(windows.filter(share & (pl.col("end_user_windows") > 0)), on="account", how="semi")
    by_customer = end_user_slices(names, customers.of(names["account"]), evaluation.population.conduct, config)
    silent = resellers.join(names, on="account", how="anti")
    used = profiles.models.of(pl.concat([members["account"], silent["account"]]))
    return pl.concat([by_customer, _model_slices(members, silent, used)])


def _model_slices(members: pl.DataFrame, resellers: pl.DataFrame, models: pl.DataFrame) -> pl.DataFrame:
    own = models.join(members.filter(~pl.col("reseller")).select("account"), on="account", how="semi")
    targets = (
        own.group_by("model").agg(pl.col("requests").sum()).sort("requests", "model", descending=[True, False]).head(3)
    )
    used = models.join(resellers, on="account").with_columns(
        (pl.col("requests") / pl.col("requests").sum().over("account")).alias("share")
    )
    return used.join(targets.select("model"), on="model", how="semi").select(
        pl.col("account"),
        pl.col("model").alias("slice_model"),
        pl.lit(None, pl.Binary).alias("slice_end_user"),
        (pl.col("share") * pl.col("requests_per_day")).alias("requests_per_day"),
    ).match_to_schema(SLICES)  # fmt: skip


def make_plan(
    members: pl.DataFrame,
    links: pl.DataFrame,
    slices: pl.DataFrame,
    parties: Mapping[str, PartyKind],
    config: WeakLinksConfig,
    *,
    time_limit_seconds: float,
) -> Plan:
    """The plan of one campaign. `members` from `plan_members`, `links` from `shared_links`, `slices` from `reseller_slices`."""
    return plan_campaign(members.select(MEMBER_COLUMNS), links, parties, config, time_limit_seconds, slices=slices)
