"""Who holds which token, as the plan sees it: one row per (token, account), over all time slots."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import polars as pl

from weaklink.parties import PartyKind
from weaklink.records.identifiers import HARD_KINDS, IdentifierKind
from weaklink.weaklinks.config import WeakLinksConfig
from weaklink.weaklinks.measures import INSTRUMENT_KINDS, SERVING

_TOKEN: Final = ("identifier", "tail", "kind", "epoch")
_HOUR_US: Final = 3_600_000_000
_IP: Final = int(IdentifierKind.IP)
FEEDING_KINDS: Final = (_IP, *INSTRUMENT_KINDS)
_HELD: Final = ("token", "account", "row", "party", "party_kind", "score", "requests_per_day", "requests")


@dataclass(frozen=True, slots=True)
class Holdings:
    """Frames that the plan works on.

    members: the campaign's accounts, and after them the lessees outside it whose leases feed it (`outside` Boolean), with `row`
    (UInt32), `feeds_surely` (Boolean: a lessee by whose addresses hardly anybody else comes), `party_kind` (String), `serves`
    (f64, probability that the campaign comes by it: the belief, and for a reseller that of those it shares tokens with), `volume`
    (f64, account-equivalents times `serves`; 0 outside), `campaign_requests_per_day` (f64; of a reseller only its slices),
    `address_days` (UInt32, days on which addresses that it shares were seen).
    tokens: [token UInt32, identifier, tail, kind, epoch, holders, members UInt32, benign UInt32, parties UInt32].
    held: [token, account, row UInt32 (null: not a member), party, party_kind, score, requests_per_day, requests]; the score of a
    payer or lessee is at least the belief in those whom it feeds.
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
    fed = feeding(held, config)
    members, held = _with_lessees(members, _with_feeding(held, fed), fed, config)
    member, benign = pl.col("row").is_not_null(), pl.col("score") < config.benign_score_max
    counts = held.group_by("token").agg(
        pl.col("holders").max(),
        member.sum().cast(pl.UInt32).alias("members"),
        (~member & benign).sum().cast(pl.UInt32).alias("benign"),
        pl.col("party").filter(member).n_unique().cast(pl.UInt32).alias("parties"),
    )
    tokens = tokens.join(counts, on="token", maintain_order="left")
    members, unit = _with_volume(_with_serving(members, held), slices, config)
    return Holdings(members, tokens, held.select(_HELD), unit)


def kinds_of(rows: pl.DataFrame, parties: Mapping[str, PartyKind]) -> pl.DataFrame:
    """Add `party_kind` (String, null for a party that is not registered)."""
    kinds = pl.DataFrame(
        {"party": list(parties), "party_kind": [str(kind) for kind in parties.values()]},
        schema={"party": pl.String, "party_kind": pl.String},
    )
    return rows.join(kinds, on="party", how="left", maintain_order="left")


def feeding(held: pl.DataFrame, config: WeakLinksConfig) -> pl.DataFrame:
    """[account, party, account_name, feeds f64, tokens, parties] of accounts at parties that serve nothing themselves.

    A payer or a lessee has no conduct to judge it by. What tells is who comes by its cards and addresses: feeds is their mean
    belief, each once, where there are at least `feeding_accounts_min`; tokens and parties are what that rests on.
    """
    serving = pl.col("party_kind").is_in(SERVING)
    feeders = held.filter(~serving & pl.col("kind").is_in(FEEDING_KINDS)).select(
        "token", "account", "party", "account_name"
    )
    served = held.filter(serving).select("token", "score", pl.col("account").alias("user"), pl.col("party").alias("at"))
    return (
        feeders.join(served, on="token")
        .group_by("account", "party", "account_name")
        .agg(
            pl.struct("user", "score").unique().struct.field("score").mean().alias("feeds"),
            pl.col("user").n_unique().alias("users"),
            pl.col("token").n_unique().alias("tokens"),
            pl.col("at").n_unique().alias("parties"),
        )
        .filter(pl.col("users") >= config.feeding_accounts_min)
        .sort("account")
    )


def _with_feeding(held: pl.DataFrame, fed: pl.DataFrame) -> pl.DataFrame:
    """Raise the score of payers and lessees to that of those whom they feed."""
    return (
        held.join(fed.select("account", "feeds"), on="account", how="left", maintain_order="left")
        .with_columns(pl.max_horizontal("score", pl.col("feeds").fill_null(0.0)).alias("score"))
        .drop("feeds")
    )


