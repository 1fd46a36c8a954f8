"""A transaction's worth of input: how much of what waits goes into the next one."""

import time
from collections.abc import Sequence
from typing import Final

from weaklink import heap
from weaklink.stream.config import StreamConfig
from weaklink.stream.source import Input, Source
from weaklink.stream.stage import Chunk

_IDLE_POLL_MS: Final = 100
_BATCHES_IN_POLL: Final = 256
_CHUNKS_IN_POLL: Final = 200
_GATHERED_BYTES_MAX: Final = 12 << 20
"""So much is enough for a transaction. Less than the largest batch there may be (`stream.inflated_batch_bytes_max`): with one of those a second is not held."""
_ROW_BYTES: Final = 160
_ENOUGH_BYTES: Final = 8 << 20
"""With so much gathered, only what lies ready is added: what is under way arrives while this is folded. Waiting for it took a quarter of a reader's time."""
_PAUSE_BYTES_MAX: Final = 1 << 20
"""With more than this gathered, input is plenty: whoever reads a backlog does not pause."""
_FETCHES_IN_LINGER: Final = 2
_HUGE_BATCH_BYTES: Final = 8 << 20
"""Ordinary producers send batches of a megabyte at most."""


class Gatherer:
    """Polls a source until there is enough. `whole_batches`: what it gives are record batches, not chunks."""

    def __init__(self, source: Source, stream: StreamConfig, *, whole_batches: bool) -> None:
        self._source, self._stream = source, stream
        self._in_poll, self._inputs_max = (
            (_BATCHES_IN_POLL, stream.batches_max) if whole_batches else (_CHUNKS_IN_POLL, stream.chunks_max)
        )
        self._had_huge = False

    def next(self, commit_seconds: float) -> list[Input]:
        """Little and soon when idle, more when commits take long (`commit_seconds`, of the last one), and more still while input waits."""
        if self._had_huge:
            heap.trim()  # else each of a series of bombs leaves some more behind: 30 MiB in each of five rounds
        inputs = self._source.poll(_IDLE_POLL_MS, self._in_poll)
        linger_max = self._stream.linger_ms_max / 1000
        linger = min(max(self._stream.linger_ms / 1000, commit_seconds), linger_max)
        begun = time.monotonic()
        size = _size(inputs)
        full = self._source.full
        while (
            inputs
            and len(inputs) < self._inputs_max
            and size < _GATHERED_BYTES_MAX
            and not self._source.membership.changed
        ):
            # A poll that gave all that was asked for says that more lies ready: fewer and larger transactions cost less for each event.
            left_ms = int(((linger_max if full else linger) - (time.monotonic() - begun)) * 1000)
            if left_ms <= 0:
                break
            if not full and size < _PAUSE_BYTES_MAX:
                # A fetch costs the broker and the library a look at every partition, and is answered with the first event that comes: let more come.
                pause_ms = min(left_ms, max(int(linger * 1000) // _FETCHES_IN_LINGER, 1))
                time.sleep(pause_ms / 1000)
                left_ms = max(left_ms - pause_ms, 1)
            enough = size >= _ENOUGH_BYTES
            more = self._source.poll(0 if enough else left_ms, min(self._in_poll, self._inputs_max - len(inputs)))
            if enough and not more:
                break
            inputs += more
            size += _size(more)
            full = self._source.full
        self._had_huge = any(_is_huge(one) for one in inputs)
        return inputs


def _is_huge(one: Input) -> bool:
    """Whether it took far more memory than what is usual, or would have taken more than it may."""
    if isinstance(one, Chunk):
        return False
    return len(one.payload) > _HUGE_BATCH_BYTES or (one.refusal is not None and one.refusal.too_large)


def _size(inputs: Sequence[Input]) -> int:
    """In bytes. What is decoded of a record takes room, too, however few bytes it has."""
    return sum(len(one.value) if isinstance(one, Chunk) else max(len(one.payload), _ROW_BYTES * one.records_count) for one in inputs)  # fmt: skip
