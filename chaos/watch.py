"""A thread that watches from outside: for how long a partition with waiting input, or a topic's part of the outbox, did not move, and how much memory
every service takes."""

import contextlib
import sqlite3
import threading
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from kafka import TopicPartition
from kafka.errors import KafkaError

from chaos.background import Background
from chaos.ledger import oldest_unpublished
from chaos.offsets import Ahead, Behind, Offsets
from chaos.worker import Worker
from weaklink import topology
from weaklink.errors import BrokerError
from weaklink.kafka_options import KafkaConfig

_SAMPLE_SECONDS: Final = 0.5
_DOUBT_SECONDS: Final = 3.0
"""A partition that stands so long is looked into: it may be that only markers lie ahead."""
_HIDDEN_SECONDS: Final = 2.0
"""What an open transaction hides is looked for again after so long."""
_BLIND_SECONDS: Final = 2.0
"""Without a sample for so long (the broker that was asked is gone, say), a partition that moved meanwhile counts as having stood until now."""
_SETTLED_SECONDS: Final = 5.0
"""A process's memory counts as its own from so long after it is first seen ready."""
_TAKE_OVER_SECONDS: Final = 12.0
"""A session, and a rebalance: while these last another death of the stage begins them anew. A later one is no excuse."""
STAGES: Final = tuple(stage.name for stage in topology.STAGES)
Key = TypeVar("Key")


@dataclass
class _Memory:
    """Of one life of a process: what it had first, the most it had since, and whether that is only the most of the samples."""

    first_mib: float
    peak_mib: float
    sampled: bool


@dataclass(frozen=True, slots=True)
class _Look:
    """What lay ahead of a partition that stood at `committed`, when it was looked into."""

    committed: int
    end: int
    at: float
    ahead: Ahead

    def holds(self, one: Behind, now: float) -> bool:
        """Whether it still is so: a record until it is read, markers until something comes."""
        if self.committed != one.committed:
            return False
        if self.ahead == "hidden":
            return now - self.at < _HIDDEN_SECONDS
        return self.ahead == "record" or self.end == one.end