def _with_lessees(
    members: pl.DataFrame, held: pl.DataFrame, fed: pl.DataFrame, config: WeakLinksConfig
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """(members and the lessees outside the campaign that surely feed it, `held` with their rows).

    Surely: all but few of those who come by their addresses are the campaign's, over several addresses and parties. A VPN's
    exits do not pass, as long as `links` have all of its shared addresses. Of a member that surely feeds it that is known too:
    `feeds_surely`, with the belief and the parties that it rests on.
    """
    kinds = held.select("account", "party_kind", "row", "organisation_verified").unique("account")
    sure = fed.join(kinds, on="account").filter(
        (pl.col("party_kind") == str(PartyKind.CLOUD))
        & ~pl.col("organisation_verified")
        & (pl.col("feeds") > config.suspend_score_min)
        & (pl.col("tokens") >= config.lessee_addresses_min)
        & (pl.col("parties") >= config.suspend_parties_min)
    )
    members = _feeding_surely(members, sure)
    found = sure.filter(pl.col("row").is_null()).with_columns(
        pl.int_range(members.height, members.height + pl.len(), dtype=pl.UInt32).alias("row"),
        pl.col("feeds").alias("score"),
        pl.col("parties").cast(pl.Int32).alias("supporting_parties"),
    )
    blank = pl.concat([members.with_columns(pl.lit(value=False).alias("outside")), found], how="diagonal")
    blank = blank.select(*members.columns, "outside").with_columns(
        pl.col("outside").fill_null(value=True),
        pl.col("requests_per_day").fill_null(0.0),
        pl.col("address_days").fill_null(0),
        pl.col(pl.Boolean).exclude("outside").fill_null(value=False),
    )
    rows = held.join(
        found.select("account", pl.col("row").alias("outside_row")), on="account", how="left", maintain_order="left"
    )
    return blank, rows.with_columns(pl.coalesce("row", "outside_row").alias("row")).drop("outside_row")


def _feeding_surely(members: pl.DataFrame, sure: pl.DataFrame) -> pl.DataFrame:
    """Members with `feeds_surely`, and of those that do the score and the supporting parties no lower than what they feed tells."""
    told = sure.select("account", "feeds", pl.col("parties").cast(members.schema["supporting_parties"]).alias("fed_at"))
    joined = members.join(told, on="account", how="left", maintain_order="left")
    return joined.with_columns(
        pl.max_horizontal("score", "feeds").alias("score"),
        pl.max_horizontal("supporting_parties", "fed_at").alias("supporting_parties"),
        pl.col("feeds").is_not_null().alias("feeds_surely"),
    ).drop("feeds", "fed_at")


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
    unit = account_equivalent(members)
    return with_volume(members, pl.lit(unit), config), unit


def account_equivalent(members: pl.DataFrame) -> float:
    """Requests a day of one account-equivalent: the mean of those that are used at all; 0 where none is."""
    usage = pl.col("campaign_requests_per_day")
    return float(members.filter((usage > 0) & ~pl.col("reseller"))["campaign_requests_per_day"].mean() or 0.0)  # type: ignore[arg-type]


def with_volume(members: pl.DataFrame, unit: pl.Expr, config: WeakLinksConfig) -> pl.DataFrame:
    """Members with `volume`. unit: requests a day of one account-equivalent; where it is 0, accounts are counted."""
    usage = pl.max_horizontal(pl.col("campaign_requests_per_day") / unit, config.idle_volume)
    outside = pl.col("outside") if "outside" in members.columns else pl.lit(value=False)
    volume = pl.when(unit > 0).then(usage).otherwise(1.0) * pl.col("serves")
    return members.with_columns(pl.when(outside).then(0.0).otherwise(volume).alias("volume"))


def _in_use(links: pl.DataFrame, config: WeakLinksConfig) -> pl.DataFrame:
    """Without addresses that are no longer in use, and without TLS, which never links alone."""
    recent_us = pl.col("last_seen_us").max() - int(config.address_recent_hours * _HOUR_US)
    in_use = (pl.col("kind") != _IP) | (pl.col("last_seen_us") >= recent_us)
    return links.filter((pl.col("kind") != int(IdentifierKind.TLS)) & in_use)


def _folded(links: pl.DataFrame) -> pl.DataFrame:
    """One row per (token, account)."""
    return links.group_by(*_TOKEN, "account", maintain_order=True).agg(
        pl.col("party", "account_name", "score", "requests_per_day", "organisation_verified").first(),
        pl.col("requests").sum(),
        pl.col("holders").max(),
    )


def hard(kind: str = "kind") -> pl.Expr:
    """Whether a kind column names a kind that strangers hardly ever share."""
    return pl.col(kind).is_in([int(one) for one in HARD_KINDS])
