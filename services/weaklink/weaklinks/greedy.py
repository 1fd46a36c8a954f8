"""Lazy greedy for the cut problem: the anytime fallback when the mixed-integer program finds nothing in time.

Lazy evaluation (Minoux 1978) needs keys that never understate a gain. What a measure cuts can only shrink as others are
taken (coverage), but the harm that it adds can shrink too. So a key is stale cut minus *current* harm minus price: harm is
renewed for exactly those measures that share a bystander with the one just taken, the cut when the key reaches the top.
"""

import heapq
import math
import time
from collections.abc import Iterator

import numpy as np
from scipy import sparse

from weaklink.weaklinks.problem import Chosen, CutProblem, Solution


def solve_greedy(problem: CutProblem, time_limit_seconds: float) -> Solution:
    """Take the measure of largest gain until none gains or the time is up; any prefix is a sound plan. Claims no guarantee."""
    deadline = time.monotonic() + time_limit_seconds
    chosen: Chosen = np.zeros(problem.measures, dtype=np.bool_)
    for measure, _ in steps(problem, deadline):
        chosen[measure] = True
    return Solution(chosen, problem.value(chosen), problem.bound(), "greedy")


def steps(problem: CutProblem, deadline: float = math.inf) -> Iterator[tuple[int, float]]:
    """(measure, volume that it adds to the cut), in the order in which greedy takes them, until `deadline` (of time.monotonic)."""
    state = _State(problem)
    heap = [(-key, measure) for measure, key in enumerate(state.keys.tolist()) if key > 0]
    heapq.heapify(heap)
    while heap and time.monotonic() < deadline:
        negative_key, measure = heapq.heappop(heap)
        if state.chosen[measure] or -negative_key != state.keys[measure]:
            continue  # an entry that a renewed key has replaced
        gain = state.renew(measure)
        if gain <= 0 and state.cuts[measure] <= problem.prices[measure]:
            continue  # even without harm it would not gain, and its cut only shrinks
        if heap and gain < -heap[0][0]:
            heapq.heappush(heap, (-gain, measure))
            continue
        if gain <= 0:
            break  # the top is exact and every other key is an overstatement
        for renewed in state.take(measure):
            heapq.heappush(heap, (-float(state.keys[renewed]), renewed))
        yield measure, float(state.cuts[measure])


class _State:
    """What has been taken so far, and each measure's present cut (stale), harm (current) and key."""

    def __init__(self, problem: CutProblem) -> None:
        self.problem = problem
        self.shares = sparse.csc_array(problem.shares)
        self.touches = sparse.csc_array(problem.touches)
        self.chosen: Chosen = np.zeros(problem.measures, dtype=np.bool_)
        self.covered = np.zeros(len(problem.volumes))
        self.hurt = np.zeros(len(problem.harms))
        capped = self.shares.copy()
        capped.data = np.minimum(1.0, capped.data)
        self.cuts = np.asarray(problem.volumes @ capped, dtype=np.float64)
        self.added_harms = np.asarray(problem.harms @ self.touches, dtype=np.float64)
        self.keys = self.cuts - self.added_harms - problem.prices

    def renew(self, measure: int) -> float:
        """The exact gain of the measure now; its key becomes that."""
        groups, shares = self._column(self.shares, measure)
        added = np.minimum(shares, 1.0 - self.covered[groups])
        self.cuts[measure] = float(self.problem.volumes[groups] @ added)
        self.keys[measure] = self.cuts[measure] - self.added_harms[measure] - self.problem.prices[measure]
        return float(self.keys[measure])

    def take(self, measure: int) -> list[int]:
        """Take the measure; gives the others whose added harm shrank, with their keys renewed."""
        self.chosen[measure] = True
        groups, shares = self._column(self.shares, measure)
        self.covered[groups] = np.minimum(1.0, self.covered[groups] + shares)
        bystanders, touches = self._column(self.touches, measure)
        self.hurt[bystanders] = np.maximum(self.hurt[bystanders], touches)
        neighbours = np.unique(self.problem.touches[bystanders].indices) if len(bystanders) else bystanders
        renewed = [int(other) for other in neighbours if not self.chosen[other]]
        for other in renewed:
            rows, theirs = self._column(self.touches, other)
            self.added_harms[other] = float(self.problem.harms[rows] @ np.maximum(0.0, theirs - self.hurt[rows]))
            self.keys[other] = self.cuts[other] - self.added_harms[other] - self.problem.prices[other]
        return renewed

    @staticmethod
    def _column(matrix: sparse.csc_array, measure: int) -> tuple[np.ndarray, np.ndarray]:
        begin, end = matrix.indptr[measure], matrix.indptr[measure + 1]
        return matrix.indices[begin:end], matrix.data[begin:end]
