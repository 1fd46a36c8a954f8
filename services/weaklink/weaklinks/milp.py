"""The cut problem as a mixed-integer program, solved with HiGHS (`scipy.optimize.milp`)."""

from typing import Any

import numpy as np
from scipy import sparse
from scipy.optimize import Bounds, LinearConstraint, milp

from weaklink.weaklinks.problem import CutProblem, Solution


def solve_milp(
    problem: CutProblem, time_limit_seconds: float, gap_relative: float, nodes_max: int | None = None
) -> Solution | None:
    """The best choice found in the time, with the bound that HiGHS proved; None when it found no choice in time.

    With `nodes_max` the search ends after so many nodes, on any machine alike, where the time suffices.


    Variables: x (measures, binary), z (groups, volume cut, 0..1), y (bystanders, harm, 0..1).
    Constraints: z_g <= sum_m share_gm x_m, and y_b >= touch_bm x_m for each m that touches b.
    z and y may stay continuous: for a fixed x their best values are the coverage functions themselves.
    """
    measures, groups, bystanders = problem.measures, len(problem.volumes), len(problem.harms)
    touches = sparse.coo_array(problem.touches)
    pairs = np.arange(touches.nnz)
    ones = np.ones(touches.nnz)
    covered = sparse.hstack(
        [-problem.shares, sparse.eye_array(groups), sparse.csr_array((groups, bystanders))], format="csr"
    )
    counted = sparse.hstack(
        [
            sparse.csr_array((touches.data, (pairs, touches.col)), shape=(touches.nnz, measures)),
            sparse.csr_array((touches.nnz, groups)),
            sparse.csr_array((-ones, (pairs, touches.row)), shape=(touches.nnz, bystanders)),
        ],
        format="csr",
    )
    options: Any = {"time_limit": time_limit_seconds, "mip_rel_gap": gap_relative}
    if nodes_max is not None:
        options["node_limit"] = nodes_max
    # Any: scipy's stubs know neither that x is None when the time runs out first, nor mip_dual_bound.
    result: Any = milp(
        c=np.concatenate([problem.prices, -problem.volumes, problem.harms]),
        integrality=np.concatenate([np.ones(measures), np.zeros(groups + bystanders)]),
        bounds=Bounds(0.0, 1.0),
        constraints=LinearConstraint(sparse.vstack([covered, counted], format="csr"), -np.inf, 0.0),
        options=options,
    )
    if result.x is None:
        return None
    chosen = result.x[:measures] > 0.5
    value = problem.value(chosen)
    proven = problem.bound() if result.mip_dual_bound is None else -float(result.mip_dual_bound)
    # HiGHS' tolerances may put its bound a hair under the true value of its own choice.
    return Solution(chosen, value, max(value, min(proven, problem.bound())), "milp")
