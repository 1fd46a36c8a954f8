"""From candidate measures to the cut problem: accounts that stand alike become one group, with one measure of their own."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import sparse

from weaklink.weaklinks import measures as m
from weaklink.weaklinks.candidates import Candidates
from weaklink.weaklinks.config import WeakLinksConfig
from weaklink.weaklinks.problem import CutProblem

_MIX: Final = np.uint64(0x9E3779B97F4A7C15)  # 2**64 / golden ratio: Knuth's multiplicative hashing
_MIX_AGAIN: Final = np.uint64(0xBF58476D1CE4E5B9)  # of splitmix64's finaliser


@dataclass(frozen=True, slots=True)
class Assembled:
    """The problem, and the way back from its columns to measures.

    Columns are first the candidates' (`shared`), then one per group that has a measure of its own. group: (members,) group of each
    member. own_column: (groups,) column of the group's own measure, or -1.
    """

    problem: CutProblem
    shared: int
    group: NDArray[np.int64]
    own_column: NDArray[np.int64]

    def own_chosen(self, chosen: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """(members,): whether the member's own measure is chosen."""
        columns = self.own_column[self.group]
        return (columns >= 0) & chosen[np.maximum(columns, 0)] if len(chosen) else columns >= 0


def assemble(
    members: pl.DataFrame,
    found: Candidates,
    bystanders: pl.DataFrame,
    unit: float,
    config: WeakLinksConfig,
    *,
    each_alone: bool = False,
) -> Assembled:
    """Build the cut problem. members: `holdings` plus `own`; bystanders: `collateral.bystanders`. each_alone: no groups of like accounts."""
    volumes = members["volume"].to_numpy()
    shared = found.columns.height
    rows, columns = found.flows["row"].to_numpy(), found.flows["column"].to_numpy()
    flows = sparse.csr_array((found.flows["share"].to_numpy(), (rows, columns)), shape=(members.height, shared))
    worth, own_effect, own_price = own_worth(members, unit, config)
    if each_alone:
        first = group = np.arange(members.height)
    else:
        first, group = _alike(flows, np.where(worth, members["own"].to_physical().to_numpy().astype(np.int64), -1))
    groups = len(first)
    has_own = worth[first]
    own_column = np.where(has_own, shared + np.cumsum(has_own) - 1, -1)
    own_shares = sparse.csr_array(
        (own_effect[first][has_own], (np.flatnonzero(has_own), own_column[has_own] - shared)),
        shape=(groups, int(has_own.sum())),
    )
    own_prices = np.bincount(group, own_price, minlength=groups)[has_own]
    harms, touches = _hurt(bystanders, shared + len(own_prices))
    problem = CutProblem(
        volumes=np.bincount(group, volumes, minlength=groups).astype(np.float64),
        shares=sparse.csr_array(sparse.hstack([flows[first], own_shares], format="csr")),
        harms=harms,
        touches=touches,
        prices=np.concatenate([found.columns["price"].to_numpy() + _doubt(members, found, unit, config), own_prices]),
    )
    return Assembled(problem, shared, group, own_column)


def own_worth(
    members: pl.DataFrame, unit: float | NDArray[np.float64], config: WeakLinksConfig
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.float64]]:
    """(worth taking if nothing else cuts the account, effect, price) of each member's own measure.

    members: with `own`, `volume`, `serves`, `requests_per_day`. unit: requests a day of one account-equivalent, of all or of each of them. The
    price counts that the account may be benign after all.
    """
    name = pl.col("own").cast(pl.String)
    # REVOKE_LEASE on a cloud's account is a candidate column already, since it cuts others' volume too.
    effects = m.effect(config) | {m.REVOKE_LEASE: 0.0}
    frame = members.select(
        name.replace_strict(effects, return_dtype=pl.Float64).alias("effect"),
        name.replace_strict(m.account_prices(config), return_dtype=pl.Float64).alias("price"),
        name.replace_strict(m.harm(config), return_dtype=pl.Float64).alias("harm"),
    )
    effect = frame["effect"].to_numpy()
    price = frame["price"].to_numpy() + frame["harm"].to_numpy() * _innocent(members, unit, config)
    return np.asarray(members["volume"].to_numpy() * effect > price), effect, price


def _innocent(members: pl.DataFrame, unit: float | NDArray[np.float64], config: WeakLinksConfig) -> NDArray[np.float64]:
    """Expected price of hurting each member fully, by its probability of being benign."""
    usage = members["requests_per_day"].to_numpy() / np.where(np.asarray(unit) > 0, unit, 1.0)
    whole = config.benign_account_price + config.benign_volume_price * usage
    return np.asarray((1.0 - members["serves"].to_numpy()) * whole)


def _doubt(members: pl.DataFrame, found: Candidates, unit: float, config: WeakLinksConfig) -> NDArray[np.float64]:
    """For candidate columns on a member's account: the price of its being benign; 0 for tokens."""
    targets = found.columns["row"]
    innocent = np.append(_innocent(members, unit, config), 0.0)
    harms = found.columns["measure"].cast(pl.String).replace_strict(m.harm(config), return_dtype=pl.Float64)
    return np.asarray(innocent[targets.fill_null(members.height).to_numpy()] * harms.to_numpy())


def _alike(flows: sparse.csr_array, own: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(first member of each group, group of each member); alike: the same own measure and the same shares of the same columns."""
    with np.errstate(over="ignore"):
        cell = (flows.indices.astype(np.uint64) << np.uint64(20)) + np.round(flows.data * (1 << 19)).astype(np.uint64)
        cell = (cell ^ (cell >> np.uint64(30))) * _MIX
        cell = (cell ^ (cell >> np.uint64(27))) * _MIX_AGAIN
        sums = np.concatenate([[np.uint64(0)], np.cumsum(cell ^ (cell >> np.uint64(31)), dtype=np.uint64)])
        hashes = sums[flows.indptr[1:]] - sums[flows.indptr[:-1]]
        keys = hashes * np.uint64(16) + (own + 1).astype(np.uint64)
    _, first, group = np.unique(keys, return_index=True, return_inverse=True)
    return first, group.reshape(-1)


def _hurt(bystanders: pl.DataFrame, columns: int) -> tuple[NDArray[np.float64], sparse.csr_array]:
    """(harms, touches) of the problem; bystanders touched by the same columns become one."""
    accounts, index = np.unique(bystanders["account"].to_numpy(), return_inverse=True)
    touches = sparse.csr_array(
        (bystanders["harm"].to_numpy(), (index.reshape(-1), bystanders["column"].to_numpy())),
        shape=(len(accounts), columns),
    )
    if not len(accounts):
        return np.zeros(0), touches
    prices = np.zeros(len(accounts))
    prices[index.reshape(-1)] = bystanders["price"].to_numpy()
    first, group = _alike(touches, np.zeros(len(accounts), dtype=np.int64))
    return np.bincount(group, prices).astype(np.float64), sparse.csr_array(touches[first])
