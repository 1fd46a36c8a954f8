"""What pages show, kept up to date by threads of their own: cases from their topic, lag from the broker. A broker that is away is told, not fatal."""

import threading
import time
from typing import Any, Final

import structlog
from kafka.errors import KafkaError

from weaklink.cases.reader import CaseReader
from weaklink.cases.store import Cases
from weaklink.errors import WeaklinkError
from weaklink.kafka_options import KafkaConfig
from weaklink.ops.lag_watch import LagWatch

_log = structlog.get_logger()
_PATIENCE_SECONDS: Final = 10.0


class _Feed:
    """A thread that reads every so often until it is stopped."""

    name = "feed"

    def __init__(self, kafka: KafkaConfig, every_seconds: float) -> None:
        self._kafka: Final = kafka
        self._every_seconds: Final = every_seconds
        self._stopping: Final = threading.Event()
        self._thread: Final = threading.Thread(target=self._run, name=self.name, daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """End; waits for the thread."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_PATIENCE_SECONDS)

    def _run(self) -> None:
        raise NotImplementedError


class CaseFeed(_Feed):
    """`cases` under `lock`: whoever builds a page holds it, so that no page shows half of a transaction."""

    name = "cases"

    def __init__(self, kafka: KafkaConfig, every_seconds: float) -> None:
        super().__init__(kafka, every_seconds)
        self.lock: Final = threading.Lock()
        self.cases = Cases()
        self.error: str | None = "the topic of campaigns has not been read yet"

    @property
    def version(self) -> int:
        """Grows with every message."""
        return self.cases.version

    def _run(self) -> None:
        reader: CaseReader | None = None
        while not self._stopping.is_set():
            try:
                if reader is None:
                    reader = CaseReader(self._kafka)
                    reader.refresh()
                    self.cases = reader.cases
                with self.lock:
                    reader.refresh()
                self.error = None
            except (WeaklinkError, KafkaError) as error:
                if self.error is None or reader is None:
                    _log.warning("cases_not_read", error=str(error))
                self.error = "the topic of campaigns cannot be read: what is shown may be old"
                if reader is not None:
                    reader.close()
                reader = None
            self._stopping.wait(self._every_seconds)
        if reader is not None:
            reader.close()


class LagFeed(_Feed):
    """`report`: LagReport.to_json of the last sample, or None."""

    name = "lag"

    def __init__(self, kafka: KafkaConfig, every_seconds: float) -> None:
        super().__init__(kafka, every_seconds)
        self.report: dict[str, Any] | None = None
        self.sampled_at = 0.0

    def _run(self) -> None:
        with LagWatch(self._kafka) as watch:
            while not self._stopping.is_set():
                try:
                    self.report = watch.sample().to_json()
                    self.sampled_at = time.time()
                except (WeaklinkError, KafkaError) as error:
                    _log.warning("lag_not_sampled", error=str(error))
                self._stopping.wait(self._every_seconds)
