"""What is said of campaigns as such, beside the truth: how much they took, what they are after, and whether they moved with a release."""

from datetime import timedelta
from typing import Final

import polars as pl

from weaklink.campaigns.traits import STAGE_SHARE, STAGES
from weaklink.evaluation.figures import Figures, share, total
from weaklink.evaluation.identity import owners
from weaklink.evaluation.judged import ACCOUNT, Verdicts

_PIVOT: Final = "pivot:"
_MOVED_SHARE: Final = 0.25
"""An operator has moved when so much of its requests goes to the new model; below what `pivot_share` of any world makes of it."""
_WINDOWS_MIN: Final = 20
"""Of an operator in the time looked at, where the model is served: fewer show no move."""
_SETTLED: Final = (timedelta(days=1), timedelta(days=5))
"""After a release: from when on whoever moves within a day has moved, and until when it is looked at."""


def traits(verdicts: Verdicts, events: pl.DataFrame) -> Figures:
    """Of the found campaigns most of whose members are one operator's. events: the input of the backtest.

    taken_ratio: requests that campaigns are said to have taken / those of the operators' accounts, found or not. taken_covered: share of the
    campaigns within whose 95 % bounds lie the requests of their operator's accounts among their members.
    stages_right: share of the campaigns of whom just the stages are said that their operator's windows show.
    pivots_true: pairs of an operator that was found and a model that it moved to within a day of its release, by what it asked for from then on.
    pivots_found: share of these that one of its campaigns says. pivots_false: pairs that are said and not true.
    """
    accounts = verdicts.accounts.drop_nulls("operator")
    found = (
        verdicts.campaigns.join(owners(verdicts.accounts).drop_nulls("operator"), on="campaign_id")
        .join(
            accounts.group_by("campaign_id", "operator").agg(pl.col("requests").sum()),
            on=["campaign_id", "operator"],
            suffix="_true",
        )
        .with_columns(pl.col("traits").fill_null([]))
    )
    asked = accounts.join(found, on="operator", how="semi")["requests"]
    covered = found.select(pl.col("requests_true").is_between("taken_requests_low", "taken_requests_high")).to_series()
    said = found.select("operator", pl.col("traits").alias("trait")).explode("trait").drop_nulls()
    used = events.filter(pl.col("event_type") == "ApiUsage").join(accounts.select(*ACCOUNT, "operator"), on=ACCOUNT)
    return {
        "taken_ratio": share(total(found["taken_requests"]), total(asked)),
        "taken_covered": share(total(covered), found.height),
        "stages_right": share(_stages_right(found, used), found.height),
        **_pivots(said, used.join(found, on="operator", how="semi"), events),
    }


def _stages_right(found: pl.DataFrame, used: pl.DataFrame) -> int:
    """Campaigns that name just the stages for which their operator's windows were, `STAGE_SHARE` each."""
    shares = (
        used.group_by("operator", "task")
        .len()
        .with_columns((pl.col("len") / pl.col("len").sum().over("operator")).alias("share"))
        .filter(pl.col("task").is_in(list(STAGES)) & (pl.col("share") >= STAGE_SHARE))
    )
    true = {name: {STAGES[task] for task in rows["task"]} for (name,), rows in shares.group_by("operator")}
    stages = set(STAGES.values())
    named = found.select("operator", "traits").iter_rows()
    return sum(stages & set(words) == true.get(operator, set()) for operator, words in named)


def _pivots(said: pl.DataFrame, used: pl.DataFrame, events: pl.DataFrame) -> Figures:
    """said: [operator, trait]. used: their ApiUsage events, with `operator`."""
    pair = ["operator", "model"]
    claimed = (
        said.filter(pl.col("trait").str.starts_with(_PIVOT))
        .select("operator", pl.col("trait").str.strip_prefix(_PIVOT).alias("model"))
        .unique()
    )
    released = (
        events.filter(pl.col("event_type") == "ModelReleased")
        .group_by("model")
        .agg(pl.col("occurred_at").min().alias("released_at"))
    )
    served = events.filter(pl.col("event_type") == "ApiUsage").select("party", "model").unique()
    after = (
        used.select("operator", "party", "occurred_at", "requests", pl.col("model").alias("asked_for"))
        .join(served.join(released, on="model"), on="party")
        .filter((pl.col("occurred_at") - pl.col("released_at")).is_between(*_SETTLED))
    )
    moved = after.group_by(pair).agg(
        pl.len().alias("windows"),
        (pl.col("requests").filter(pl.col("asked_for") == pl.col("model")).sum() / pl.col("requests").sum()).alias(
            "share"
        ),
    )
    true = moved.filter((pl.col("windows") >= _WINDOWS_MIN) & (pl.col("share") >= _MOVED_SHARE)).select(pair)
    return {
        "pivots_true": true.height,
        "pivots_found": share(true.join(claimed, on=pair, how="semi").height, true.height),
        "pivots_false": claimed.join(true, on=pair, how="anti").height,
    }
