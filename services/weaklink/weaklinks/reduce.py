"""Exact reductions of a cut problem before it is solved: most measures of a large campaign are decided without search.

 - A group of bystanders that only one measure touches is part of that measure's price.
 - A measure that touches no others' bystanders and gains even after all others are taken is in a best choice.
 - A measure whose cut, after the certain ones are taken, cannot pay its price is in none.
The last two feed each other, so they repeat until nothing changes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from weaklink.weaklinks.problem import Chosen, CutProblem, Floats


@dataclass(frozen=True, slots=True)
class Reduced:
    """`problem` holds the `open` measures (indices into the original) only, on the volume that the `taken` ones leave over.

    value = value_taken + reduced value, for every choice that contains `taken` and leaves out what is neither taken nor open.
    """

    problem: CutProblem
    taken: Chosen
    open: NDArray[np.intp]
    value_taken: float

    def chosen(self, of_open: Chosen) -> Chosen:
        """The choice in the original problem."""
        full = self.taken.copy()
        full[self.open[of_open]] = True
        return full


def reduce(problem: CutProblem) -> Reduced:
    """Decide what can be decided. A best choice of the reduced problem, with `taken`, is a best choice of the original."""
    alone = np.diff(problem.touches.indptr) == 1
    exclusive = sparse.csr_array(problem.touches[np.flatnonzero(alone)])
    prices = problem.prices + np.asarray(problem.harms[alone] @ exclusive).ravel()
    harms, touches = problem.harms[~alone], sparse.csr_array(problem.touches[np.flatnonzero(~alone)])
    touching = np.bincount(touches.indices, minlength=problem.measures) > 0
    rows = np.repeat(np.arange(len(problem.volumes)), np.diff(problem.shares.indptr))
    columns, shares = problem.shares.indices, problem.shares.data
    volumes = problem.volumes[rows]
    taken = np.zeros(problem.measures, dtype=np.bool_)
    useless = np.zeros(problem.measures, dtype=np.bool_)

    def gains(covered: Floats) -> Floats:
        """What each measure cuts when so much of its groups is cut already."""
        cut = volumes * np.minimum(shares, np.maximum(0.0, 1.0 - covered))
        return np.asarray(np.bincount(columns, cut, minlength=problem.measures), dtype=np.float64)

    while True:
        possible = problem.shares @ (~useless).astype(np.float64)
        certain = problem.shares @ taken.astype(np.float64)
        now_taken = taken | (~useless & ~touching & (gains(possible[rows] - shares) > prices))
        now_useless = useless | (~now_taken & (gains(certain[rows]) <= prices))
        if (now_taken == taken).all() and (now_useless == useless).all():
            break
        taken, useless = now_taken, now_useless
    open_ = np.flatnonzero(~taken & ~useless)
    left = np.maximum(0.0, 1.0 - problem.shares @ taken.astype(np.float64))
    remaining = sparse.csr_array(problem.shares[:, open_])
    concerned = np.flatnonzero((np.diff(remaining.indptr) > 0) & (left > 0))
    hurt = sparse.csr_array(touches[:, open_])
    hurting = np.flatnonzero(np.diff(hurt.indptr) > 0)
    # Volume and shares are rescaled to what is left over, so that a group is again cut fully at a sum of 1.
    scaled = sparse.csr_array(sparse.diags_array(1.0 / left[concerned]) @ remaining[concerned])
    # More than all that is left cannot be cut: the same values, and a much tighter relaxation.
    scaled.data = np.minimum(1.0, scaled.data)
    inner = CutProblem(
        volumes=(problem.volumes * left)[concerned],
        shares=scaled,
        harms=harms[hurting],
        touches=sparse.csr_array(hurt[hurting]),
        prices=prices[open_],
    )
    return Reduced(inner, taken, open_, problem.value(taken))
