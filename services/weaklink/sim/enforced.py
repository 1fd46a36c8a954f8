"""A world under enforcement: what still happens of it in each slice of event time, and what is told of that.

One definition for every loop: `loop.ClosedLoop` publishes the slices to a real pipeline, `offline.closed_loop` hands them to a function.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
import polars as pl

from weaklink.sim.restrictions import Restrictions
from weaklink.sim.tables import EVENTS
from weaklink.sim.tampering import told
from weaklink.sim.worlds import World

_NEED_AN_ACCOUNT: Final = ("ApiUsage", "PaymentAttempt", "AddressLease")
"""What an account that was taken away can no longer do."""
_AMOUNTS: Final = ("requests", "input_tokens", "output_tokens")


class EnforcedWorld:
    """Give it the slices of every step in order. `taken` may change between two slices; operators notice at the next step."""

    def __init__(self, world: World, taken: Restrictions) -> None:
        self.world, self.taken = world, taken
        self.exchanges = dict.fromkeys((operator.spec.name for operator in world.operators), 0)
        """Requests that each operator made so far, in spite of enforcement."""
        self.honest_requests = 0
        self.honest_requests_lost = 0
        """Requests that ordinary customers would have made."""
        self._step = world.benign.clear()
        self._later = self._step

    def history(self) -> pl.DataFrame:
        """What was before the world begins, as it is told: EVENTS in order of time."""
        before = self.world.benign.filter(pl.col("occurred_at_us") < self.world.spec.start_us)
        return told(before.with_columns(_due_us="occurred_at_us"), self.world.spec, self.world.seed).select(
            EVENTS.names()
        )

    def slices(self, length_us: int) -> Iterator[tuple[int, int]]:
        """[start, end) of every slice; operators move whenever a step of theirs begins. Take each one's `events` at once."""
        for start, end in self.world.steps():
            self._begin(start, end)
            for now in range(start, end, length_us):
                yield now, min(now + length_us, end)

    def events(self, start_us: int, end_us: int) -> pl.DataFrame:
        """What is told in this slice: EVENTS in order of being told."""
        real = self._survivors(self._step.filter(pl.col("_due_us").is_between(start_us, end_us, closed="left")))
        spec = self.world.spec
        parts = [told(real.drop("_operator"), spec, self.world.seed), self._later]
        known = pl.concat(parts).sort("_due_us", maintain_order=True)
        self._later = known.filter(pl.col("_due_us") >= end_us)
        return known.filter(pl.col("_due_us") < end_us).select(EVENTS.names())

    def _begin(self, start_us: int, end_us: int) -> None:
        """A step's events, with the operator and the time at which each is told.

        Accounts that were bought opened long before the step that shows them: that is told late, at its beginning.
        """
        moves = [operator.step(start_us, end_us, self.taken) for operator in self.world.operators]
        benign = self.world.benign
        low, high = (int(benign["occurred_at_us"].search_sorted(at, side="left")) for at in (start_us, end_us))
        parts = [benign.slice(low, high - low).with_columns(_operator=pl.lit(None, pl.Int32))]
        parts += [move.with_columns(_operator=pl.lit(index, pl.Int32)) for index, move in enumerate(moves)]
        self._step = pl.concat(parts).with_columns(_due_us=pl.max_horizontal("occurred_at_us", pl.lit(start_us)))
        if self._later.is_empty():
            self._later = self._step.drop("_operator").clear()

    def _survivors(self, events: pl.DataFrame) -> pl.DataFrame:
        """What still happens: a dead account uses, pays and leases nothing; a throttled honest one uses less."""
        taken = self.taken
        dead = pl.col("account").is_in(list(taken.dead)) & pl.col("record").cast(pl.String).is_in(_NEED_AN_ACCOUNT)
        left = pl.Series("_left", self._shares(events))
        # Operators have made do with what is left to them already; of ordinary customers' wishes it is taken here.
        honest = pl.col("_operator").is_null()
        less = [(pl.col(name) * left).floor().cast(EVENTS[name]) for name in _AMOUNTS]
        kept = events.with_columns(
            pl.when(honest).then(fewer).otherwise(pl.col(name)).alias(name)
            for name, fewer in zip(_AMOUNTS, less, strict=True)
        ).filter(~dead)
        self._count(events, kept)
        return kept

    def _shares(self, events: pl.DataFrame) -> "np.ndarray[tuple[int], np.dtype[np.float64]]":
        """The share of its requests that each row's account, or its end user there, may still make."""
        taken, left = self.taken, np.ones(events.height)
        limited = set(taken.throttled) | {account for account, _ in taken.end_users}
        if not limited:
            return left
        account, user = events["account"].to_numpy(), events["end_user"].fill_null(0).to_numpy()
        for row in np.flatnonzero(np.isin(account, list(limited))).tolist():
            whole = taken.throttled.get(int(account[row]), 1.0)
            left[row] = min(whole, taken.end_users.get((int(account[row]), int(user[row])), 1.0))
        return left

    def _count(self, wanted: pl.DataFrame, kept: pl.DataFrame) -> None:
        sums = [dict(frame.group_by("_operator").agg(pl.col("requests").sum()).iter_rows()) for frame in (wanted, kept)]
        self.honest_requests += int(sums[1].get(None, 0) or 0)
        self.honest_requests_lost += int((sums[0].get(None, 0) or 0) - (sums[1].get(None, 0) or 0))
        for index, operator in enumerate(self.world.operators):
            self.exchanges[operator.spec.name] += int(sums[1].get(index, 0) or 0)
