"""The cut problem: which columns (measures) to take so that volume cut minus harm minus price is largest.

    maximise  sum_g volume_g * min(1, sum_m share_gm x_m) - sum_b harm_b * max_m touch_bm x_m - sum_m price_m x_m

over x in {0, 1}. Cutting is a coverage, and so is harm (two measures that touch the same bystander count it once). Coverage
minus coverage has no constant-factor guarantee for any greedy rule; solvers report the gap to a proven bound instead.
"""

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Floats: TypeAlias = NDArray[np.float64]
Chosen: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class CutProblem:
    """One campaign's measures as columns.

    volumes: (groups,) volume of each group of accounts. shares: (groups, measures), share of the group's volume that the
    measure cuts, 0 to 1. harms: (bystanders,) price of hurting each group of bystanders fully. touches: (bystanders,
    measures), how badly the measure hurts them, 0 to 1. prices: (measures,), above 0.
    """

    volumes: Floats
    shares: sparse.csr_array
    harms: Floats
    touches: sparse.csr_array
    prices: Floats

    @property
    def measures(self) -> int:
        """Number of columns."""
        return len(self.prices)

    def cut(self, chosen: Chosen) -> Floats:
        """Share of each group's volume that the chosen measures cut together (groups,)."""
        return np.asarray(np.minimum(1.0, self.shares @ chosen.astype(np.float64)))

    def hurt(self, chosen: Chosen) -> Floats:
        """How badly the chosen measures hurt each group of bystanders, each counted once (bystanders,)."""
        hurt = np.zeros(len(self.harms))
        rows = np.repeat(np.arange(len(self.harms)), np.diff(self.touches.indptr))
        np.maximum.at(hurt, rows, self.touches.data * chosen[self.touches.indices])
        return hurt

    def value(self, chosen: Chosen) -> float:
        """The objective at this choice."""
        return float(
            self.volumes @ self.cut(chosen) - self.harms @ self.hurt(chosen) - self.prices @ chosen.astype(np.float64)
        )

    def bound(self) -> float:
        """A bound on the objective that needs no solver: cut everything at no harm and no price."""
        reachable = np.minimum(1.0, np.asarray(self.shares.sum(axis=1)).ravel())
        return float(self.volumes @ reachable)


@dataclass(frozen=True, slots=True)
class Solution:
    """A choice with its value, a proven upper bound on any choice's value, and who found it."""

    chosen: Chosen
    value: float
    bound: float
    solver: Literal["milp", "greedy"]

    @property
    def gap(self) -> float:
        """How far the best plan may lie above this one, as a share of the bound (0: proven best)."""
        return 0.0 if self.bound <= 0 else max(0.0, (self.bound - self.value) / self.bound)
