"""Episodes: what of an identifier's use belongs together in time. The exact, slower way, for identifiers that have gaps.

An episode of a node is a maximal set of uses, by whatever accounts, in which each is within the kind's gap of what came before it
(a session window, as stream processors call it). An account has one link per episode, and only accounts of one episode share the identifier:
a card that lay idle for half a year does not tie its new holder to the old one, even if the old one comes back later, because that is a
third episode then. A late event can join two episodes, and the links of each account in them become one. What comes out
depends on the set of uses only, not on their order or on how they were cut into chunks.
"""

from typing import Final

import polars as pl

from weaklink.correlate.packed import MENTIONS_MAX, REQUESTS_MAX

NODE: Final = ("identifier", "place")
STORED: Final = "stored"  # number of the stored link that a row is, null for a new use


def episodes(uses: pl.DataFrame, share_accounts_min: int, hub_accounts_max: int, refresh_us: int) -> pl.DataFrame:
    """Links by episode, out of all stored links and new uses of some nodes.

    `uses`: identifier, place, account, tail, first_seen_us, last_seen_us, appended_at_us, mentions, requests, begin and end (cells, Int64),
    gap (cells, Int64), stored (Int64, null: a new use).
    Returns one row per (identifier, place, episode, account), ordered by (identifier, place, account): the merged columns, `holders` (accounts
    of the episode), `stored` (list of the stored links that went in) and `emit` (whether `weaklink.shared` is to learn of it).
    """
    now = _numbered(uses, "episode")
    before = (
        _numbered(uses.filter(pl.col(STORED).is_not_null()), "earlier")
        .select(STORED, pl.len().over("earlier").alias("held"))
        .lazy()
    )
    shared = pl.col("holders") >= share_accounts_min
    known = pl.col("held_max") >= share_accounts_min
    refreshed = pl.col("last_seen_us") // refresh_us > pl.col("known_last_us") // refresh_us
    return (
        now.lazy()
        .join(before, on=STORED, how="left")
        .group_by(*NODE, "episode", "account")
        .agg(
            pl.col("tail", "first_seen_us").min(),
            pl.col("last_seen_us", "appended_at_us").max(),
            pl.col("mentions").sum().clip(0, MENTIONS_MAX),
            pl.col("requests").sum().clip(0, REQUESTS_MAX),
            pl.col(STORED).drop_nulls().sort(),
            pl.col("held").max().alias("held_max"),
            pl.col("last_seen_us").filter(pl.col(STORED).is_not_null()).max().alias("known_last_us"),
        )
        .with_columns(
            pl.len().over("episode").cast(pl.Int64).alias("holders"),
            (pl.col("account").rank("ordinal").over("episode") <= hub_accounts_max).alias("sampled"),
        )
        .with_columns((shared & pl.col("sampled") & (~known.fill_null(value=False) | refreshed)).alias("emit"))
        .sort(*NODE, "account", "first_seen_us")
        .collect()
    )


def _numbered(uses: pl.DataFrame, name: str) -> pl.DataFrame:
    """Adds the number of the episode of each use, distinct over all nodes."""
    earlier_end = pl.col("end").cum_max().shift(1).over(*NODE)
    begins = earlier_end.is_null() | (pl.col("begin") - earlier_end > pl.col("gap"))
    return uses.sort(*NODE, "begin").with_columns(begins.cum_sum().alias(name))
