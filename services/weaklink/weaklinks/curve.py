"""How much of a campaign the first few measures cut and reach, beside a plan that may only act on accounts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from scipy import sparse

from weaklink.parties import PartyKind
from weaklink.weaklinks.assemble import Assembled, assemble, own_worth
from weaklink.weaklinks.candidates import SLICES, Candidates
from weaklink.weaklinks.config import WeakLinksConfig
from weaklink.weaklinks.cuts import prepared
from weaklink.weaklinks.greedy import steps
from weaklink.weaklinks.holdings import Holdings
from weaklink.weaklinks.problem import CutProblem
from weaklink.weaklinks.solve import solve

CURVE: Final = pl.Schema(
    [
        ("measures", pl.Int64()),
        ("accounts", pl.Int64()),
        ("cut_share", pl.Float64()),
        ("accounts_only_cut_share", pl.Float64()),
        ("benign_accounts_touched", pl.Int64()),
        ("reached_share", pl.Float64()),
        ("accounts_only_reached_share", pl.Float64()),
        ("benign_accounts_reached", pl.Int64()),
    ]
)
"""A row per number of measures, 1 upwards. accounts: of the campaign. Shares are of its volume, 0 to 1, and never fall.

cut_share: what stays cut when the operator has replaced what it lost (`WeakLinksConfig`: `*_effect`), by the first measures of the plan.
reached_share: what flows through the targets of the best so many measures, which is what they cut until they are replaced.
accounts_only_*: the same by measures on accounts alone. benign_accounts_touched and _reached: by the former and by the latter measures.
"""
_EVER_HOURS: Final = 24.0 * 365 * 10
_WHOLE_FLOW: Final = dict.fromkeys(
    ("suspend_effect", "challenge_effect", "throttle_effect", "block_identifier_effect", "revoke_lease_effect"), 1.0
) | {
    # Naming its customers takes nothing from a reseller yet.
    "require_end_user_ids_effect": 0.0,
    # The volume is that of the whole history, and so are the addresses that it came by.
    "address_recent_hours": _EVER_HOURS,
}


def cut_curve(
    members: pl.DataFrame,
    links: pl.DataFrame,
    parties: Mapping[str, PartyKind],
    config: WeakLinksConfig,
    *,
    slices: pl.DataFrame | None = None,
) -> pl.DataFrame:
    """CURVE of one campaign; arguments as of `plan_campaign`.

    cut_share takes the measures of the plan, each on one account or token, in the order of what they add to the cut. With the cut a
    coverage, their first k cut at least 1 - 1/e of what the best k of them would (Nemhauser, Wolsey and Fisher 1978). reached_share
    takes any that is worth its harm and price in the same order: whoever has few measures to spare takes what many accounts come
    by, where a plan without a limit rather takes these accounts one by one. Beside each the best measures on accounts alone: they
    do not overlap, so the largest come first.
    """
    slices = pl.DataFrame(schema=SLICES) if slices is None else slices
    cut = _of_the_plan(_Parts(*prepared(members, links, parties, config, slices), config))
    flowing = config.model_copy(update=_WHOLE_FLOW)
    reached = _of_any(_Parts(*prepared(members, links, parties, flowing, slices), flowing))
    rows = max(len(shares) for one in (cut, reached) for shares in (one.shares, one.alone))
    return pl.DataFrame(
        {
            "measures": np.arange(1, rows + 1),
            "accounts": np.full(rows, members.height),
            "cut_share": _held_to(cut.shares, rows),
            "accounts_only_cut_share": _held_to(cut.alone, rows),
            "benign_accounts_touched": _held_to(cut.touched, rows),
            "reached_share": _held_to(reached.shares, rows),
            "accounts_only_reached_share": _held_to(reached.alone, rows),
            "benign_accounts_reached": _held_to(reached.touched, rows),
        },
        schema=CURVE,
    )


@dataclass(frozen=True, slots=True)
class _Parts:
    """What a cut problem is assembled from."""

    held: Holdings
    found: Candidates
    bystanders: pl.DataFrame
    config: WeakLinksConfig

    def assembled(self, *, each_alone: bool = False) -> Assembled:
        unit = self.held.unit_requests_per_day
        return assemble(self.held.members, self.found, self.bystanders, unit, self.config, each_alone=each_alone)


@dataclass(frozen=True, slots=True)
class _Line:
    """By number of measures: share of the volume, that by measures on accounts alone, and benign accounts touched."""

    shares: np.ndarray
    alone: np.ndarray
    touched: np.ndarray


def _of_the_plan(parts: _Parts) -> _Line:
    """By the measures of the plan: their harm and price have been paid when it was made, so that only the cut orders them."""
    grouped, single = parts.assembled(), parts.assembled(each_alone=True)
    chosen = solve(grouped.problem, parts.config).chosen
    own = single.own_column[grouped.own_chosen(chosen)]
    columns = np.concatenate([np.flatnonzero(chosen[: grouped.shared]), own])
    free = _free(single.problem.volumes, sparse.csr_array(single.problem.shares[:, columns]))
    return _line(parts, single, [(int(columns[measure]), added) for measure, added in steps(free)])


def _of_any(parts: _Parts) -> _Line:
    """By any measures that are worth their harm and price."""
    single = parts.assembled(each_alone=True)
    return _line(parts, single, list(steps(single.problem)))


def _line(parts: _Parts, single: Assembled, taken: Sequence[tuple[int, float]]) -> _Line:
    volumes = single.problem.volumes
    total = float(volumes.sum()) or 1.0
    _, effects, _ = own_worth(parts.held.members, parts.held.unit_requests_per_day, parts.config)
    alone = np.sort((volumes * effects)[single.own_column >= 0])[::-1]
    return _Line(
        shares=np.cumsum([added for _, added in taken]) / total,
        alone=np.cumsum(alone[alone > 0]) / total,
        touched=_touched(parts.bystanders, [column for column, _ in taken]),
    )


def _free(volumes: np.ndarray, shares: sparse.csr_array) -> CutProblem:
    """The plan's measures as pure coverage: their harm and price have been paid when the plan was made."""
    count = shares.shape[1]
    return CutProblem(volumes, shares, np.zeros(0), sparse.csr_array((0, count)), np.full(count, 1e-12))


def at_measures_per_account(
    curve: pl.DataFrame, measures_per_account: float, share: str = "cut_share"
) -> tuple[float, float]:
    """(`share`, that by measures on accounts alone) with as many measures as that, rounded down; 0 where that is none."""
    allowed = curve.filter(pl.col("measures") <= pl.col("accounts") * measures_per_account)
    if allowed.is_empty():
        return 0.0, 0.0
    last = allowed.row(-1, named=True)
    return last[share], last[f"accounts_only_{share}"]


def _touched(bystanders: pl.DataFrame, taken: list[int]) -> np.ndarray:
    """Benign accounts touched after each measure, each once."""
    turn = pl.DataFrame({"column": taken, "turn": range(len(taken))}, schema={"column": pl.UInt32, "turn": pl.Int64})
    first = bystanders.filter("benign").join(turn, on="column").group_by("account").agg(pl.col("turn").min())
    return np.cumsum(np.bincount(first["turn"].to_numpy(), minlength=len(taken)))


def _held_to(values: np.ndarray, rows: int) -> np.ndarray:
    """The values, the last one repeated up to `rows`."""
    last = values[-1] if len(values) else 0
    return np.concatenate([values, np.full(rows - len(values), last)])
