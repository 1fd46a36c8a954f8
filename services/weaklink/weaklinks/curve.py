"""How much of a campaign the first few measures cut, beside a plan that may only act on accounts."""

from collections.abc import Mapping
from typing import Final

import numpy as np
import polars as pl
from scipy import sparse

from weaklink.parties import PartyKind
from weaklink.weaklinks.assemble import assemble, own_worth
from weaklink.weaklinks.config import WeakLinksConfig
from weaklink.weaklinks.cuts import prepared
from weaklink.weaklinks.greedy import steps
from weaklink.weaklinks.problem import CutProblem
from weaklink.weaklinks.solve import solve

CURVE: Final = pl.Schema(
    [
        ("measures", pl.Int64()),
        ("accounts", pl.Int64()),
        ("cut_share", pl.Float64()),
        ("accounts_only_cut_share", pl.Float64()),
        ("benign_accounts_touched", pl.Int64()),
    ]
)
"""A row per number of measures, 1 upwards. accounts: of the campaign. Shares are of its volume, 0 to 1, and never fall."""


def cut_curve(
    members: pl.DataFrame,
    links: pl.DataFrame,
    parties: Mapping[str, PartyKind],
    config: WeakLinksConfig,
    *,
    slices: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """CURVE of one campaign; arguments as of `plan_campaign`.

    The measures are those of the plan, each on one account or token, in the order of what they add to the cut. With the cut a
    coverage, their first k cut at least 1 - 1/e of what the best k of them would (Nemhauser, Wolsey and Fisher 1978). Beside it
    the best measures on accounts alone: they do not overlap, so the largest come first.
    """
    held, found, bystanders = prepared(members, links, parties, config, slices)
    parts = held.members, found, bystanders, held.unit_requests_per_day, config
    grouped, single = assemble(*parts), assemble(*parts, each_alone=True)
    chosen = solve(grouped.problem, config).chosen
    own = single.own_column[grouped.own_chosen(chosen)]
    columns = np.concatenate([np.flatnonzero(chosen[: grouped.shared]), own])
    volumes = single.problem.volumes
    total = float(volumes.sum()) or 1.0
    taken = list(steps(_free(volumes, sparse.csr_array(single.problem.shares[:, columns]))))
    cut = np.cumsum([added for _, added in taken]) / total
    _, effects, _ = own_worth(held.members, held.unit_requests_per_day, config)
    alone = np.sort((volumes * effects)[single.own_column >= 0])[::-1]
    alone = np.cumsum(alone[alone > 0]) / total
    touched = _touched(bystanders, [int(columns[measure]) for measure, _ in taken])
    rows = max(len(cut), len(alone))
    return pl.DataFrame(
        {
            "measures": np.arange(1, rows + 1),
            "accounts": np.full(rows, members.height),
            "cut_share": _held_to(cut, rows),
            "accounts_only_cut_share": _held_to(alone, rows),
            "benign_accounts_touched": _held_to(touched, rows),
        },
        schema=CURVE,
    )


def _free(volumes: np.ndarray, shares: sparse.csr_array) -> CutProblem:
    """The plan's measures as pure coverage: their harm and price have been paid when the plan was made."""
    count = shares.shape[1]
    return CutProblem(volumes, shares, np.zeros(0), sparse.csr_array((0, count)), np.full(count, 1e-12))


def at_measures_per_account(curve: pl.DataFrame, measures_per_account: float) -> tuple[float, float]:
    """(cut share, that of the accounts-only plan) with as many measures as that, rounded down; 0 where that is none."""
    allowed = curve.filter(pl.col("measures") <= pl.col("accounts") * measures_per_account)
    if allowed.is_empty():
        return 0.0, 0.0
    last = allowed.row(-1, named=True)
    return last["cut_share"], last["accounts_only_cut_share"]


def _touched(bystanders: pl.DataFrame, taken: list[int]) -> np.ndarray:
    """Benign accounts touched after each measure, each once."""
    turn = pl.DataFrame({"column": taken, "turn": range(len(taken))}, schema={"column": pl.UInt32, "turn": pl.Int64})
    first = bystanders.filter("benign").join(turn, on="column").group_by("account").agg(pl.col("turn").min())
    return np.cumsum(np.bincount(first["turn"].to_numpy(), minlength=len(taken)))


def _held_to(values: np.ndarray, rows: int) -> np.ndarray:
    """The values, the last one repeated up to `rows`."""
    last = values[-1] if len(values) else 0
    return np.concatenate([values, np.full(rows - len(values), last)])
