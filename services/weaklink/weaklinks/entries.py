"""By which doors accounts came in: plan, verification, mail and address class, programme, and the instrument that pays for them."""

from typing import Final

import polars as pl

from weaklink.parties import PartyKind
from weaklink.weaklinks import measures as m

PROGRAMMES: Final = ("EDUCATION", "STARTUP")
"""Plans that are entered through a programme, on credits and with little verification."""
_UNKNOWN: Final = "UNKNOWN"
ENTRIES: Final = pl.Schema(
    [
        ("account", pl.UInt64()),
        ("party", pl.String()),
        ("requests", pl.Int64()),
        ("plan", pl.String()),
        ("verified", pl.String()),
        ("mail_class", pl.String()),
        ("address_class", pl.String()),
        ("instrument", pl.String()),
        ("programme", pl.String()),
    ]
)
"""One row per account; null where it is not known. instrument: what paid most often with the account's own cards and bank accounts."""


def entries(activity: pl.DataFrame, links: pl.DataFrame, parties: pl.DataFrame) -> pl.DataFrame:
    """ENTRIES from frames.ACTIVITY and frames.SHARED rows, and parties: [party, party_kind String].

    The address class is the one that most requests came from, else that of the opening; the newest opening counts.
    """
    rows = activity.filter(pl.col("account") != 0)
    opened = rows.filter(pl.col("record") == "AccountOpened").sort("last_seen_us", "plan", "verified")
    openings = opened.group_by("account").agg(
        _known("plan").last(),
        _known("verified", unknown="").last(),
        _known("mail_class").last(),
        _known("address_class").last().alias("opening_class"),
    )
    usage = rows.filter(pl.col("record") == "ApiUsage")
    paid = _most(
        rows.filter(pl.col("record") == "PaymentAttempt").select("account", _known("instrument"), "events"),
        "instrument",
    )
    return (
        rows.group_by("account")
        .agg(pl.col("party").first(), pl.col("requests").sum())
        .join(openings, on="account", how="left")
        .join(_most(usage.select("account", _known("address_class"), "requests"), "address_class"), on="account", how="left")
        .join(_instruments(paid, links, rows, parties), on="account", how="left")
        .with_columns(
            pl.coalesce("address_class", "opening_class").alias("address_class"),
            pl.when(pl.col("plan").is_in(PROGRAMMES)).then("plan").when(pl.col("plan").is_not_null()).then(pl.lit("NONE")).alias("programme"),
        )
        .select(pl.col(name).cast(dtype) for name, dtype in ENTRIES.items())
        .sort("account")
    )  # fmt: skip


def _known(name: str, unknown: str = _UNKNOWN) -> pl.Expr:
    """The symbol as a String, null where it says nothing."""
    text = pl.col(name).cast(pl.String)
    return pl.when(text != unknown).then(text).alias(name)


def _most(weighted: pl.DataFrame, name: str) -> pl.DataFrame:
    """[account, name]: the value of most weight (the third column); of equals the first in the alphabet."""
    weight = weighted.columns[2]
    return (
        weighted.drop_nulls(name)
        .group_by("account", name)
        .agg(pl.col(weight).cast(pl.Int64).sum())
        .sort("account", pl.col(weight), name, descending=[False, True, False])
        .unique("account", keep="first", maintain_order=True)
        .select("account", name)
    )


def _instruments(paid: pl.DataFrame, links: pl.DataFrame, rows: pl.DataFrame, parties: pl.DataFrame) -> pl.DataFrame:
    """[account, instrument] of payers, and of accounts elsewhere that hold a token with which a payer paid."""
    payers = (
        rows.select("account", "party")
        .unique("account")
        .join(parties.filter(pl.col("party_kind") == str(PartyKind.PAYMENT)), on="party", how="semi")
        .join(paid, on="account")
        .select("account", "instrument")
    )
    held = links.filter(pl.col("kind").is_in(m.INSTRUMENT_KINDS)).select("identifier", "account").unique()
    tokens = held.join(payers, on="account").select("identifier", "instrument").unique()
    by_token = held.join(payers.select("account"), on="account", how="anti").join(tokens, on="identifier")
    elsewhere = _most(by_token.select("account", "instrument", pl.lit(1).alias("tokens")), "instrument")
    return pl.concat([payers, elsewhere]).unique("account", keep="first", maintain_order=True)
