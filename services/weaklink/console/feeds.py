"""What pages show, kept up to date by threads of their own: cases from their topic, lag from the broker. A broker that is away is told, not fatal."""

import threading
import time
from typing import Any, Final

import structlog
from kafka.errors import KafkaError
from sqlalchemy.exc import SQLAlchemyError

from weaklink.cases.reader import CaseReader
from weaklink.cases.store import Cases
from weaklink.errors import WeaklinkError
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.lag_watch import LagWatch

_log = structlog.get_logger()
_PATIENCE_SECONDS: Final = 10.0


class _Feed:
    """A thread that looks every so often until it is stopped. Whatever fails is logged, and tried again."""

    name = "feed"

    def __init__(self, kafka: KafkaConfig, every_seconds: float) -> None:
        self._kafka: Final = kafka
        self._every_seconds: Final = every_seconds
        self._stopping: Final = threading.Event()
        self._thread: Final = threading.Thread(target=self._run, name=self.name, daemon=True)

    def start(self) -> None:
        """Begin to look."""
        self._thread.start()

    def stop(self) -> None:
        """End; waits for the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_PATIENCE_SECONDS)

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self._look()
            except Exception as error:  # of any kind: without its thread a page would stay as it is, untold
                self._failed(error)
            self._stopping.wait(self._every_seconds)
        self._close()

    def _look(self) -> None:
        raise NotImplementedError

    def _failed(self, error: Exception) -> None:
        """Say what `_look` raised."""
        raise NotImplementedError

    def _close(self) -> None:
        raise NotImplementedError


def unforeseen(error: Exception) -> Exception | None:
    """What is logged with its traceback."""
    return None if isinstance(error, (WeaklinkError, KafkaError, SQLAlchemyError, OSError)) else error


class CaseFeed(_Feed):
    """`cases` under `lock`: whoever builds a page holds it, so that no page shows half of a transaction.

    Pages are built in the event loop, so nobody may wait for anything while holding the lock, least of all for a broker.
    """

    name = "cases"

    def __init__(self, kafka: KafkaConfig, every_seconds: float) -> None:
        super().__init__(kafka, every_seconds)
        self.lock: Final = threading.Lock()
        self.cases = Cases()
        self.error: str | None = "the topic of campaigns has not been read yet"
        self._reader: CaseReader | None = None

    @property
    def version(self) -> int:
        """Grows with every message."""
        return self.cases.version

    def _look(self) -> None:
        if self._reader is None or self.error is not None:  # whatever failed, all is read anew
            self._close()
            self._reader = CaseReader(self._kafka)
            whole = self._reader.refresh()  # nobody sees it yet
            with self.lock:
                self.cases = whole
        else:
            new = list(self._reader.read())
            with self.lock:
                for key, value in new:
                    self.cases.take(key, value)
        self.error = None

    def _failed(self, error: Exception) -> None:
        _log.warning("cases_not_read", error=str(error), next="retry", exc_info=unforeseen(error))
        self.error = "the topic of campaigns cannot be read: what is shown may be old"

    def _close(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()


class LagFeed(_Feed):
    """`report`: LagReport.to_json of the last sample, or None."""

    name = "lag"

    def __init__(self, kafka: KafkaConfig, every_seconds: float) -> None:
        super().__init__(kafka, every_seconds)
        self.report: dict[str, Any] | None = None
        self.sampled_at = 0.0
        self._watch: Final = LagWatch(kafka)

    def _look(self) -> None:
        self.report = self._watch.sample().to_json()
        self.sampled_at = time.time()

    def _failed(self, error: Exception) -> None:
        _log.warning("lag_not_sampled", error=str(error), next="retry", exc_info=unforeseen(error))

    def _close(self) -> None:
        self._watch.close()
