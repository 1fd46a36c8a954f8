"""Campaigns as identities: whether a found campaign is one operator's, and whether an operator is one found campaign."""

from typing import Final

import polars as pl

from weaklink.evaluation.figures import Figures, least, share, total, weighted

OWNERS: Final = pl.Schema({"campaign_id": pl.String, "operator": pl.String, "members": pl.UInt32, "purity": pl.Float64})
"""operator: whose accounts most of the members are; null when most are benign. purity: their share of the members."""


def owners(accounts: pl.DataFrame) -> pl.DataFrame:
    """OWNERS of every found campaign that has members at the end of the run. accounts: JUDGED."""
    members = accounts.filter(pl.col("campaign_id").is_not_null())
    return (
        members.group_by("campaign_id", "operator")
        .len()
        .sort(["campaign_id", "len", "operator"], descending=[False, True, False], nulls_last=True)
        .group_by("campaign_id", maintain_order=True)
        .agg(pl.col("operator").first(), pl.col("len").sum().alias("members"), pl.col("len").first().alias("main"))
        .select("campaign_id", "operator", "members", (pl.col("main") / pl.col("members")).alias("purity"))
        .with_columns(pl.when(pl.col("operator").is_null()).then(0.0).otherwise("purity").alias("purity"))
        .match_to_schema(OWNERS)
    )


def identity(accounts: pl.DataFrame) -> Figures:
    """Purity over found campaigns (by member, and the worst), and how many ids a true campaign that was found ends up with."""
    found = owners(accounts)
    mine = found.drop_nulls("operator")
    main = mine.group_by("operator").agg(pl.col("members").max().alias("main"), pl.col("members").sum(), pl.len())
    return {
        "campaigns_true": accounts["operator"].drop_nulls().n_unique(),
        "campaigns_found": found.height,
        "campaigns_matched": main.height,
        "purity": weighted(found["purity"], found["members"]),
        "purity_worst": least(found["purity"]),
        "ids_per_campaign": share(mine.height, main.height),
        "main_id_share": share(total(main["main"]), total(main["members"])),
    }


def stability(early: pl.DataFrame, late: pl.DataFrame) -> float | None:
    """Share of the accounts that were members at both times whose campaign kept its main id: ids that merged into one count as kept.

    early, late: [party, account, campaign_id] of the same run at two times. An id of `early` is carried on by the id of `late`
    that most of its accounts have; an id of `late` that carries on several is still one campaign.
    """
    both = early.drop_nulls("campaign_id").join(late.drop_nulls("campaign_id"), on=["party", "account"], suffix="_late")
    if both.is_empty():
        return None
    same = both["campaign_id"] == both["campaign_id_late"]
    ids = set(late["campaign_id"].drop_nulls())
    merged = ~both["campaign_id"].is_in(ids)  # its id is gone: it was merged, which is a continuation and not a change
    main = (
        both.filter(merged)
        .group_by("campaign_id", "campaign_id_late")
        .len()
        .group_by("campaign_id")
        .agg(pl.col("len").max())["len"]
        .sum()
    )
    return (int((same & ~merged).sum()) + int(main)) / both.height
