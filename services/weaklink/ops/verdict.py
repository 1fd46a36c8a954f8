"""What a partition's reader is up to, judged over a sliding window: ok, slow or stopped. Pure.

After Burrow's evaluation of consumer lag (LinkedIn, github.com/linkedin/Burrow, wiki "Consumer Lag Evaluation Rules"): no threshold on lag,
since a number that is harmless for one reader is a breakdown for another; what counts is whether the reader commits, and whether it keeps up.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_WATCHED_SECONDS_MIN: Final = 10.0
"""Commits come in steps (a transaction, Faust's second): of a shorter time nothing is said against a reader."""
_NOISE_SHARE: Final = 0.02


class Verdict(StrEnum):
    """From the best to the worst; UNKNOWN is a reader that is behind and was not watched for long enough.

    The last two are of a stage as a whole, never of a partition: no process of it runs (and what waits has not told so yet), and topics
    of it are missing.
    """

    OK = "ok"
    UNKNOWN = "unknown"
    SLOW = "slow"
    STOPPED = "stopped"
    NOT_RUNNING = "not running"
    NOT_PROVISIONED = "not provisioned"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a group stood in one partition at one time. `committed` None: it never committed there; `records` wait for it."""

    at_us: int
    committed: int | None
    records: int


def judge(window: Sequence[Standing]) -> Verdict:
    """The verdict on one partition; `window` is in order of time and not empty.

    1. Nothing waits now, or nothing waited at some time of the window: ok. It catches up, whatever comes in between.
    2. It was seen for less than ten seconds (or since its offsets were set back): unknown.
    3. Something waited all the time and it committed nothing: stopped, whether or not more came in.
    4. It commits, and yet at no time of the window's later half was the lag as low as the lowest of its earlier half: slow.
       (Halves, not neighbours: commits come in steps, so a lag that grows falls now and then.)
    5. Otherwise ok.
    """
    window = _since_rewind(window)
    first, last = window[0], window[-1]
    if any(one.records == 0 for one in window):
        return Verdict.OK
    watched_us = last.at_us - first.at_us
    if watched_us < _WATCHED_SECONDS_MIN * 1e6:
        return Verdict.UNKNOWN
    if first.committed == last.committed:
        return Verdict.STOPPED
    middle_us = first.at_us + watched_us / 2
    earlier = min(one.records for one in window if one.at_us <= middle_us)
    later = min(one.records for one in window if one.at_us > middle_us)
    return Verdict.SLOW if later > earlier + max(1.0, _NOISE_SHARE * earlier) else Verdict.OK


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The worst of them; ok when there is none."""
    order = list(Verdict)
    return max(verdicts, key=order.index, default=Verdict.OK)


def _since_rewind(window: Sequence[Standing]) -> Sequence[Standing]:
    """From the last time at which the group's offset went back (a reset by hand): what was before says nothing of the reader."""
    for number in range(len(window) - 1, 0, -1):
        if (window[number].committed or 0) < (window[number - 1].committed or 0):
            return window[number:]
    return window
