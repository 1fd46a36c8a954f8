"""What is gathered for a transaction, and what is given back after huge batches."""

import ctypes
import subprocess
import sys
from types import SimpleNamespace
from typing import Any, Final

import psutil
import pytest
from kafka import TopicPartition

from weaklink import heap
from weaklink.stream.config import StreamConfig
from weaklink.stream.gather import Gatherer
from weaklink.stream.whole_batches import RecordBatch, Refusal

_PIECES: Final = 2_000
_PIECE_BYTES: Final = 1 << 16  # less than what the C library maps by itself
SOURCE = TopicPartition("party.lab-a.events", 0)


def batch_of(payload_bytes: int, refusal: Refusal | None = None) -> RecordBatch:
    return RecordBatch(SOURCE, 0, 0, 1, 0, bytes(payload_bytes), 0, 1, refusal)


def gatherer_of(*polls: list[RecordBatch]) -> Gatherer:
    waiting = list(polls)
    source: Any = SimpleNamespace(
        poll=lambda *_: waiting.pop(0) if waiting else [], full=False, membership=SimpleNamespace(changed=False)
    )
    return Gatherer(source, StreamConfig(linger_ms=0, linger_ms_max=0), whole_batches=True)


@pytest.mark.parametrize(
    ("batch", "trims"),
    [
        (batch_of(1 << 20), 0),
        (batch_of(20 << 20), 1),
        (batch_of(0, Refusal(True, "inflates to more", 100, "")), 1),
        (batch_of(0, Refusal(False, "cannot be inflated", 100, "")), 0),
    ],
)
def test_memory_is_given_back_once_a_huge_batch_is_done_with(
    batch: RecordBatch, trims: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one that was unpacked, and of one that was given up while it was. Once, before the next poll."""
    done = list[int]()
    monkeypatch.setattr(heap, "trim", lambda: done.append(1))
    gatherer = gatherer_of([batch])
    assert gatherer.next(0.0) == [batch]
    assert not done
    for _ in range(3):
        assert gatherer.next(0.0) == []
    assert len(done) == trims


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="this C library gives nothing back when asked"
)
def test_the_system_has_what_was_free() -> None:
    """Though something small is still held at the end of it."""
    process = psutil.Process()
    pieces = [b"x" * _PIECE_BYTES for _ in range(_PIECES)]
    held, full_bytes = pieces[-1], process.memory_info().rss
    pieces.clear()
    heap.trim()
    assert process.memory_info().rss < full_bytes - _PIECES * _PIECE_BYTES // 2
    assert len(held) == _PIECE_BYTES


_LARGE_PIECES: Final = """
import psutil, sys
from weaklink import heap

def pieces(size):  # with something small behind each, which stays
    large, small = [], []
    for _ in range(20):
        large.append(b"x" * size)
        small.append(b"x" * 2000)
    return large, small

if sys.argv[1] == "from the system":
    heap.take_large_from_the_system()
bytes(30 << 20)  # large and freed: from here on the library would take as much from its own memory
before = psutil.Process().memory_info().rss
large, small = pieces(5 << 20)
del large
print((psutil.Process().memory_info().rss - before) >> 20)
"""


@pytest.mark.skipif(
    not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="this C library gives nothing back when asked"
)
def test_what_is_large_goes_back_by_itself() -> None:
    """Whatever small is left behind it; without that it stays, which shows that this asks for something."""
    kept = {
        what: int(subprocess.run([sys.executable, "-c", _LARGE_PIECES, what], capture_output=True, check=True).stdout)
        for what in ("from the system", "nothing")
    }
    assert kept["from the system"] < 10
    assert kept["nothing"] > 20
