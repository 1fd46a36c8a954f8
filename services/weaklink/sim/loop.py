"""The closed loop: parties publish the world's events in event time, act on what Weaklink tells them, and the operators react.

Event time advances no faster than the pipeline follows, so that the time to detect something is the pipeline's own and not that
of a queue before it.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import numpy as np
import polars as pl

from weaklink.partner.publisher import Sink
from weaklink.sim.backlog import Backlog, BacklogReader
from weaklink.sim.enforced import EnforcedWorld
from weaklink.sim.faults import Faults
from weaklink.sim.parties import Ground, SimulatedParty, check
from weaklink.sim.publishing import EventWriter
from weaklink.sim.spec import DAY_US, HOUR_US
from weaklink.sim.worlds import World

_SLICE_US: Final = HOUR_US // 2
_BACKLOG_LOOK_SECONDS: Final = 0.5
_HOURS_BEHIND_MAX: Final = 5.0
"""Events that ingest may be behind, as the event time that they span on average."""
_MESSAGES_BEHIND_MAX: Final = 48
"""Chunks and decisions that the later stages may be behind: some transactions' worth."""
_DRAINED_LOOKS: Final = 4
_HISTORY_SLICES: Final = 60


@dataclass
class EventClock:
    """The loop's event time, as the parties' clock: it stamps their receipts, or the pipeline's event time would jump to today."""

    now_us: int

    def __call__(self) -> datetime:
        """The event time now."""
        return datetime.fromtimestamp(self.now_us / 1e6, UTC)


@dataclass
class LoopState:
    """How far the loop has come, for whoever shows it."""

    now_us: int
    published: int = 0
    exchanges: dict[str, int] = field(default_factory=dict)
    """Requests that each operator made in spite of enforcement."""
    backlog: Backlog | None = None
    phase: str = "history"


class ClosedLoop:
    """Runs a world to its end. `seconds` is the wall time to take at least; a slower pipeline takes longer."""

    def __init__(  # noqa: PLR0917  # what a loop connects, once
        self,
        world: World,
        parties: Sequence[SimulatedParty],
        ground: Ground,
        backlog: BacklogReader,
        publisher: Sink,
        clock: EventClock,
        messages_behind_max: int = _MESSAGES_BEHIND_MAX,
    ) -> None:
        self._messages_behind_max = messages_behind_max
        self.world, self.ground, self._parties = world, ground, parties
        self._backlog, self._publisher, self._clock = backlog, publisher, clock
        self._writer = EventWriter(
            world.accounts, ground.tokens, bytes(np.random.default_rng([world.seed, 10]).bytes(8))
        )
        self._faults = Faults(world.seed)
        self._looked = 0.0
        self._events_behind_max = max(200, int(len(world.benign) / (world.spec.days * 24) * _HOURS_BEHIND_MAX))
        self._under = EnforcedWorld(world, ground.taken)
        self.state = LoopState(world.spec.start_us, exchanges=self._under.exchanges)

    def run(self, seconds: float, each_slice: Callable[[], None]) -> None:
        """History first, then the world in slices of event time; `each_slice` is called often, and may raise to stop it."""
        spec, under = self.world.spec, self._under
        history = under.history()
        for part in history.iter_slices(max(1, len(history) // _HISTORY_SLICES)):
            self._publish(part)
            self._keep_pace(each_slice)
        self.state.phase = "world"
        began = time.monotonic()
        per_us = seconds / (spec.end_us - spec.start_us)
        for start, end in under.slices(_SLICE_US):
            for party in self._parties:
                party.act(start, self.ground)
            self._publish(under.events(start, end))
            self.state.now_us = self._clock.now_us = end
            self._keep_pace(each_slice)
            self._sleep_until(began + (self.state.now_us - spec.start_us) * per_us, each_slice)
        self._drain(each_slice)

    @property
    def honest_requests(self) -> tuple[int, int]:
        """Requests that ordinary customers made, and those that measures kept them from."""
        return self._under.honest_requests, self._under.honest_requests_lost

    def _publish(self, events: pl.DataFrame) -> None:
        for party, record, values in self._writer.records(events):
            for sent_party, sent_record, sent in self._faults.around(party, record, values):
                self._parties[sent_party].client.publish_record(sent_record, sent)
                self.state.published += 1

    def _keep_pace(self, each_slice: Callable[[], None]) -> None:
        """Wait while the pipeline is too far behind."""
        each_slice()
        if time.monotonic() - self._looked < _BACKLOG_LOOK_SECONDS:
            return
        while True:
            check(self._parties)
            self.state.backlog = behind = self._backlog.read()
            self._looked = time.monotonic()
            if behind.events <= self._events_behind_max and behind.to_detect <= self._messages_behind_max:
                return
            each_slice()
            time.sleep(0.1)

    def _sleep_until(self, moment: float, each_slice: Callable[[], None]) -> None:
        while (left := moment - time.monotonic()) > 0:
            time.sleep(min(left, 0.2))
            each_slice()

    def _drain(self, each_slice: Callable[[], None]) -> None:
        """Event time stands still: wait until everything published is handled and every action is answered."""
        self.state.phase = "drain"
        quiet, late_us = 0, self.state.now_us
        while quiet < _DRAINED_LOOKS:
            late_us += DAY_US  # nothing new happens meanwhile: what would be due later is done now
            for party in self._parties:
                party.act(late_us, self.ground)
            self._publisher.flush()
            check(self._parties)
            self.state.backlog = self._backlog.read()
            idle = not any(self.state.backlog.messages.values()) and not any(party.waiting for party in self._parties)
            quiet = quiet + 1 if idle else 0
            each_slice()
            time.sleep(0.5)
        self.state.phase = "done"
