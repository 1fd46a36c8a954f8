"""The cut problem and its two solvers."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from weaklink.weaklinks.config import WeakLinksConfig
from weaklink.weaklinks.dual import dual_bound
from weaklink.weaklinks.greedy import solve_greedy
from weaklink.weaklinks.milp import solve_milp
from weaklink.weaklinks.problem import CutProblem
from weaklink.weaklinks.reduce import reduce
from weaklink.weaklinks.solve import solve

EXACT = WeakLinksConfig(gap_relative=0.0, gap_accepted=0.0)


@st.composite
def problems(draw: st.DrawFn) -> CutProblem:
    measures = draw(st.integers(1, 7))
    groups = draw(st.integers(1, 5))
    bystanders = draw(st.integers(0, 4))
    tenths = st.integers(0, 10).map(lambda tenth: tenth / 10)

    def matrix(rows: int) -> sparse.csr_array:
        cells = [[draw(tenths) if draw(st.booleans()) else 0.0 for _ in range(measures)] for _ in range(rows)]
        return sparse.csr_array(np.array(cells, dtype=np.float64).reshape(rows, measures))

    return CutProblem(
        volumes=np.array([draw(st.integers(0, 20)) for _ in range(groups)], dtype=np.float64),
        shares=matrix(groups),
        harms=np.array([draw(st.integers(0, 20)) for _ in range(bystanders)], dtype=np.float64),
        touches=matrix(bystanders),
        prices=np.array([draw(st.integers(1, 30)) / 10 for _ in range(measures)]),
    )


def best_by_enumeration(problem: CutProblem) -> float:
    choices = itertools.product([False, True], repeat=problem.measures)
    return max(problem.value(np.array(choice, dtype=np.bool_)) for choice in choices)


def by_definition(problem: CutProblem, chosen: np.ndarray) -> float:
    """The objective written out, cell by cell."""
    shares, touches = problem.shares.toarray(), problem.touches.toarray()
    taken = np.flatnonzero(chosen)
    cut = sum(v * min(1.0, sum(shares[g, m] for m in taken)) for g, v in enumerate(problem.volumes))
    harm = sum(h * max((touches[b, m] for m in taken), default=0.0) for b, h in enumerate(problem.harms))
    return float(cut - harm - sum(problem.prices[m] for m in taken))


@settings(max_examples=80, deadline=None)
@given(problems(), st.integers(0, 127))
def test_value_is_cut_minus_harm_counted_once_minus_price(problem: CutProblem, bits: int) -> None:
    chosen = np.array([bool(bits >> m & 1) for m in range(problem.measures)])
    assert problem.value(chosen) == pytest.approx(by_definition(problem, chosen))


@settings(max_examples=80, deadline=None)
@given(problems())
def test_milp_finds_the_best_of_all_choices(problem: CutProblem) -> None:
    solution = solve_milp(problem, time_limit_seconds=10.0, gap_relative=0.0)
    assert solution is not None
    best = best_by_enumeration(problem)
    assert solution.value == pytest.approx(best, abs=1e-6)
    assert solution.value == pytest.approx(problem.value(solution.chosen))
    assert solution.bound >= best - 1e-6


@settings(max_examples=80, deadline=None)
@given(problems())
def test_greedy_stays_under_the_bound_and_tells_no_smaller_gap_than_the_truth(problem: CutProblem) -> None:
    exact = solve_milp(problem, time_limit_seconds=10.0, gap_relative=0.0)
    greedy = solve_greedy(problem, time_limit_seconds=10.0)
    assert exact is not None
    assert greedy.value <= exact.bound + 1e-6
    best = best_by_enumeration(problem)
    assert greedy.bound >= best - 1e-6
    if greedy.bound > 0:
        assert greedy.gap >= (best - greedy.value) / greedy.bound - 1e-6


@settings(max_examples=80, deadline=None)
@given(problems())
def test_greedy_takes_nothing_that_does_not_gain_at_its_turn(problem: CutProblem) -> None:
    assert solve_greedy(problem, time_limit_seconds=10.0).value >= 0.0


@settings(max_examples=80, deadline=None)
@given(problems())
def test_lazy_greedy_is_as_good_as_greedy_that_evaluates_every_measure_at_every_step(problem: CutProblem) -> None:
    """Ties may order the steps differently, so values are compared only where every step is strict."""
    chosen = np.zeros(problem.measures, dtype=np.bool_)
    while True:
        now = problem.value(chosen)
        gains = []
        for measure in np.flatnonzero(~chosen):
            trial = chosen.copy()
            trial[measure] = True
            gains.append((problem.value(trial) - now, measure))
        gains.sort(key=lambda gain: -gain[0])
        if not gains or gains[0][0] <= 1e-9:
            break
        if len(gains) > 1 and gains[0][0] - gains[1][0] < 1e-9:
            return
        chosen[gains[0][1]] = True
    assert solve_greedy(problem, time_limit_seconds=10.0).value == pytest.approx(problem.value(chosen), abs=1e-6)


@settings(max_examples=150, deadline=None)
@given(problems())
def test_reduction_loses_no_best_choice_and_its_values_add_up(problem: CutProblem) -> None:
    reduced = reduce(problem)
    best = 0.0 if not len(reduced.open) else best_by_enumeration(reduced.problem)
    assert reduced.value_taken + best == pytest.approx(best_by_enumeration(problem))
    for choice in itertools.product([False, True], repeat=len(reduced.open)):
        of_open = np.array(choice, dtype=np.bool_)
        whole = problem.value(reduced.chosen(of_open))
        assert whole == pytest.approx(reduced.value_taken + reduced.problem.value(of_open))


@settings(max_examples=80, deadline=None)
@given(problems())
def test_solve_gives_the_best_choice_with_a_true_gap(problem: CutProblem) -> None:
    solution = solve(problem, EXACT)
    assert solution.value == pytest.approx(best_by_enumeration(problem), abs=1e-6)
    assert solution.gap == pytest.approx(0.0, abs=1e-6)


@settings(max_examples=40, deadline=None)
@given(problems())
def test_solve_without_time_still_bounds_the_best_choice(problem: CutProblem) -> None:
    solution = solve(problem, EXACT, time_limit_seconds=1e-9)
    best = best_by_enumeration(problem)
    assert solution.bound >= best - 1e-6
    assert solution.value <= best + 1e-6


@settings(max_examples=80, deadline=None)
@given(problems(), st.integers(0, 60))
def test_the_dual_bound_holds_after_any_number_of_steps(problem: CutProblem, iterations: int) -> None:
    best = best_by_enumeration(problem)
    for reached in (0.0, best):
        assert dual_bound(problem, reached, iterations) >= best - 1e-9


@settings(max_examples=60, deadline=None)
@given(problems())
def test_a_problem_too_large_for_the_program_gets_a_true_bound_too(problem: CutProblem) -> None:
    for accepted in (1.0, 0.0):  # greedy is good enough; it is not, and the program has its turn
        config = WeakLinksConfig(exact_measures_max=0, gap_relative=0.0, gap_accepted=accepted)
        solution = solve(problem, config)
        best = best_by_enumeration(problem)
        assert solution.value == pytest.approx(problem.value(solution.chosen))
        assert solution.value <= best + 1e-6
        assert solution.bound >= best - 1e-6
        if accepted == 0.0:
            assert solution.value == pytest.approx(best, abs=1e-6)


def test_the_dual_bound_of_a_large_campaign_proves_greedy_to_be_near_the_best() -> None:
    """3,000 accounts with a measure each, 600 cards and 150 lessees: far tighter than cutting everything for nothing."""
    rng = np.random.default_rng(4)
    rows = np.arange(3000)
    cells = [(rows, rows, np.full(3000, 0.75)), (rows, 3000 + rng.integers(0, 600, 3000), np.full(3000, 0.4))]
    cells.append((rows, 3600 + rng.integers(0, 150, 3000), np.full(3000, 0.2)))
    r, c, v = (np.concatenate(part) for part in zip(*cells, strict=True))
    problem = CutProblem(
        volumes=rng.lognormal(0, 0.7, 3000),
        shares=sparse.csr_array((v, (r, c)), shape=(3000, 3750)),
        harms=np.zeros(0),
        touches=sparse.csr_array((0, 3750)),
        prices=np.concatenate([rng.uniform(0.05, 0.6, 3000), np.full(600, 0.4), np.full(150, 0.5)]),
    )
    solution = solve(problem, WeakLinksConfig(exact_measures_max=0, gap_accepted=1.0))
    assert solution.solver == "greedy"
    assert solution.gap < 0.02
    assert solution.bound < problem.bound()


def test_greedy_without_time_gives_a_sound_plan_with_an_honest_gap() -> None:
    problem = CutProblem(
        volumes=np.array([10.0]),
        shares=sparse.csr_array(np.array([[0.9, 0.5]])),
        harms=np.array([1.0]),
        touches=sparse.csr_array(np.array([[1.0, 1.0]])),
        prices=np.array([0.5, 0.5]),
    )
    solution = solve_greedy(problem, time_limit_seconds=0.0)
    assert not solution.chosen.any()
    assert solution.gap == 1.0


def test_the_program_for_a_large_problem_ends_after_so_many_nodes() -> None:
    """Not by the clock, which would give equal campaigns other plans on a slower machine; a proof takes more nodes than one."""
    rng = np.random.default_rng(3)

    def matrix(rows: int, share: float) -> sparse.csr_array:
        cells = np.where(rng.random((rows, 60)) < share, rng.integers(3, 9, (rows, 60)) / 10, 0.0)
        return sparse.csr_array(cells)

    shares, touches = matrix(60, 0.08), matrix(20, 0.1)
    problem = CutProblem(
        volumes=rng.integers(1, 20, 60).astype(float),
        shares=shares,
        harms=rng.integers(1, 20, 20).astype(float),
        touches=touches,
        prices=rng.integers(10, 60, 60) / 10,
    )
    one, many = (
        solve(problem, EXACT.model_copy(update={"exact_measures_max": 0, "nodes_max": nodes}), time_limit_seconds=60.0)
        for nodes in (1, 100_000)
    )
    assert many.gap == pytest.approx(0.0, abs=1e-9)
    assert one.gap > 0.001
