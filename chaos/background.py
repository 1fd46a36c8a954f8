"""Work in a thread beside a fault. A thread that dies without a word would leave a fault without its load, and the row would say that it held."""

import threading
from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self


class Background(ABC):
    """`_work` runs while the block lasts, until `_stop` is set. What it raised is raised at the block's end, unless that failed itself."""

    def __init__(self, name: str) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.error: Exception | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:  # fmt: skip
        self._stop.set()
        self._thread.join()
        try:
            self._close()
        finally:
            if self.error and error is None:
                raise self.error

    def end(self) -> None:
        """No more of it, before the block's end. Raises what the thread raised."""
        self._stop.set()
        self.wait()

    def wait(self) -> None:
        """Until it has nothing left to do. Raises what the thread raised."""
        self._thread.join()
        if self.error:
            raise self.error

    @abstractmethod
    def _work(self) -> None:
        """Until `_stop` is set, or all is done."""

    def _close(self) -> None:  # noqa: B027  # most have nothing to close
        """Close connections, once the thread has ended."""

    def _run(self) -> None:
        try:
            self._work()
        except Exception as failure:
            self.error = failure
