"""Candidate measures of a campaign, and how much of each member's volume flows through each.

Three kinds of columns: a token at a party that sent it (BLOCK_IDENTIFIER, REVOKE_LEASE), a cloud's account with all that it
leases (REVOKE_LEASE), and a slice of a reseller's traffic (THROTTLE). Measures on single accounts follow in `assemble`.
"""

from dataclasses import dataclass
from typing import Final

import polars as pl

from weaklink.parties import PartyKind
from weaklink.records.identifiers import IdentifierKind
from weaklink.weaklinks import measures as m
from weaklink.weaklinks.config import WeakLinksConfig
from weaklink.weaklinks.holdings import Holdings

_IP: Final = int(IdentifierKind.IP)
SHARE_STEPS: Final = 32
"""Shares are rounded to 1/32, so that accounts which stand alike become one group."""

SLICES: Final = pl.Schema(
    {
        "account": pl.UInt64,
        "slice_model": pl.String,
        "slice_end_user": pl.Binary,
        "requests_per_day": pl.Float64,
    }
)
"""The campaign's part of a reseller's traffic: usage of these models, or for these END_USER tokens."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """The columns of the cut problem that may cut several accounts' volume.

    columns: [column UInt32, party, measure `measures.MEASURE`, token UInt32 of `holdings.tokens` or null, row UInt32 of the
    target account or null, slice_model, slice_end_user, price f64 (account-equivalents)]. flows: [row, column, share f64], the
    share of the member's volume that the column cuts. cuts_tokens: [column, token, harm f64 (0 to 1)].
    """

    columns: pl.DataFrame
    flows: pl.DataFrame
    cuts_tokens: pl.DataFrame


def candidates(held: Holdings, slices: pl.DataFrame, config: WeakLinksConfig) -> Candidates:
    """Every measure that is not on a single member's account alone; members need a column `own` (`own_measure`)."""
    known = held.held.join(
        held.tokens.filter(pl.col("holders") <= config.hub_holders_max).select("token", "kind"), on="token"
    )
    blocked = known.filter(
        pl.col("kind").is_in(m.INSTRUMENT_KINDS) & (pl.col("party_kind") == str(PartyKind.PAYMENT))
    ).select("token", "party", "kind")
    leases = known.filter((pl.col("kind") == _IP) & (pl.col("party_kind") == str(PartyKind.CLOUD)))
    lessees = held.members.filter(
        (pl.col("party_kind") == str(PartyKind.CLOUD)) & (pl.col("own") == m.REVOKE_LEASE)
    ).select("row", "party")
    # An address that only such members lease goes with the account, not on its own.
    loose = leases.join(lessees.select("row"), on="row", how="anti").select("token", "party", "kind")
    columns = pl.concat(
        [
            _token_columns(blocked, m.BLOCK_IDENTIFIER, config),
            _token_columns(loose, m.REVOKE_LEASE, config),
            _lessee_columns(lessees, config),
            _slice_columns(held.members, slices, config),
        ]
    ).with_row_index("column")
    leased = leases.join(lessees.select("row"), on="row", how="semi").select("token", "row", "party")
    by_lessee = columns.filter(pl.col("row").is_not_null()).select("column", "row").join(leased, on="row")
    cuts = pl.concat(
        [
            columns.filter(pl.col("token").is_not_null()).select("column", "token", "party", "measure"),
            by_lessee.with_columns(pl.lit(m.REVOKE_LEASE, dtype=m.MEASURE).alias("measure")).select(
                "column", "token", "party", "measure"
            ),
        ]
    )
    flows = (
        pl.concat(
            [
                _flows_through_tokens(_through_tokens(held, known), cuts, config),
                _flows_of_accounts(held.members, columns, slices, config),
            ]
        )
        .group_by("row", "column")
        .agg(pl.col("share").max())
        .filter(pl.col("share") > 0)
        .sort("row", "column")
    )
    harms = pl.col("measure").cast(pl.String).replace_strict(m.harm(config), return_dtype=pl.Float64)
    return Candidates(columns, flows, cuts.select("column", "token", harms.alias("harm")))


def _token_columns(senders: pl.DataFrame, measure: str, config: WeakLinksConfig) -> pl.DataFrame:
    """A column per token and party that sent it."""
    return (
        senders.unique(["token", "party"])
        .sort("token", "party")
        .select(
            "party",
            pl.lit(measure, dtype=m.MEASURE).alias("measure"),
            "token",
            pl.lit(None, dtype=pl.UInt32).alias("row"),
            pl.lit(None, dtype=pl.String).alias("slice_model"),
            pl.lit(None, dtype=pl.Binary).alias("slice_end_user"),
            pl.col("kind").replace_strict(m.token_prices(config), return_dtype=pl.Float64).alias("price"),
        )
    )


