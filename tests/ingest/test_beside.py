"""What ingest does beside itself is done in order, and its errors are not lost."""

import threading
import time

import pytest

from weaklink.ingest.beside import ROWS_MIN, Beside


def test_much_is_done_in_order_beside_the_caller_and_little_at_once() -> None:
    """And little waits for its turn while anything is under way."""
    beside, done = Beside(), list[tuple[int, bool]]()
    mine = threading.get_ident()

    def work(number: int) -> int:
        time.sleep(0.05 if number == 1 else 0)
        done.append((number, threading.get_ident() == mine))
        return number

    assert beside.do(1, lambda: work(0)).result() == 0
    told = [beside.do(rows, lambda at=at: work(at)) for at, rows in ((1, ROWS_MIN), (2, 1), (3, ROWS_MIN))]  # type: ignore[misc]  # bound at once # fmt: skip
    beside.settle()
    assert [one.result() for one in told] == [1, 2, 3]
    assert done == [(0, True), (1, False), (2, False), (3, False)]
    beside.do(1, lambda: work(4))
    assert done[-1] == (4, True)


def test_an_error_is_raised_once_everything_has_ended() -> None:
    """By `settle`: what came after it was done, and is not under way any more."""
    beside, done = Beside(), list[int]()

    def fail() -> None:
        raise ValueError("no")

    beside.do(ROWS_MIN, fail)
    beside.do(ROWS_MIN, lambda: done.append(1))
    with pytest.raises(ValueError, match="no"):
        beside.settle()
    assert done == [1]
    beside.settle()
