"""The window of event ids is exact: it equals a dictionary that remembers every offset, however it is fed, merged, spilled or rebuilt."""

import resource
import signal
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from weaklink.ingest.dedupe import IdWindow, Memory

Event = tuple[int, int]
"""(offset, number of the id)"""


def words(numbers: list[int]) -> npt.NDArray[np.int64]:
    """Ids of 16 bytes as two words each; ids 0..3 agree in their first half, ids 4..7 in their second."""
    rows = [
        (bytes(8) + number.to_bytes(8, "big")) if number < 4 else number.to_bytes(8, "big") + b"\xff" * 8
        for number in numbers
    ]
    return np.frombuffer(b"".join(rows), dtype=np.int64).reshape(len(numbers), 2)


def naive(events: list[Event], window: int) -> list[bool]:
    last: dict[int, int] = {}
    found = []
    for offset, number in events:
        found.append(number in last and offset - last[number] <= window)
        last[number] = offset
    return found


def feed(index: IdWindow, events: list[Event], cuts: list[int]) -> list[bool]:
    found: list[bool] = []
    bounds = [0, *sorted(cuts), len(events)]
    for begin, end in pairwise(bounds):
        part = events[begin:end]
        flags = index.add(
            words([number for _, number in part]), np.array([offset for offset, _ in part], dtype=np.int64)
        )
        found += flags.tolist()
    return found


@st.composite
def streams(draw: st.DrawFn) -> tuple[list[Event], list[int]]:
    """Events with gaps in their offsets (rejected events lie between), and where to cut them."""
    gaps = draw(st.lists(st.integers(1, 6), max_size=60))
    offsets = np.cumsum(gaps).tolist()
    numbers = draw(st.lists(st.integers(0, 12), min_size=len(offsets), max_size=len(offsets)))
    cuts = draw(st.lists(st.integers(0, len(offsets)), max_size=10))
    return list(zip(offsets, numbers, strict=True)), cuts


@given(stream=streams(), window=st.integers(1, 40), memory=st.sampled_from([0, 100, 1 << 20]))
@settings(max_examples=300, deadline=None)
def test_it_equals_a_dictionary(stream: tuple[list[Event], list[int]], window: int, memory: int) -> None:
    """For every stream, window, cutting and memory limit."""
    events, cuts = stream
    assert feed(IdWindow(window, Memory(memory)), events, cuts) == naive(events, window)


@given(stream=streams(), window=st.integers(1, 40), at=st.integers(0, 60))
@settings(max_examples=200, deadline=None)
def test_rebuilt_from_the_window_before_it_goes_on_as_if_it_had_lived(
    stream: tuple[list[Event], list[int]], window: int, at: int
) -> None:
    """Reading the events of the preceding `window` offsets into a new index gives the same answers from there on."""
    events, cuts = stream
    committed = events[at][0] if at < len(events) else events[-1][0] + 1 if events else 0
    before = [event for event in events if committed - window <= event[0] < committed]
    after = [event for event in events if event[0] >= committed]
    rebuilt = IdWindow(window, Memory(1 << 20))
    feed(rebuilt, before, [cut for cut in cuts if cut <= len(before)])
    live = naive(events, window)[len(events) - len(after) :]
    assert feed(rebuilt, after, [cut for cut in cuts if cut <= len(after)]) == live


@given(stream=streams(), window=st.integers(1, 40))
@settings(max_examples=100, deadline=None)
def test_ids_whose_hashes_collide_are_told_apart(stream: tuple[list[Event], list[int]], window: int) -> None:
    """Even if every id had the same hash (which the secret 0 gives), answers are exact: the hash only speeds up the search."""
    events, cuts = stream
    assert feed(IdWindow(window, Memory(1 << 20), secret=0), events, cuts) == naive(events, window)


def test_what_is_beyond_memory_lies_in_files_that_are_gone_at_once(tmp_path: Path) -> None:
    """With a small limit most ids are spilled; the folder stays empty, and memory is accounted for exactly."""
    memory = Memory(64 << 10, tmp_path / "spill")
    index = IdWindow(1_000_000, memory)
    generator = np.random.default_rng(1)
    ids = generator.integers(0, 1 << 62, (50_000, 2))
    for begin in range(0, 50_000, 5000):
        assert not index.add(ids[begin : begin + 5000], np.arange(begin, begin + 5000)).any()
    assert memory.spilled_bytes > 0
    assert memory.held_bytes <= 64 << 10
    assert list((tmp_path / "spill").iterdir()) == []
    assert index.add(ids[:1000], np.arange(50_000, 51_000)).all()
    index.clear()
    assert (memory.held_bytes, memory.spilled_bytes) == (0, 0)


def test_ids_that_left_the_window_are_dropped() -> None:
    """A long stream keeps no more ids than a few windows."""
    index = IdWindow(1000, Memory(1 << 20))
    generator = np.random.default_rng(2)
    for begin in range(0, 100_000, 500):
        index.add(generator.integers(0, 1 << 62, (500, 2)), np.arange(begin, begin + 500))
    assert len(index) <= 8000


@pytest.mark.parametrize("window", [1, 5])
def test_a_duplicate_refreshes_the_window(window: int) -> None:
    """An event repeated again and again within the window stays a duplicate."""
    index = IdWindow(window, Memory(1 << 20))
    assert feed(index, [(number, 1) for number in range(20)], [3, 9]) == [False] + [True] * 19


def test_a_full_disk_costs_memory_and_not_the_process(tmp_path: Path) -> None:
    """Where a file cannot be had (none may grow beyond 16 KiB here), ids stay in memory beyond the limit; answers are the same."""
    memory = Memory(8 << 10, tmp_path)
    index = IdWindow(1_000_000, memory)
    ids = np.random.default_rng(1).integers(0, 1 << 62, (10_000, 2))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16 << 10, limits[1]))
    try:
        assert not index.add(ids, np.arange(10_000)).any()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    assert memory.held_bytes > 8 << 10
    assert memory.spilled_bytes == 0
    assert index.add(ids, np.arange(10_000, 20_000)).all()
    index.clear()
    assert memory.held_bytes == 0
