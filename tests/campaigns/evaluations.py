"""Evaluations made by hand, for what the tracker makes of them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import polars as pl

from tests.campaigns.worlds import DAY_US, START_US
from weaklink.account_keys import account_key
from weaklink.campaigns.cluster import NONE
from weaklink.campaigns.config import CampaignsConfig
from weaklink.campaigns.graph import build_graph
from weaklink.campaigns.outcome import ACCOUNTS, Evaluation
from weaklink.campaigns.state import CampaignsState
from weaklink.frames import SHARED
from weaklink.records.identifiers import IdentifierKind as Kind

NAMES = [f"u-{i}" for i in range(24)]
KEYS = sorted((account_key("lab-a", name), name) for name in NAMES)


@dataclass(frozen=True)
class Seen:
    """What an evaluation says of one account; the last eight accounts are newcomers on the devices and cards of the first."""

    community: int | None
    score: float
    disputed: bool


@cache
def _nothing() -> Evaluation:
    """An evaluation of these accounts and links, in which nothing was found."""
    rows = [
        {"identifier": 100 * int(kind) + i % 4, "kind": int(kind), "account": key}
        for i, (key, _) in enumerate(KEYS)
        for kind in (Kind.DEVICE, Kind.CARD)
    ]
    links = pl.DataFrame(
        [dict.fromkeys(SHARED.names(), 0) | row | {"holders": 6} for row in rows], schema=SHARED, orient="row"
    ).sort("identifier", "slot", "account")
    accounts = pl.DataFrame(
        {"account": [key for key, _ in KEYS], "party": "lab-a"}, schema_overrides={"account": pl.UInt64}
    )
    empty, n = CampaignsState(CampaignsConfig()).evaluate(START_US), len(KEYS)
    assert empty.ring is not None
    ring = replace(empty.ring, labels=np.full(n, NONE), score=np.zeros(n), judged=np.zeros(n, bool))
    return replace(empty, graph=build_graph(accounts, links, 8), ring=ring)


def evaluation_of(
    seen: Sequence[Seen], now_us: int, *, newcomers: bool = True, last_seen_us: Sequence[int] | None = None
) -> Evaluation:
    """An evaluation that found just this. `newcomers`: the last eight accounts are new now, not old ones. Last seen: now, if not given."""
    keys = pl.Series("account", [key for key, _ in KEYS], pl.UInt64)
    accounts = pl.DataFrame(
        {
            "account": keys,
            "party": "lab-a",
            "account_name": [name for _, name in KEYS],
            "score": [one.score for one in seen],
            "flagged": [one.community is not None and not one.disputed for one in seen],
            "community": [None if one.disputed else one.community for one in seen],
            "disputed": [one.disputed for one in seen],
            "reseller": False,
            "first_seen_us": [now_us if newcomers and i >= 16 else START_US - 60 * DAY_US for i in range(len(seen))],
            "last_seen_us": last_seen_us or [now_us] * len(seen),
        },
        schema_overrides={"community": pl.Int64, "score": pl.Float64},
    )
    whole = accounts.with_columns(
        pl.lit(None, dtype).alias(name) for name, dtype in ACCOUNTS.items() if name not in accounts.columns
    ).select(ACCOUNTS.names())
    return replace(_nothing(), now_us=now_us, accounts=whole, evidenced=np.ones(len(seen), bool))
