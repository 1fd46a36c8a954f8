"""What a transaction accepted, over all parties: links, activity and equations, and the messages that they make.

Links and equations are made beside activity, in a thread of their own.
"""

from collections.abc import Iterator
from contextlib import suppress
from functools import partial

import polars as pl

from weaklink import frames, topology
from weaklink.ingest.accounts import Accounts
from weaklink.ingest.beside import Beside
from weaklink.ingest.config import IngestConfig
from weaklink.ingest.equations import Equations
from weaklink.ingest.events import Rows
from weaklink.ingest.fold import UNLINKED, activity_of, fold_activity
from weaklink.ingest.joining import Part, accounts_of, are_few, joined
from weaklink.ingest.links import LinkTable
from weaklink.ingest.outcome import Accepted
from weaklink.ingest.usage import fold_usage
from weaklink.settings import TopicsConfig
from weaklink.stream.stage import Message, Output


class Gathered:
    """Grows by `add` from `begin` on."""

    def __init__(self, config: IngestConfig, topics: TopicsConfig) -> None:
        self._topics = topics
        self._links = LinkTable(config)
        self._full: list[Message] = []  # links of tables that were full
        self._equations = Equations()
        self._activity: list[pl.DataFrame] = []
        self._few: dict[str, list[Part]] = {}
        self._beside = Beside()

    def begin(self) -> None:
        """Anew. Before the memory that events lie in is used again."""
        self._let_end()
        self._links.clear()
        self._full.clear()
        self._activity.clear()
        self._few.clear()

    def forget(self) -> None:
        """What was said may never have been committed."""
        self._let_end()
        self._equations.forget()

    def _let_end(self) -> None:
        with suppress(Exception):  # of a call that has failed already
            self._beside.settle()

    def add(self, party: str, accepted: Accepted) -> None:
        """Events of one party and record."""
        record = accepted.layout.record
        if record in UNLINKED:
            self._activity.append(fold_activity(accepted.to_frame(), record, party))
            return
        self._beside.do(len(accepted.rows), partial(self._equations.add, accepted, party))
        if are_few(accepted):
            self._few.setdefault(record, []).append((party, accepted))
        else:
            self._fold(accepted, Accounts.of(accepted.events, accepted.layout, party, accepted.rows))

    def messages(self) -> Iterator[Output]:
        """All of it, each row to the partition that it belongs to."""
        for parts in self._few.values():
            together = joined(parts)
            self._fold(together, accounts_of(parts, together))
        linked = self._beside.do(len(self._links), lambda: [*self._full, *self._linked(), *self._equated()])
        yield from self._active()
        self._beside.settle()
        yield from linked.result()

    def _link(self, accepted: Accepted, accounts: Rows, item_links: Rows) -> None:
        """Where a row is cut in two makes no difference to who reads them: however many there are, they are held as messages, a tenth of their size."""
        done = 0
        while (done := self._links.add(accepted, accounts, item_links, done)) < len(accepted.rows):
            self._full += self._linked()
            self._links.clear()

    def _linked(self) -> Iterator[Message]:
        for partition, rows in self._links.to_frames(self._topics.links_partitions):
            yield from self._chunks(topology.LINKS, rows, partition)

    def _equated(self) -> Iterator[Message]:
        if (equations := self._equations.take()) is not None:
            yield from self._chunks(topology.EQUATIONS, equations, 0)

    def _active(self) -> Iterator[Output]:
        if not self._activity:
            return
        to = (pl.col("account") % self._topics.activity_partitions).alias("_to")
        numbered = pl.concat(self._activity).with_columns(to)
        for (number,), rows in numbered.partition_by("_to", as_dict=True, include_key=False).items():
            yield from self._chunks(topology.ACTIVITY, rows, int(str(number)))

    def _fold(self, accepted: Accepted, accounts: Accounts) -> None:
        # The memory is taken here: only one thread may.
        item_links = accepted.events.workspace.take(accepted.events.items)
        self._beside.do(len(accepted.rows), partial(self._link, accepted, accounts.hash_of_rows(), item_links))
        record = accepted.layout.record
        if record == "ApiUsage":
            self._activity.append(fold_usage(accepted, accounts))
            return
        number = pl.Series(accounts.number)
        party, key = accounts.parties.gather(number), accounts.hashes.gather(number)
        self._activity.append(activity_of(accepted.to_frame(), record, pl.lit(party), pl.lit(key)))

    def _chunks(self, topic: str, rows: pl.DataFrame, partition: int) -> Iterator[Message]:
        """Rows of a partition in chunks that fit a message."""
        for chunk in frames.to_chunks(rows, self._topics.chunk_bytes_max):
            yield Message(topic, chunk, str(partition).encode(), partition)
