"""Who was flagged, who should have been, and what that prevented."""

from typing import Final

import polars as pl

from weaklink.evaluation.figures import Figures, least, mean, share, total
from weaklink.evaluation.judged import Verdicts

_FLAGGED: Final = pl.col("flagged_at").is_not_null()
_GUILTY: Final = pl.col("operator").is_not_null()


def detection(verdicts: Verdicts, tick_seconds: int = 3600) -> Figures:
    """Precision and recall by account and by volume, the worst campaign, and prevented.

    `prevented` = requests after `flagged_at` / all requests of the campaign's accounts, per campaign, averaged over campaigns.
    `prevented_possible`: the same if every account were flagged at the end of the tick of its first event, the most there is to reach.
    Any `flagged_at` counts as flagged, released or not. Precision is null when nothing was flagged, and recall without campaigns.
    """
    accounts, found = verdicts.accounts, campaigns(verdicts)
    hits, guilty = accounts.filter(_FLAGGED & _GUILTY), accounts.filter(_GUILTY)
    flagged = accounts.filter(_FLAGGED)
    return {
        "accounts": accounts.height,
        "campaign_accounts": guilty.height,
        "flagged": flagged.height,
        "false_flags": flagged.height - hits.height,
        "precision": share(hits.height, flagged.height),
        "precision_volume": share(total(hits["requests"]), total(flagged["requests"])),
        "recall": share(hits.height, guilty.height),
        "recall_volume": share(total(hits["requests"]), total(guilty["requests"])),
        "recall_worst": least(found["recall"]),
        "recall_volume_worst": least(found["recall_volume"]),
        "prevented": mean(found["prevented"]),
        "prevented_worst": least(found["prevented"]),
        "prevented_possible": mean(possible(verdicts, tick_seconds)),
    }


def campaigns(verdicts: Verdicts) -> pl.DataFrame:
    """[operator, accounts, requests, recall, recall_volume, prevented], a row per true campaign, by name."""
    people = (
        verdicts.accounts.filter(_GUILTY)
        .group_by("operator")
        .agg(
            pl.len().alias("accounts"),
            _FLAGGED.mean().alias("recall"),
            (pl.col("requests").filter(_FLAGGED).sum() / pl.col("requests").sum()).alias("recall_volume"),
        )
    )
    late = pl.col("occurred_at") > pl.col("flagged_at")
    volume = (
        verdicts.usage.filter(_GUILTY)
        .group_by("operator")
        .agg(
            pl.col("requests").sum(),
            (pl.col("requests").filter(late).sum() / pl.col("requests").sum()).alias("prevented"),
        )
    )
    columns = ("operator", "accounts", "requests", "recall", "recall_volume", "prevented")
    joined = people.join(volume, on="operator", how="left").with_columns(pl.col("requests").fill_null(0))
    return joined.select(columns).with_columns(pl.col(pl.Float64).fill_nan(None)).sort("operator")


def possible(verdicts: Verdicts, tick_seconds: int) -> pl.Series:
    """Share of each campaign's requests that come after the tick in which their account was first seen."""
    known_at = (pl.col("seen_at").dt.timestamp("us") // (tick_seconds * 1_000_000) + 1) * (tick_seconds * 1_000_000)
    later = pl.col("occurred_at").dt.timestamp("us") > known_at
    table = (
        verdicts.usage.filter(_GUILTY)
        .group_by("operator")
        .agg((pl.col("requests").filter(later).sum() / pl.col("requests").sum()).alias("possible"))
    )
    return table["possible"].fill_nan(None)


def precision_recall(verdicts: Verdicts, points: int = 40) -> list[dict[str, float]]:
    """The curve of the score at the end of the run: threshold, precision and recall by account, from strict to loose."""
    ranked = verdicts.accounts.select("score", _GUILTY.alias("guilty")).sort("score", descending=True)
    every = total(ranked["guilty"])
    if every == 0:
        return []
    # Accounts of equal score are taken together: no order among them means anything.
    steps = (
        ranked.group_by("score", maintain_order=True)
        .agg(pl.len(), pl.col("guilty").sum())
        .with_columns(pl.col("len").cum_sum(), pl.col("guilty").cum_sum())
        .with_columns((pl.col("guilty") / pl.col("len")).alias("precision"), (pl.col("guilty") / every).alias("recall"))
    )
    wanted = pl.Series([every * (i + 1) / points for i in range(points)])
    at = steps["guilty"].search_sorted(wanted, side="left").clip(0, steps.height - 1).unique()
    return [
        {"threshold": threshold, "precision": precision, "recall": recall}
        for threshold, precision, recall in steps[at].select("score", "precision", "recall").iter_rows()
    ]
