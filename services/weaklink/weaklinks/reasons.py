"""Why a measure is asked for: the evidence as codes, weights and numbers of parties, never as names or tokens."""

from typing import Final

import polars as pl

from weaklink.records.identifiers import IdentifierKind
from weaklink.weaklinks.config import WeakLinksConfig
from weaklink.weaklinks.holdings import Holdings

_WEIGHT_MAX: Final = 5.0
"""Nats that one kind of shared identifier may count, as the structure of all hard kinds together (DETECTION: step 3)."""
_CODES: Final = {int(kind): f"SHARED_{kind.name}" for kind in IdentifierKind}
REASON: Final = pl.Struct({"code": pl.String, "weight": pl.Float64, "parties": pl.Int32})


def token_reasons(held: Holdings) -> pl.DataFrame:
    """[token, reasons]: how much more the campaign holds the token than others do, in nats."""
    return held.tokens.select("token", pl.concat_list(_reason(_weight())).alias("reasons"))


def account_reasons(held: Holdings, config: WeakLinksConfig) -> pl.DataFrame:
    """[row, reasons] per member: what it shares with the others by kind, its party's own finding, its belief."""
    shared = (
        held.held.filter(pl.col("row").is_not_null())
        .select("row", "token")
        .join(held.tokens.filter(pl.col("members") >= 2), on="token")
        .group_by("row", "kind")
        .agg(_weight().sum().clip(0.0, _WEIGHT_MAX).alias("weight"), pl.col("parties").max())
        .select("row", _reason(pl.col("weight")).alias("reason"))
    )
    return _heaviest(pl.concat([shared, *_own_reasons(held.members)]), config)


def belief_reasons(members: pl.DataFrame, config: WeakLinksConfig) -> pl.DataFrame:
    """[row, reasons] per member without its links: its belief, its party's own finding."""
    return _heaviest(pl.concat(_own_reasons(members)), config)


def _own_reasons(members: pl.DataFrame) -> list[pl.DataFrame]:
    score = pl.col("serves").clip(1e-6, 1 - 1e-6)
    parties = pl.col("supporting_parties").cast(pl.Int32)
    belief = members.select(
        "row",
        pl.struct(
            pl.lit("BELIEF").alias("code"), (score / (1.0 - score)).log().alias("weight"), parties.alias("parties")
        ).alias("reason"),
    )
    finding = members.filter("own_finding").select(
        "row",
        pl.struct(
            pl.lit("OWN_FINDING").alias("code"),
            pl.lit(2.0).alias("weight"),  # closed as DISTILLATION: +2 nats (DETECTION: step 2)
            pl.lit(1, dtype=pl.Int32).alias("parties"),
        ).alias("reason"),
    )
    return [belief, finding]


def _heaviest(found: pl.DataFrame, config: WeakLinksConfig) -> pl.DataFrame:
    ordered = found.sort(
        "row",
        pl.col("reason").struct.field("weight"),
        pl.col("reason").struct.field("code"),
        descending=[False, True, False],
    )
    return ordered.group_by("row", maintain_order=True).agg(pl.col("reason").head(config.reasons_max).alias("reasons"))


def _weight() -> pl.Expr:
    """Nats by which members outweigh benign holders; one of each on both sides keeps it finite."""
    return ((1.0 + pl.col("members")) / (1.0 + pl.col("benign"))).log().clip(0.0, _WEIGHT_MAX)


def _reason(weight: pl.Expr) -> pl.Expr:
    return pl.struct(
        pl.col("kind").replace_strict(_CODES, return_dtype=pl.String).alias("code"),
        weight.alias("weight"),
        pl.col("parties").cast(pl.Int32).alias("parties"),
    )
