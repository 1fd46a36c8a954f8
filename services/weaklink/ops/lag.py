"""Lag: how far every stage, and every party's reading of its own actions, is behind. Pure calculations; `lag_probe.py` asks Kafka.

Records are counted up to the last stable offset: what a reader of committed records could read. Seconds are the age of the oldest
record that is not processed yet, by its append time; nothing is interpolated, so an idle topic has 0 and never an undefined number.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from weaklink.ops.verdict import Standing, Verdict, judge, worst

Trend = Literal["rising", "falling", "steady"]
Place = tuple[str, int]
"""Topic and partition."""

_STEADY_SHARE: Final = 0.02
"""A change over the window of less than this share of the lag (and of less than two records) is noise: commits come in steps."""


@dataclass(frozen=True, slots=True)
class PartitionLag:
    """What one group has not processed of one partition.

    `committed` None: the group never committed there, so that it will begin at the first record. `exact` False: `records` counts
    offsets, of which a few may be transaction markers. `oldest_us`: append time of the oldest record that waits.
    """

    topic: str
    partition: int
    committed: int | None
    end: int
    records: int
    exact: bool
    oldest_us: int | None

    def seconds(self, now_us: int) -> float:
        """Age of the oldest record that waits; 0 when none does. Clocks that disagree never make it negative."""
        return 0.0 if self.oldest_us is None else max(0.0, (now_us - self.oldest_us) / 1e6)


@dataclass(frozen=True, slots=True)
class ReaderLag:
    """One reader (a stage, or a party) in its group, over all partitions that it reads, at one time.

    `members`: processes in the group now; None where that was not asked. `is_stage`: it should always run; a party reads when it likes.
    `missing`: topics that a stage reads, or writes for another, and that are not there.
    """

    reader: str
    group: str
    at_us: int
    partitions: tuple[PartitionLag, ...]
    members: int | None = None
    is_stage: bool = False
    missing: tuple[str, ...] = ()

    @property
    def records(self) -> int:
        """Records behind in total."""
        return sum(one.records for one in self.partitions)

    @property
    def seconds(self) -> float:
        """Age of the oldest record that waits anywhere."""
        return max((one.seconds(self.at_us) for one in self.partitions), default=0.0)

    @property
    def committed(self) -> int:
        """Sum of the committed offsets: its growth is what the reader gets through."""
        return sum(one.committed or 0 for one in self.partitions)

    @property
    def skew(self) -> float:
        """How uneven the lag lies: the worst partition's share of it, times their number. 1: evenly (or no lag); n: all in one of n."""
        total = self.records
        return max(one.records for one in self.partitions) * len(self.partitions) / total if total else 1.0


@dataclass(frozen=True, slots=True)
class Outlook:
    """Where the lag is going. `caught_up_seconds` None: not at the present pace.

    `verdict` is the worst of the partitions' `verdicts`, or what keeps a stage from reading at all.
    """

    trend: Trend
    records_per_second: float
    caught_up_seconds: float | None
    verdict: Verdict = Verdict.OK
    verdicts: Mapping[Place, Verdict] = field(default_factory=dict)


def outlook(samples: Sequence[ReaderLag]) -> Outlook:
    """Trend over the samples of one reader, in order of time: what it processes a second, and when it has caught up if all goes on like this."""
    last = samples[-1]
    first = samples[0]
    verdicts = _verdicts(samples)
    verdict = _of_reader(last, worst(verdicts.values()))
    elapsed = (last.at_us - first.at_us) / 1e6
    if elapsed <= 0:
        return Outlook("steady", 0.0, 0.0 if last.records == 0 else None, verdict, verdicts)
    change = last.records - first.records
    pace = max(0, last.committed - first.committed) / elapsed
    noise = max(2.0, _STEADY_SHARE * max(first.records, last.records))
    trend: Trend = "steady" if abs(change) < noise else "rising" if change > 0 else "falling"
    if last.records == 0:
        return Outlook(trend, pace, 0.0, verdict, verdicts)
    caught_up = last.records * elapsed / -change if trend == "falling" else None
    return Outlook(trend, pace, caught_up, verdict, verdicts)


def _of_reader(reader: ReaderLag, of_partitions: Verdict) -> Verdict:
    """Where nothing waits, nothing stands still, also where nobody would read it: a stage without topics or processes is not ok for that."""
    if reader.missing:
        return Verdict.NOT_PROVISIONED
    if reader.is_stage and reader.members == 0 and of_partitions in (Verdict.OK, Verdict.UNKNOWN):
        return Verdict.NOT_RUNNING
    return of_partitions


def _verdicts(samples: Sequence[ReaderLag]) -> dict[Place, Verdict]:
    windows: dict[Place, list[Standing]] = {(one.topic, one.partition): [] for one in samples[-1].partitions}
    for sample in samples:
        for one in sample.partitions:
            if (one.topic, one.partition) in windows:
                windows[one.topic, one.partition].append(Standing(sample.at_us, one.committed, one.records))
    return {place: judge(window) for place, window in windows.items()}


@dataclass
class History:
    """Samples of the last `window_seconds` of every reader."""

    window_seconds: float = 60.0
    _samples: dict[tuple[str, str], deque[ReaderLag]] = field(default_factory=dict)

    def add(self, readers: Iterable[ReaderLag]) -> list[tuple[ReaderLag, Outlook]]:
        """Take in one sample of every reader; each with its outlook. Readers that are gone are forgotten."""
        now = {(one.reader, one.group): one for one in readers}
        self._samples = {key: self._samples.get(key, deque()) for key in now}
        for key, one in now.items():
            samples = self._samples[key]
            samples.append(one)
            while one.at_us - samples[0].at_us > self.window_seconds * 1e6:
                samples.popleft()
        return [(one, outlook(self._samples[key])) for key, one in now.items()]
