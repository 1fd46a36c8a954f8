"""An upper bound on any plan's value by Lagrangian duality: for problems too large to be proven by search.

Every choice of the multipliers bounds the best plan, so the bound holds however early the iteration stops; and it stops after a
number of steps, not after a time, so that equal problems give equal bounds on any machine.
"""

from typing import Final

import numpy as np
from scipy import sparse

from weaklink.weaklinks.problem import CutProblem, Floats

_PATIENCE: Final = 10
_SHRINK: Final = 0.6


def dual_bound(problem: CutProblem, reached: float, iterations: int) -> float:
    """At least the value of the best choice; `reached` is that of a known one.

    The constraints z_g <= sum_m share_gm x_m and y_b >= touch_bm x_m (see `milp`) are priced with l_g in [0, volume_g] and
    u_bm >= 0, sum_m u_bm <= harm_b. What is left falls apart into single measures:
        sum_g (volume_g - l_g) + sum_m max(0, sum_g l_g share_gm - sum_b u_bm touch_bm - price_m).
    Minimised by projected subgradients with Polyak's step (1969), shrunk when it stalls (Held, Wolfe and Crowder 1974).
    """
    shares = sparse.csr_array(problem.shares)
    by_measure = sparse.csr_array(shares.T)
    touches = sparse.coo_array(problem.touches)
    split = np.bincount(touches.row, minlength=len(problem.harms))
    volumes, paid = problem.volumes, problem.harms[touches.row] / np.maximum(split[touches.row], 1)
    worth = volumes / 2
    best, kept = problem.bound(), (worth, paid)
    step_share, stalled = 1.0, 0
    for _ in range(iterations):
        gains = by_measure @ worth - _sums(touches.col, paid * touches.data, problem.measures) - problem.prices
        taken = gains > 0
        bound = float((volumes - worth).sum() + gains[taken].sum())
        if bound < best:
            best, kept, stalled = bound, (worth, paid), 0
        else:
            stalled += 1
        if stalled > _PATIENCE:
            (worth, paid), stalled, step_share = kept, 0, step_share * _SHRINK
            continue
        slope = shares @ taken.astype(np.float64) - 1.0
        slope[((worth <= 0) & (slope > 0)) | ((worth >= volumes) & (slope < 0))] = 0.0
        length = float(slope @ slope)
        if length == 0.0 or best <= reached:
            break
        step = step_share * max(bound - reached, 1e-9) / length
        worth = np.clip(worth - step * slope, 0.0, volumes)
        paid = paid + step * touches.data * taken[touches.col]
        paid = (
            paid * np.minimum(1.0, problem.harms / np.maximum(_sums(touches.row, paid, len(split)), 1e-12))[touches.row]
        )
    return max(best, reached)


def _sums(index: np.ndarray, values: Floats, size: int) -> Floats:
    return np.asarray(np.bincount(index, values, minlength=size), dtype=np.float64)
