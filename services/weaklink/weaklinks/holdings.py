"""Who holds which token, as the plan sees it: one row per (token, account), over all time slots."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from weaklink.parties import PartyKind
from weaklink.records.identifiers import HARD_KINDS, IdentifierKind
from weaklink.weaklinks.config import WeakLinksConfig

_TOKEN: Final = ("identifier", "tail", "kind", "epoch")
_HOUR_US: Final = 3_600_000_000
_IP: Final = int(IdentifierKind.IP)


@dataclass(frozen=True, slots=True)
class Holdings:
    """Frames that the plan works on.

    members: the campaign's accounts with `row` (UInt32), `party_kind` (String), `serves` (f64, probability that the campaign
    comes by it: the belief, and for a reseller that of those it shares tokens with), `volume` (f64, account-equivalents
    times `serves`), `campaign_requests_per_day` (f64; of a reseller only its slices), `address_days` (UInt32, days on which
    addresses that it shares were seen).
    tokens: [token UInt32, identifier, tail, kind, epoch, holders, members UInt32, benign UInt32, parties UInt32].
    held: [token, account, row UInt32 (null: not a member), party, party_kind, score, requests_per_day, requests].
    unit_requests_per_day: requests a day of one account-equivalent (0: no usage at all, volumes count accounts).
    """

    members: pl.DataFrame
    tokens: pl.DataFrame
    held: pl.DataFrame
    unit_requests_per_day: float


def holdings(
    members: pl.DataFrame,
    links: pl.DataFrame,
    parties: Mapping[str, PartyKind],
    slices: pl.DataFrame,
    config: WeakLinksConfig,
) -> Holdings:
    """Number the members and the tokens, and fold the links over time slots (columns: see `plan_campaign`)."""
    members = kinds_of(members.with_row_index("row"), parties)
    links = _in_use(links, config)
    days = links.filter(pl.col("kind") == _IP).group_by("account").agg(pl.col("slot").n_unique().alias("address_days"))
    members = members.join(days, on="account", how="left", maintain_order="left").with_columns(
        pl.col("address_days").fill_null(0)
    )
    folded = _folded(links)
    tokens = folded.select(_TOKEN).unique(maintain_order=True).with_row_index("token")
    held = (
        folded.join(tokens, on=_TOKEN, maintain_order="left")
        .join(members.select("account", "row"), on="account", how="left", maintain_order="left")
        .pipe(kinds_of, parties)
        .with_columns(pl.col("score", "requests_per_day").fill_null(0.0))
    )
    member, benign = pl.col("row").is_not_null(), pl.col("score") < config.benign_score_max
    counts = held.group_by("token").agg(
        pl.col("holders").max(),
        member.sum().cast(pl.UInt32).alias("members"),
        (~member & benign).sum().cast(pl.UInt32).alias("benign"),
        pl.col("party").filter(member).n_unique().cast(pl.UInt32).alias("parties"),
    )
    tokens = tokens.join(counts, on="token", maintain_order="left")
    members, unit = _with_volume(_with_serving(members, held), slices, config)
    columns = ("token", "account", "row", "party", "party_kind", "score", "requests_per_day", "requests")
    return Holdings(members, tokens, held.select(columns), unit)


def kinds_of(rows: pl.DataFrame, parties: Mapping[str, PartyKind]) -> pl.DataFrame:
    """Add `party_kind` (String, null for a party that is not registered)."""
    kinds = pl.DataFrame(
        {"party": list(parties), "party_kind": [str(kind) for kind in parties.values()]},
        schema={"party": pl.String, "party_kind": pl.String},
    )
    return rows.join(kinds, on="party", how="left", maintain_order="left")


def _with_serving(members: pl.DataFrame, held: pl.DataFrame) -> pl.DataFrame:
    """Add `serves`. A reseller itself looks benign, as most of its customers are; what tells is who else holds its tokens."""
    sums = held.group_by("token").agg(pl.col("score").sum().alias("sum"), pl.len().alias("count"))
    others = (
        held.join(members.filter("reseller").select("row"), on="row", how="semi")
        .join(sums.filter(pl.col("count") > 1), on="token")
        .group_by("row")
        .agg(((pl.col("sum") - pl.col("score")) / (pl.col("count") - 1)).max().alias("others"))
    )
    return (
        members.join(others, on="row", how="left", maintain_order="left")
        .with_columns(pl.max_horizontal("score", pl.col("others").fill_null(0.0)).clip(0.0, 1.0).alias("serves"))
        .drop("others")
    )


def _with_volume(members: pl.DataFrame, slices: pl.DataFrame, config: WeakLinksConfig) -> tuple[pl.DataFrame, float]:
    """Add `campaign_requests_per_day` and `volume`: at least `idle_volume`; without any usage every account is 1."""
    sliced = slices.group_by("account").agg(pl.col("requests_per_day").sum().alias("sliced"))
    own = pl.when("reseller").then(pl.col("sliced").fill_null(0.0)).otherwise(pl.col("requests_per_day"))
    members = (
        members.join(sliced, on="account", how="left", maintain_order="left")
        .with_columns(own.alias("campaign_requests_per_day"))
        .drop("sliced")
    )
    return member_volume(members, config)


def member_volume(
    members: pl.DataFrame, config: WeakLinksConfig, unit_requests_per_day: float | None = None
) -> tuple[pl.DataFrame, float]:
    """(members with `volume`, requests a day of one account-equivalent, unless that is given)."""
    active = members.filter((pl.col("campaign_requests_per_day") > 0) & ~pl.col("reseller"))[
        "campaign_requests_per_day"
    ]
    unit = unit_requests_per_day
    if unit is None:
        unit = float(active.sum()) / len(active) if len(active) else 0.0
    usage = pl.max_horizontal(pl.col("campaign_requests_per_day") / unit, config.idle_volume) if unit else pl.lit(1.0)
    return members.with_columns((usage * pl.col("serves")).alias("volume")), unit


def _in_use(links: pl.DataFrame, config: WeakLinksConfig) -> pl.DataFrame:
    """Without addresses that are no longer in use, and without TLS, which never links alone."""
    recent_us = pl.col("last_seen_us").max() - int(config.address_recent_hours * _HOUR_US)
    in_use = (pl.col("kind") != _IP) | (pl.col("last_seen_us") >= recent_us)
    return links.filter((pl.col("kind") != int(IdentifierKind.TLS)) & in_use)


def _folded(links: pl.DataFrame) -> pl.DataFrame:
    """One row per (token, account)."""
    return links.group_by(*_TOKEN, "account", maintain_order=True).agg(
        pl.col("party", "score", "requests_per_day").first(), pl.col("requests").sum(), pl.col("holders").max()
    )


def hard(kind: str = "kind") -> pl.Expr:
    """Whether a kind column names a kind that strangers hardly ever share."""
    return pl.col(kind).is_in([int(one) for one in HARD_KINDS])
