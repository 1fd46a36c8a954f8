"""How a campaign went day by day, by which doors it came in, and what measures did to it: the closed loop's report."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import polars as pl

from weaklink.campaigns.identity import Campaign
from weaklink.campaigns.profiles import US_PER_DAY, US_PER_HOUR
from weaklink.campaigns.state import CampaignsState
from weaklink.parties import PartyKind
from weaklink.weaklinks.scorecard import entered

DAYS_MAX: Final = 90
DOORS_MAX: Final = 50
BEFORE_DAYS: Final = 3
"""Days before a measure over which the volume that it meets is taken."""


def member_lives(members: pl.DataFrame, state: CampaignsState) -> pl.DataFrame:
    """[account, party, requests, first_seen_us, first_usage_us, lost_us, obeyed_at_us, disputed]; `members`: identity.MEMBERS rows.

    lost_us: closed, or suspended by its party's word; null: neither.
    """
    profiles = state.profiles.accounts.of(members["account"])
    spoken = state.feedback.of(members["account"])
    return (
        profiles.select("account", "party", "account_name", "requests", "first_seen_us", "first_usage_us", "closed_at_us")
        .join(spoken, on="account", how="left", maintain_order="left")
        .select(
            "account", "party", "account_name", "requests", "first_seen_us", "first_usage_us", "obeyed_at_us",
            pl.min_horizontal("closed_at_us", "suspended_at_us").alias("lost_us"),
            pl.col("disputed_at_us").is_not_null().alias("disputed"),
        )
    )  # fmt: skip


def course(
    campaign: Campaign, lives: pl.DataFrame, daily: pl.DataFrame, now_us: int, disputed_before: int
) -> dict[str, Any]:
    """Fields of Avro CampaignCourse without `doors`, times in microseconds.

    `lives`: member_lives. `daily`: profiles.DAILY rows of these accounts. `disputed_before`: former members that were disputed.
    """
    first_us = lives["lost_us"].min()
    assert first_us is None or isinstance(first_us, int)
    new = pl.col("first_seen_us") > first_us if first_us is not None else pl.lit(value=False)
    lives = lives.with_columns(new.alias("new"))
    used = daily.join(lives.select("account", "new"), on="account")
    return {
        "campaign_id": campaign.campaign_id,
        "at": now_us,
        "days": _days(lives, used),
        "requests": int(lives["requests"].sum() or 0),
        "measures": measure_effects(campaign, lives, daily, now_us),
        "losses": None if first_us is None else _losses(lives, used, first_us, now_us, disputed_before),
    }


def _days(lives: pl.DataFrame, used: pl.DataFrame) -> list[dict[str, Any]]:
    day = pl.col("first_seen_us") // US_PER_DAY
    by_day = used.group_by(pl.col("day").cast(pl.Int64)).agg(
        pl.col("requests").sum(), pl.col("requests").filter("new").sum().alias("requests_new")
    )
    came = lives.group_by(day.alias("day")).agg(pl.len().cast(pl.Int64).alias("accounts_new"))
    lost = lives.drop_nulls("lost_us").group_by((pl.col("lost_us") // US_PER_DAY).alias("day"))
    went = lost.agg(pl.len().cast(pl.Int64).alias("accounts_lost"))
    rows = by_day.join(came, on="day", how="full", coalesce=True).join(went, on="day", how="full", coalesce=True)
    rows = rows.fill_null(0).sort("day").tail(DAYS_MAX)
    return [row | {"day": row["day"] * US_PER_DAY} for row in rows.iter_rows(named=True)]


def _losses(
    lives: pl.DataFrame, used: pl.DataFrame, first_us: int, now_us: int, disputed_before: int
) -> dict[str, Any]:
    first_day, last_day = first_us // US_PER_DAY, now_us // US_PER_DAY - 1
    before = used.filter((pl.col("day") < first_day) & (pl.col("day") >= first_day - BEFORE_DAYS))
    seen = max(before["day"].n_unique(), 1)
    after = used.filter(pl.col("day") == last_day)
    over = last_day > first_day
    elsewhere, hours = returns(lives)
    return {
        "first_at": first_us,
        "accounts": int(lives["lost_us"].count()),
        "requests_per_day_before": float(before["requests"].sum()) / seen,
        "requests_per_day_after": float(after["requests"].sum()) if over else None,
        "returned_accounts": int(lives["new"].sum()),
        "returned_elsewhere": elsewhere,
        "returned_requests_per_day": float(after.filter("new")["requests"].sum()) if over else None,
        "hours_to_return_median": hours,
        "disputed_accounts": int(lives["disputed"].sum()) + disputed_before,
    }


def returns(lives: pl.DataFrame) -> tuple[int, float | None]:
    """(returns at another party, median hours from loss to return): each new account is matched with the oldest loss before it that none has taken.

    `lives`: [party, first_seen_us, lost_us, new]. New accounts that find no loss are growth, and count in neither.
    """
    losses = lives.drop_nulls("lost_us").sort("lost_us", "party").select("party", "lost_us").rows()
    opened = lives.filter("new").sort("first_seen_us", "party").select("party", "first_seen_us").rows()
    elsewhere, hours, place = 0, [], 0
    for party, at_us in opened:
        if place == len(losses) or losses[place][1] >= at_us:
            continue
        lost_party, lost_us = losses[place]
        place += 1
        elsewhere += party != lost_party
        hours.append((at_us - lost_us) / US_PER_HOUR)
    return elsewhere, round(float(np.median(hours)), 2) if hours else None


def measure_effects(campaign: Campaign, lives: pl.DataFrame, daily: pl.DataFrame, now_us: int) -> list[dict[str, Any]]:
    """Avro MeasureEffect by kind of measure, of the measures on members' accounts that stand."""
    asked = [
        (one["party"], one["target_account"], one["measure"], one["benign_accounts_touched"])
        for one in campaign.measures
        if one["target_account"] is not None
    ]
    schema = {"party": pl.String, "account_name": pl.String, "measure": pl.String, "touched": pl.Int64}
    targets = pl.DataFrame(asked, schema=schema, orient="row").join(lives, on=["party", "account_name"])
    last_day = now_us // US_PER_DAY - 1
    done = targets.drop_nulls("obeyed_at_us").with_columns((pl.col("obeyed_at_us") // US_PER_DAY).alias("done_day"))
    lived = (pl.col("done_day") - pl.col("first_usage_us") // US_PER_DAY).clip(0, BEFORE_DAYS)
    done = done.with_columns(
        lived.fill_null(0).alias("days_before"), (last_day - pl.col("done_day")).alias("days_after")
    )
    whole = done.filter((pl.col("days_before") > 0) & (pl.col("days_after") > 0))
    used = whole.select("account", "measure", "done_day", "days_before", "days_after").join(daily, on="account")
    day = pl.col("day").cast(pl.Int64)
    rates = used.group_by("measure").agg(
        (pl.col("requests") / pl.col("days_before"))
        .filter((day < pl.col("done_day")) & (day >= pl.col("done_day") - pl.col("days_before")))
        .sum()
        .alias("before"),
        (pl.col("requests") / pl.col("days_after")).filter((day > pl.col("done_day")) & (day <= last_day)).sum().alias("after"),
    )  # fmt: skip
    counted = targets.group_by("measure").agg(pl.len().alias("standing"))
    obeyed = done.group_by("measure").agg(pl.len().alias("obeyed"), pl.col("touched").sum())
    measured = whole.group_by("measure").agg(pl.len().alias("measured"))
    rows = counted.join(obeyed, on="measure", how="left").join(measured, on="measure", how="left")
    rows = rows.join(rates, on="measure", how="left").with_columns(pl.exclude("measure").fill_null(0)).sort("measure")
    return [
        {
            "measure": row["measure"],
            **{name: int(row[name]) for name in ("standing", "obeyed", "measured")},
            "requests_per_day_before": float(row["before"]),
            "requests_per_day_after": float(row["after"]),
            "benign_accounts_touched": int(row["touched"]),
        }
        for row in rows.iter_rows(named=True)
    ]


def doors(
    campaign: Campaign, lives: pl.DataFrame, links: pl.DataFrame, parties: Mapping[str, PartyKind]
) -> list[dict[str, Any]]:
    """Avro Door by party. `links`: planning.shared_links of the campaign."""
    kinds = pl.DataFrame(
        {"party": list(parties), "party_kind": [str(kind) for kind in parties.values()]},
        schema={"party": pl.String, "party_kind": pl.String},
    )
    first = pl.DataFrame(
        [(one["party"], one["issued_at_us"]) for one in campaign.measures],
        schema={"party": pl.String, "first_us": pl.Int64},
        orient="row",
    )
    owners = links.select("account", "party").unique()
    came = entered(lives.select("account", "party", "requests"), links, owners, kinds)
    by_door = came.group_by("party").agg(pl.col("requests").sum().alias("requests_entered"))
    own = lives.join(first.group_by("party").agg(pl.col("first_us").min()), on="party", how="left")
    after = (pl.col("first_seen_us") > pl.col("first_us")).fill_null(value=False)
    by_party = own.group_by("party").agg(
        pl.len().alias("accounts"),
        pl.col("requests").sum(),
        after.sum().alias("accounts_after"),
        pl.col("requests").filter(after).sum().alias("requests_after"),
    )
    rows = by_door.join(by_party, on="party", how="full", coalesce=True).with_columns(pl.exclude("party").fill_null(0))
    return rows.sort("requests_entered", "party", descending=[True, False]).head(DOORS_MAX).to_dicts()