class Watch(Background):
    """Samples while the block lasts. `stalls`: longest standstill of any partition by stage; `reset` begins to count anew.

    `ledger_url`: of the ledger whose outbox is watched too (not of one that is taken away): what enforce has decided and not published stands as well.

    `resumed`: the same, counted from the last death of a worker of that stage that `note_death` was told of, where it came before what the one before
    costs was over: several such deaths in a row make one long standstill.
    """

    def __init__(self, kafka: KafkaConfig, workers: Sequence[Worker], ledger_url: str | None = None) -> None:
        super().__init__("watch")
        self._kafka, self._ledger_url = kafka, ledger_url
        self._workers = workers
        self._lock = threading.Lock()
        self._paused = False
        self._since: dict[tuple[str, TopicPartition], tuple[int, float]] = {}
        self._unpublished: dict[str, tuple[int, float]] = {}
        """By topic: the first row of the outbox that waits, and since when it is the first."""
        self._looked_at = time.monotonic()
        self._stalls: dict[str, float] = defaultdict(float)
        self._resumed: dict[str, float] = defaultdict(float)
        self._longest: dict[str, str] = {}
        self._looked_into: dict[tuple[str, TopicPartition], _Look] = {}
        self._deaths: dict[str, list[float]] = defaultdict(list)
        self._ready_at: dict[tuple[str, int], float] = {}
        self._memory: dict[tuple[str, int], _Memory] = {}

    def pause(self) -> None:
        """Keep what was measured as it is: what is stopped on purpose does not stand still. `reset` begins anew."""
        self._paused = True

    def reset(self) -> None:
        """Forget stalls and memory so far, and measure."""
        self.reset_stalls()
        with self._lock:
            self._memory.clear()

    def reset_stalls(self) -> None:
        """Forget stalls so far, and measure."""
        self._paused = False
        with self._lock:
            self._since.clear()
            self._unpublished.clear()
            self._stalls.clear()
            self._resumed.clear()
            self._longest.clear()
            self._looked_into.clear()
            self._deaths.clear()

    def note_death(self, stage: str, now: float) -> None:
        """A worker of this stage was killed at this moment (`time.monotonic`)."""
        with self._lock:
            self._deaths[stage].append(now)

    @property
    def stalls(self) -> dict[str, float]:
        """Seconds by stage."""
        with self._lock:
            return {stage: round(seconds, 1) for stage, seconds in self._stalls.items()}

    @property
    def longest(self) -> dict[str, str]:
        """By stage which partition stood longest, and until when (UTC): where to look in the logs."""
        with self._lock:
            return dict(self._longest)

    @property
    def resumed(self) -> dict[str, float]:
        """Seconds by stage."""
        with self._lock:
            return {stage: round(seconds, 1) for stage, seconds in self._resumed.items()}

    @property
    def stall_seconds_max(self) -> float:
        """The longest of them."""
        return max(self.stalls.values(), default=0.0)

    @property
    def memory_growth_mib(self) -> float:
        """Most that any process grew by since it was ready (or since `reset`)."""
        with self._lock:
            return max((one.peak_mib - one.first_mib for one in self._memory.values()), default=0.0)

    @property
    def memory_sampled(self) -> bool:
        """Whether some process's memory was only sampled, since the system does not let its peak be forgotten: what came and went in between was missed."""
        with self._lock:
            return any(one.sampled for one in self._memory.values())

    def _work(self) -> None:
        offsets: Offsets | None = None
        while not self._stop.wait(_SAMPLE_SECONDS):
            if self._paused:
                self._looked_at = time.monotonic()
                continue
            self._sample_memory()
            running = {worker.stage for worker in list(self._workers)}
            if self._ledger_url and "enforce" in running:
                # Busy for longer than is waited: the next sample sees it.
                with contextlib.suppress(sqlite3.OperationalError):
                    self._take_unpublished(oldest_unpublished(self._ledger_url), time.monotonic())
            try:
                offsets = offsets or Offsets(self._kafka)
                self._take(offsets, offsets.behind(stage for stage in STAGES if stage in running), time.monotonic())
            except (KafkaError, BrokerError, OSError, KeyError):
                # The broker is away, or knows the topic only half: time goes on, and counts at the next sample.
                _close(offsets)
                offsets = None
        _close(offsets)

    def _take_unpublished(self, oldest: Mapping[str, int], now: float) -> None:
        with self._lock:
            self._unpublished = _standing(self._unpublished, oldest, now)
            for topic, (_, since) in self._unpublished.items():
                self._stood("enforce", f"the outbox for {topic}", since, now)

    def _take(self, offsets: Offsets, behind: Sequence[Behind], now: float) -> None:
        current = {(one.stage, one.tp): one for one in behind}
        with self._lock:
            known, blind = self._since, now - self._looked_at > _BLIND_SECONDS
            self._looked_at = now
            self._since = _standing(known, {key: one.committed for key, one in current.items()}, now)
            for (stage, tp), (_, since) in (known.items() - self._since.items()) if blind else ():
                self._stood(stage, _name(tp), since, now)
            standing = [(key, since) for key, (_, since) in self._since.items()]
        for key, since in standing:
            idle = self._is_idle(offsets, current[key], now, long=now - since > _DOUBT_SECONDS)
            with self._lock:
                if not idle:
                    self._stood(key[0], _name(key[1]), since, now)
                elif key in self._since:  # what comes next waits from then on, and not from when these markers came
                    self._since[key] = (current[key].committed, now)

    def _is_idle(self, offsets: Offsets, one: Behind, now: float, *, long: bool) -> bool:
        """Whether only markers lie ahead, as far as is known. It is looked for where a partition stands for long, and no more often than there may be
        news: looking costs a fetch, and where everything stands there is nothing to spare."""
        key = (one.stage, one.tp)
        known = self._looked_into.get(key)
        if known is None or not known.holds(one, now):
            if not long:
                return False
            known = self._looked_into[key] = _Look(one.committed, one.end, now, offsets.ahead(one))
        return known.ahead == "markers"

    def _stood(self, stage: str, what: str, since: float, now: float) -> None:
        if now - since > self._stalls[stage]:
            self._stalls[stage] = now - since
            self._longest[stage] = f"{what} until {time.strftime('%H:%M:%S', time.gmtime())}"
        begun = since
        for death in self._deaths[stage]:
            if begun < death <= begun + _TAKE_OVER_SECONDS:
                begun = death
        self._resumed[stage] = max(self._resumed[stage], now - begun)

    def _sample_memory(self) -> None:
        for worker in list(self._workers):
            if not worker.alive:
                continue
            life, now = (worker.name, worker.lives), time.monotonic()
            if life not in self._ready_at and worker.ready():
                self._ready_at[life] = now
            if now - self._ready_at.get(life, now) < _SETTLED_SECONDS:
                continue
            with self._lock:  # a `reset` in between would otherwise be given the peak of before
                memory = self._memory.get(life)
                if memory is None:
                    sampled, mib = not worker.forget_peak(), worker.resident_mib()
                    if mib > 0:  # else it has just ended
                        self._memory[life] = _Memory(mib, mib, sampled)
                else:
                    memory.peak_mib = max(memory.peak_mib, worker.resident_mib() if memory.sampled else worker.peak_mib())  # fmt: skip


def _standing(
    known: Mapping[Key, tuple[int, float]], places: Mapping[Key, int], now: float
) -> dict[Key, tuple[int, float]]:
    """Where each stands, and since when: since now where it was elsewhere before."""
    return {key: known[key] if key in known and known[key][0] == at else (at, now) for key, at in places.items()}


def _name(tp: TopicPartition) -> str:
    return f"{tp.topic}-{tp.partition}"


def _close(offsets: Offsets | None) -> None:
    if offsets:
        with contextlib.suppress(KafkaError, OSError):
            offsets.close()
