"""The first half of a run in a process of its own: the same outcome, and no error is lost on the way."""

import os
import signal
from multiprocessing import active_children
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from tests.backtest.histories import history, written
from weaklink.backtest.ahead import read_ahead
from weaklink.backtest.history import History, Input, Step, read
from weaklink.backtest.run import OUTPUTS, backtest
from weaklink.errors import ConfigurationError, WeaklinkError
from weaklink.settings import Settings

DAY = 86_400


def given(path: Path) -> Input:
    return Input([path], [], DAY * 1_000_000, Settings())


def test_a_run_with_its_first_half_ahead_says_the_same(tmp_path: Path) -> None:
    path = written(tmp_path, history(), "events")
    backtest([path], tmp_path / "one", DAY, Settings())
    backtest([path], tmp_path / "two", DAY, Settings(), ahead=True)
    assert not active_children()
    for name in OUTPUTS:
        one, two = (pl.read_parquet(tmp_path / run / f"{name}.parquet") for run in ("one", "two"))
        assert_frame_equal(one, two)


def test_what_crosses_over_is_what_was_sent(tmp_path: Path) -> None:
    path = written(tmp_path, history(), "events")
    for here, there in zip(read(given(path)), read_ahead(given(path)), strict=True):
        assert type(here) is type(there)
        if isinstance(here, Step) and isinstance(there, Step):
            assert (here.end_us, here.events) == (there.end_us, there.events)
            assert_frame_equal(here.shared, there.shared)
            # How rows are ordered within a tick hangs on how groups were hashed, which nothing may depend on.
            assert_frame_equal(here.activity, there.activity, check_row_order=False)
        elif isinstance(here, History) and isinstance(there, History):
            assert here.parties == there.parties
            assert here.activity.schema == there.activity.schema


def test_an_unusable_file_is_told_as_without_the_second_process(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        backtest([tmp_path / "nowhere.parquet"], tmp_path / "out", DAY, Settings(), ahead=True)
    assert not active_children()


def test_what_nobody_foresaw_is_told_as_what_it_was(tmp_path: Path) -> None:
    """Not as a process that was killed."""
    broken = Input(
        [path := written(tmp_path, history(), "events")], [], 0, Settings()
    )  # no length of time to divide by
    with pytest.raises(Exception) as here:  # noqa: PT011  # whatever it is
        list(read(broken))
    with pytest.raises(WeaklinkError, match=type(here.value).__name__):
        list(read_ahead(broken))
    assert path.exists()


def test_a_process_that_dies_half_way_is_an_error_and_not_the_end_of_history(tmp_path: Path) -> None:
    halves = read_ahead(given(written(tmp_path, history(), "events")))
    assert any(isinstance(one, Step) for one in halves)  # up to the first tick
    (process,) = active_children()
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(WeaklinkError, match="ended before it was done"):
        list(halves)


def test_whoever_stops_early_leaves_no_process_behind(tmp_path: Path) -> None:
    halves = read_ahead(given(written(tmp_path, history(), "events")))
    next(halves)
    halves.close()
    assert not active_children()