def _lessee_columns(lessees: pl.DataFrame, config: WeakLinksConfig) -> pl.DataFrame:
    """A column per cloud account of the campaign that may lose all its leases."""
    return lessees.sort("row").select(
        "party",
        pl.lit(m.REVOKE_LEASE, dtype=m.MEASURE).alias("measure"),
        pl.lit(None, dtype=pl.UInt32).alias("token"),
        "row",
        pl.lit(None, dtype=pl.String).alias("slice_model"),
        pl.lit(None, dtype=pl.Binary).alias("slice_end_user"),
        pl.lit(m.account_prices(config)[m.REVOKE_LEASE]).alias("price"),
    )


def _slice_columns(members: pl.DataFrame, slices: pl.DataFrame, config: WeakLinksConfig) -> pl.DataFrame:
    """A column per slice of a reseller that its party can throttle by itself."""
    resellers = members.filter(pl.col("reseller") & pl.col("party_kind").is_in(m.SERVING))
    return (
        slices.join(resellers.select("account", "row", "party"), on="account")
        .sort("row", "slice_model", "slice_end_user")
        .select(
            "party",
            pl.lit(m.THROTTLE, dtype=m.MEASURE).alias("measure"),
            pl.lit(None, dtype=pl.UInt32).alias("token"),
            "row",
            "slice_model",
            "slice_end_user",
            pl.lit(m.account_prices(config)[m.THROTTLE]).alias("price"),
        )
    )


def _flows_through_tokens(through: pl.DataFrame, cuts: pl.DataFrame, config: WeakLinksConfig) -> pl.DataFrame:
    """[row, column, share]: the part of a member's volume that flows through the tokens of a column, times its effect."""
    senders = cuts.select("token", "party").unique().group_by("token").agg(pl.len().alias("senders"))
    joined = (
        through.join(cuts.rename({"party": "addressee"}), on="token")
        .join(senders, on="token")
        # A payment party's block hurts a serving party's account through the card, and of payment accounts only its own.
        .filter(pl.col("party_kind").is_in(m.SERVING) | (pl.col("party") == pl.col("addressee")))
    )
    effects = pl.col("measure").cast(pl.String).replace_strict(m.effect(config), return_dtype=pl.Float64)
    serving = pl.col("party_kind").is_in(m.SERVING)
    return (
        joined.with_columns(pl.when(serving).then(pl.col("flow") / pl.col("senders")).otherwise(pl.col("flow")))
        .group_by("row", "column")
        .agg(pl.col("flow").sum().clip(0.0, 1.0), pl.col("measure").first())
        .select("row", "column", (_rounded("flow") * effects).alias("share"))
    )


def _flows_of_accounts(
    members: pl.DataFrame, columns: pl.DataFrame, slices: pl.DataFrame, config: WeakLinksConfig
) -> pl.DataFrame:
    """[row, column, share]: what a column cuts of its own target account, by revoking its leases or throttling a slice."""
    lessees = columns.filter(pl.col("measure") == m.REVOKE_LEASE, pl.col("row").is_not_null())
    leasing = lessees.select("row", "column", pl.lit(config.revoke_lease_effect).alias("share"))
    sliced = (
        columns.filter(pl.col("measure") == m.THROTTLE)
        .join(members.select("row", "account", pl.col("campaign_requests_per_day").alias("all_requests")), on="row")
        .join(slices, on=["account", "slice_model", "slice_end_user"], nulls_equal=True)
        .with_columns((pl.col("requests_per_day") / pl.col("all_requests")).fill_nan(0.0).clip(0.0, 1.0).alias("flow"))
        .select("row", "column", (_rounded("flow") * config.throttle_effect).alias("share"))
    )
    return pl.concat([leasing, sliced])


def _through_tokens(held: Holdings, known: pl.DataFrame) -> pl.DataFrame:
    """[row, party, party_kind, token, flow]: the part of a member's volume that depends on each instrument or address.

    Instruments share the account's volume equally. Addresses carry what was asked through them, of all that the account
    asked on those days; without counts they share it equally.
    """
    ours = known.filter(pl.col("row").is_not_null())
    instruments = ours.filter(pl.col("kind").is_in(m.INSTRUMENT_KINDS)).with_columns(
        (1.0 / pl.len().over("row")).alias("flow")
    )
    days = held.members.select("row", "address_days")
    addresses = ours.filter(pl.col("kind") == _IP).join(days, on="row")
    asked = pl.max_horizontal(
        pl.col("requests").sum().over("row").cast(pl.Float64), pl.col("requests_per_day") * pl.col("address_days")
    )
    addresses = addresses.with_columns(
        pl.when(asked > 0).then(pl.col("requests") / asked).otherwise(1.0 / pl.len().over("row")).alias("flow")
    )
    wanted = ("row", "party", "party_kind", "token", "flow")
    return pl.concat([instruments.select(wanted), addresses.select(wanted)])


def _rounded(column: str) -> pl.Expr:
    return (pl.col(column) * SHARE_STEPS).round() / SHARE_STEPS
