"""The best plan in the time: reductions, then the mixed-integer program, then lazy greedy where it ended unproven."""

import time

from weaklink.weaklinks.greedy import solve_greedy
from weaklink.weaklinks.milp import solve_milp
from weaklink.weaklinks.problem import CutProblem, Solution
from weaklink.weaklinks.reduce import Reduced, reduce


def solve(problem: CutProblem, time_limit_seconds: float, gap_relative: float) -> Solution:
    """A choice with its value and a proven bound. The solver stops at a gap of `gap_relative` (of what it was left to decide)."""
    began = time.monotonic()
    reduced = reduce(problem)
    if not len(reduced.open):
        return _whole(problem, reduced, Solution(reduced.taken[:0], 0.0, 0.0, "milp"))
    exact = solve_milp(reduced.problem, time_limit_seconds, gap_relative)
    if exact is not None and exact.gap <= gap_relative:
        return _whole(problem, reduced, exact)
    # Greedy is quick; it gets a quarter more when the program has used up its time.
    left = max(time_limit_seconds / 4, time_limit_seconds - (time.monotonic() - began))
    greedy = solve_greedy(reduced.problem, left)
    if exact is None:
        return _whole(problem, reduced, greedy)
    if exact.value >= greedy.value:
        return _whole(problem, reduced, exact)
    return _whole(problem, reduced, Solution(greedy.chosen, greedy.value, exact.bound, greedy.solver))


def _whole(problem: CutProblem, reduced: Reduced, inner: Solution) -> Solution:
    chosen = reduced.chosen(inner.chosen)
    value = problem.value(chosen)
    return Solution(chosen, value, max(value, reduced.value_taken + inner.bound), inner.solver)
