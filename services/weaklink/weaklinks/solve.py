"""The best plan in the time: reductions, then the mixed-integer program where it is small enough, else lazy greedy with a dual bound."""

import time

from weaklink.weaklinks.config import WeakLinksConfig
from weaklink.weaklinks.dual import dual_bound
from weaklink.weaklinks.greedy import solve_greedy
from weaklink.weaklinks.milp import solve_milp
from weaklink.weaklinks.problem import CutProblem, Solution
from weaklink.weaklinks.reduce import Reduced, reduce


def solve(problem: CutProblem, config: WeakLinksConfig, time_limit_seconds: float | None = None) -> Solution:
    """A choice with its value and a proven bound, within `gap_relative` of the best where the time suffices.

    Small problems go to the program at once. For large ones greedy and the dual bound come first: both take a number of steps,
    not a time, and only when their gap is above `gap_accepted` the program tries, for `nodes_max` nodes. So equal campaigns
    get equal plans on any machine that is quick enough for the limit, which is a guard, not a means.
    """
    limit = config.time_limit_seconds if time_limit_seconds is None else time_limit_seconds
    deadline = time.monotonic() + limit
    reduced = reduce(problem)
    inner = reduced.problem
    if not inner.measures:
        return _whole(problem, reduced, Solution(reduced.taken[:0], 0.0, 0.0, "milp"))
    small = inner.measures <= config.exact_measures_max
    exact = solve_milp(inner, limit, config.gap_relative) if small else None
    if exact is not None and exact.gap <= config.gap_relative:
        return _whole(problem, reduced, exact)
    # Greedy is quick; it gets a quarter more when the program has used up its time.
    greedy = solve_greedy(inner, max(limit / 4, deadline - time.monotonic()))
    bound = min(greedy.bound, dual_bound(inner, greedy.value, config.dual_iterations))
    found = _better(Solution(greedy.chosen, greedy.value, bound, greedy.solver), exact)
    left = deadline - time.monotonic()
    whole = _whole(problem, reduced, found)
    if small or whole.gap <= config.gap_accepted or left <= 0:
        return whole
    return _whole(problem, reduced, _better(found, solve_milp(inner, left, config.gap_relative, config.nodes_max)))


def _better(one: Solution, other: Solution | None) -> Solution:
    """The choice of more value, with the lower of both bounds."""
    if other is None:
        return one
    best = one if one.value >= other.value else other
    return Solution(best.chosen, best.value, min(one.bound, other.bound), best.solver)


def _whole(problem: CutProblem, reduced: Reduced, inner: Solution) -> Solution:
    chosen = reduced.chosen(inner.chosen)
    value = problem.value(chosen)
    return Solution(chosen, value, max(value, reduced.value_taken + inner.bound), inner.solver)
