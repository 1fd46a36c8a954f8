"""Transactions committed one after another in a thread of their own, so that the stage folds the next input while the broker answers."""

import contextvars
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Any

from kafka import TopicPartition

from weaklink import metrics
from weaklink.stream.sink import TransactionalSink
from weaklink.stream.stage import Message, Output
from weaklink.traces import span


class Committer:
    """At most one transaction is under way. All but `await_end` is called from the runner's thread."""

    def __init__(self, stage: str, sink: TransactionalSink) -> None:
        self._stage = stage
        self._sink = sink
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="commits")
        self._under_way: Future[None] | None = None
        self.seconds = 0.0
        """What the last transaction took."""
        self.ended_at = time.monotonic()
        """When it ended."""

    @property
    def is_under_way(self) -> bool:
        """Whether there is a transaction of which `settle` has not told yet what became of it."""
        return self._under_way is not None

    @property
    def has_ended(self) -> bool:
        """Whether `settle` would tell at once what became of a transaction."""
        return self._under_way is not None and self._under_way.done()

    def begin(
        self, messages: Sequence[Output], offsets: Mapping[TopicPartition, int], group_metadata: Any, records: int
    ) -> None:
        """Begin to send and commit as one, `records` of input with it. The one before is settled first, and raises what `settle` raises."""
        self.settle()
        trace = contextvars.copy_context()
        self._under_way = self._thread.submit(trace.run, self._commit, messages, offsets, group_metadata, records)

    def settle(self) -> None:
        """Wait until the transaction under way, if any, is committed. Raises TransactionAborted and kafka's errors: then it is not known to be."""
        if self._under_way is not None:
            try:
                self._under_way.result()
            finally:
                self._under_way = None

    def await_end(self, timeout_seconds: float) -> None:
        """Wait until nothing is under way, whatever became of it, but not longer than this. From any thread."""
        under_way = self._under_way
        if under_way is not None:
            wait([under_way], timeout_seconds)

    def close(self) -> None:
        """Wait for what is under way, and close the producer."""
        self._thread.shutdown(wait=True)
        self._sink.close()

    def _commit(
        self, messages: Sequence[Output], offsets: Mapping[TopicPartition, int], group_metadata: Any, records: int
    ) -> None:
        started = time.monotonic()
        with span("commit", weaklink__messages=len(messages)):
            self._sink.commit(messages, offsets, group_metadata)
        self.ended_at = time.monotonic()
        self.seconds = self.ended_at - started
        metrics.COMMIT_SECONDS.labels(self._stage).observe(self.seconds)
        metrics.RECORDS.labels(self._stage).inc(records)
        for message in messages:
            count = 1 if isinstance(message, Message) else message.count
            metrics.MESSAGES.labels(self._stage, message.topic).inc(count)
