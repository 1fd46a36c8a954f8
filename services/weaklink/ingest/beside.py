"""A second thread for what need not wait: compiled loops release the interpreter's lock, so that two of them run at a time."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

_T = TypeVar("_T")

ROWS_MIN: Final = 4_000
"""So many events are worth a thread: waking it up takes some 50 us, and what it does takes 0.2 us an event."""


class Beside:
    """Does one thing after another, in the order in which it was told to, beside whoever told it."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "beside")
        self._told: list[Future[object]] = []

    def do(self, rows: int, work: Callable[[], _T]) -> "Future[_T]":
        """Some work on so many events: at once in the caller's thread where they are few and nothing else is under way, else beside it."""
        if rows >= ROWS_MIN or self._told:
            future = self._thread.submit(work)
            self._told.append(future)  # type: ignore[arg-type]  # whatever it is that it will give
            return future
        done: Future[_T] = Future()
        done.set_result(work())
        return done

    def settle(self) -> None:
        """Until all of it is done. Raises the first error of any of it."""
        told, self._told = self._told, []
        errors = [error for future in told if (error := future.exception()) is not None]
        if errors:
            raise errors[0]
