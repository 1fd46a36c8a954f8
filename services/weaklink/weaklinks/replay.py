"""Replay of a plan: what it would have prevented with each party's time to act, against each party alone and against no plan."""

from collections.abc import Mapping
from typing import Final

import polars as pl

from weaklink.account_keys import account_hash
from weaklink.frames import token_bytes
from weaklink.records.identifiers import IdentifierKind
from weaklink.weaklinks import measures as m
from weaklink.weaklinks.config import WeakLinksConfig

_HOUR_US: Final = 3_600_000_000
REPLAY: Final = pl.Schema(
    [
        ("acting", pl.String()),
        ("measures", pl.Int64()),
        ("requests", pl.Float64()),
        ("prevented", pl.Float64()),
        ("prevented_share", pl.Float64()),
        ("accounts_reached", pl.Int64()),
    ]
)
"""acting: `every party`, the id of the only party that acts, or `no plan`. requests: the campaign's. prevented: of those, cut."""
EVERY_PARTY: Final = "every party"
NO_PLAN: Final = "no plan"


def replay_plan(
    measures: pl.DataFrame,
    usage: pl.DataFrame,
    holdings: pl.DataFrame,
    hours_to_act: Mapping[str, float],
    config: WeakLinksConfig,
) -> pl.DataFrame:
    """REPLAY of one campaign's plan.

    measures: [party, measure, target_account, target_token, issued_at_us Int64, until_us Int64 (withdrawn; null: it
    stands)]. usage: the campaign's, [account UInt64,
    at_us Int64, requests]. holdings: [token Binary, account UInt64, share f64], the part of an account's volume that depends on
    a token (without: a token of instruments carries all). hours_to_act: of each party in `measures`, from issue to effect.
    A request is cut by the strongest measure on its account in force then; measures do not add up here, which is the careful reading.
    Accounts that the operator would have opened in place of lost ones are not in a history: only a closed loop can tell of those.
    """
    effects = _effects(measures, holdings, hours_to_act, config)
    total = float(usage["requests"].sum())
    rows = [_row(EVERY_PARTY, effects, usage, total)]
    rows += [
        _row(party, effects.filter(pl.col("party") == party), usage, total)
        for party in sorted(measures["party"].unique().to_list())
    ]
    rows.append(_row(NO_PLAN, effects.clear(), usage, total))
    return pl.DataFrame(rows, schema=REPLAY, orient="row")


def _effects(
    measures: pl.DataFrame, holdings: pl.DataFrame, hours_to_act: Mapping[str, float], config: WeakLinksConfig
) -> pl.DataFrame:
    """[number, party, account, from_us, until_us, cut]: which accounts each measure reaches, when, and how much it cuts."""
    hours = pl.col("party").replace_strict(dict(hours_to_act), return_dtype=pl.Float64)
    effect = pl.col("measure").cast(pl.String).replace_strict(m.effect(config), return_dtype=pl.Float64)
    known = measures.with_row_index("number").with_columns(
        (pl.col("issued_at_us") + (hours * _HOUR_US).cast(pl.Int64)).alias("from_us"), effect.alias("effect")
    )
    named = known.filter(pl.col("target_account").is_not_null())
    on_accounts = with_account_keys(named).with_columns(pl.col("effect").alias("cut"))
    on_tokens = (
        known.filter(pl.col("target_token").is_not_null())
        .join(holdings.rename({"token": "target_token"}), on="target_token")
        .with_columns((pl.col("effect") * pl.col("share")).alias("cut"))
    )
    # Who loses its leases takes with it what others do by its addresses.
    leased = (
        on_accounts.filter(pl.col("measure").cast(pl.String) == m.REVOKE_LEASE)
        .rename({"account": "lessee"})
        .join(holdings.select("token", pl.col("account").alias("lessee")), on="lessee")
        .join(holdings, on="token")
        .filter(pl.col("account") != pl.col("lessee"))
        .group_by("number", "party", "account", "from_us", "until_us", "effect")
        .agg(pl.col("share").sum().clip(0.0, 1.0))
        .with_columns((pl.col("effect") * pl.col("share")).alias("cut"))
    )
    wanted = ("number", "party", "account", "from_us", "until_us", "cut")
    return pl.concat([part.select(wanted) for part in (on_accounts, on_tokens, leased)])


def _row(
    acting: str, effects: pl.DataFrame, usage: pl.DataFrame, total: float
) -> tuple[str, int, float, float, float, int]:
    """One row of REPLAY."""
    in_force = (pl.col("at_us") >= pl.col("from_us")) & (pl.col("at_us") < pl.col("until_us")).fill_null(value=True)
    reached = usage.with_row_index("use").join(effects, on="account").filter(in_force)
    strongest = reached.group_by("use").agg(pl.col("requests").first(), pl.col("account").first(), pl.col("cut").max())
    prevented = float((strongest["requests"] * strongest["cut"]).sum())
    return (
        acting,
        effects["number"].n_unique(),
        total,
        prevented,
        prevented / total if total else 0.0,
        strongest.filter(pl.col("cut") > 0)["account"].n_unique(),
    )


def with_account_keys(measures: pl.DataFrame) -> pl.DataFrame:
    """Add `account`, the key (`account_hash`) of target_account at its party. Rows come ordered by party."""
    parts = [
        rows.with_columns(account_hash(str(party), "target_account").alias("account"))
        for (party,), rows in measures.sort("party", maintain_order=True).partition_by("party", as_dict=True).items()
    ]
    return pl.concat(parts) if parts else measures.with_columns(pl.lit(None, dtype=pl.UInt64).alias("account"))


def token_holdings(links: pl.DataFrame) -> pl.DataFrame:
    """[token Binary, account, share] from SHARED columns of a campaign's links.

    Instruments share an account's volume equally, and so do addresses among themselves: a request needs one of each.
    """
    instrument = pl.col("kind").is_in(m.INSTRUMENT_KINDS)
    kept = links.filter(instrument | (pl.col("kind") == int(IdentifierKind.IP))).unique(
        ["identifier", "tail", "kind", "epoch", "account"]
    )
    parts = kept.select("identifier", "tail", "kind", "epoch").iter_rows()
    tokens = pl.Series("token", [token_bytes(*part) for part in parts], dtype=pl.Binary)
    return kept.with_columns(tokens, (1.0 / pl.len().over("account", instrument)).alias("share")).select(
        "token", "account", "share"
    )
