"""The stage: batches of many parties to links, activity, receipts and rejects, with the audit of each transaction."""

import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt
import polars as pl
import structlog
from kafka import TopicPartition

from weaklink import frames, metrics, topology
from weaklink.account_keys import account_hash
from weaklink.epochs import Expiry
from weaklink.epochs_topic import EpochWatch
from weaklink.errors import BrokerError
from weaklink.frames import ACTIVITY
from weaklink.ingest import receipts, rejects
from weaklink.ingest.dedupe import IdWindow, Memory
from weaklink.ingest.events import Rows
from weaklink.ingest.framing import Frames
from weaklink.ingest.gathered import Gathered
from weaklink.ingest.outcome import Outcome, Tally
from weaklink.ingest.pipeline import Pipeline
from weaklink.parties import Party, party_of_topic
from weaklink.party_registry import PartyRegistry
from weaklink.settings import Settings
from weaklink.stream.stage import Message, Output, Range, Traits
from weaklink.stream.whole_batches import RecordBatch

AUDIT_HEADER: Final = "weaklink-audit"
_log = structlog.get_logger()


class Registry(Protocol):
    """Where the parties come from."""

    def refresh(self) -> dict[str, Party]:
        """Every registered party by id."""


class IngestStage:
    """Unit: a source partition. Its state is the window of event ids, rebuilt by reading those offsets again; no snapshots."""

    name: str = "ingest"
    recalls: tuple[str, ...] = ()
    traits = Traits(whole_batches=True)

    def __init__(
        self, settings: Settings, registry: Registry, expiries: Callable[[], Sequence[Expiry]] = tuple
    ) -> None:
        self._settings = settings
        self._config = settings.ingest
        self._registry = registry
        self._frames = Frames(self._config.schema_registry)
        self._waiting: set[TopicPartition] = set()
        self._deferred: set[TopicPartition] = set()
        self._parties: dict[str, Party] = {}
        self._known: dict[str, Party] = {}  # also those removed since: what was polled before is still processed
        self._refreshed_at = float("-inf")
        self._warned: set[str] = set()
        self._pipeline = Pipeline(self._config, self._frames, age_limits=settings.clock == "append")
        self._gathered = Gathered(self._config, settings.topics)
        self._expiries = expiries
        self._memory = Memory(self._config.duplicate_memory_bytes_max, Path(settings.data_folder) / "spill")
        self._windows: dict[str, IdWindow] = {}
        self._tallies: dict[TopicPartition, Tally] = {}
        self._take(registry.refresh())

    def admits(self, source: TopicPartition) -> bool:
        """Only partitions of registered parties are read, of others a warning is given once; and none that waits for the schema registry."""
        if source in self._waiting:
            if not self._frames.registry_answers():
                return False
            self._waiting.discard(source)
            metrics.PARTITIONS_WAITING.labels(self.name).set(len(self._waiting))
        if time.monotonic() - self._refreshed_at >= self._config.registry_refresh_seconds:
            self._refresh()
            # As of now: with Kafka away it took long, and the next partition must not wait for it again.
            self._refreshed_at = time.monotonic()
        party_id = party_of_topic(source.topic)
        if party_id in self._parties:
            return True
        if party_id not in self._warned:
            self._warned.add(party_id)
            _log.warning(
                "party_not_registered", topic=source.topic, meaning=f"not read until `weaklink party add {party_id}`"
            )
        return False

    def deferred(self) -> set[TopicPartition]:
        """Partitions that the last `process` left as they were: what a schema id in them stands for is not known before the registry answers."""
        deferred, self._deferred = self._deferred, set()
        return deferred

    def unit(self, source: TopicPartition) -> str:
        """One for each source partition."""
        return f"{source.topic}-{source.partition}"

    def replay_from(self, source: TopicPartition, committed_offset: int) -> int:
        """As far back as an event id counts."""
        return max(0, committed_offset - self._config.duplicate_window_offsets)

    def restore(self, unit: str, frames: Mapping[str, pl.DataFrame] | None) -> None:
        """Begin with an empty window, in place of one whose rebuild was interrupted."""
        if unfinished := self._windows.pop(unit, None):
            unfinished.clear()
        self._windows[unit] = IdWindow(self._config.duplicate_window_offsets, self._memory)
        self._gathered.forget()

    def recall(self, unit: str, messages: Iterable[Message]) -> None:
        """Nothing to take back."""

    def release(self, unit: str) -> None:
        """Forget the window, and what was tallied for a transaction that did not come about."""
        if window := self._windows.pop(unit, None):
            window.clear()
        self._tallies.clear()
        self._measure()

    def snapshot(self, unit: str) -> Mapping[str, pl.DataFrame]:
        """None: the log holds it all."""
        return {}

    def process(self, batches: Sequence[RecordBatch], *, replaying: bool) -> list[Output]:
        """Links, activity, receipts and rejects of these batches."""
        by_party: dict[str, list[RecordBatch]] = {}
        for batch in batches:
            by_party.setdefault(party_of_topic(batch.source.topic), []).append(batch)
        self._gathered.begin()  # first: what is under way beside it reads the memory that the pipeline uses again
        self._pipeline.begin()
        self._pipeline.expiries = self._expiries()
        messages: list[Output] = []
        for party_id, own in by_party.items():
            party = self._known.get(party_id)
            outcome = self._pipeline.run(own, party, self._duplicates)
            self._wait(outcome.waiting)
            if replaying:
                continue
            assert party is not None, f"{party_id} was read although it was never registered"
            for record, accepted in outcome.accepted.items():
                if record == "ActionReceipt":
                    messages += receipts.to_messages(accepted, party_id, self._config.reject_value_bytes_max)
                else:
                    self._gathered.add(party_id, accepted)
            messages += [rejects.of_batch(batch, party) for batch in outcome.refused]
            messages += rejects.to_messages(outcome.rejects, party, self._config.reject_value_bytes_max)
            self._count(party_id, outcome)
        self._measure()
        if replaying:
            return []
        return [*messages, *self._gathered.messages()]

    def _measure(self) -> None:
        metrics.STATE_ROWS.labels(self.name, "event_ids").set(sum(len(window) for window in self._windows.values()))
        metrics.SPILLED_BYTES.labels(self.name).set(self._memory.spilled_bytes)

    def _wait(self, sources: frozenset[TopicPartition]) -> None:
        if sources:
            self._deferred |= sources
            self._waiting |= sources
            metrics.PARTITIONS_WAITING.labels(self.name).set(len(self._waiting))

    def tick(self, now_us: int) -> list[Message]:
        """Nothing happens by time alone."""
        return []

    def seal(self, messages: list[Output], ranges: Mapping[TopicPartition, Range]) -> list[Output]:
        """Put the audit of this transaction on one activity message; without rows, on an empty chunk."""
        entries = []
        for source, span in sorted(ranges.items()):
            tally = self._tallies.get(source, Tally())
            entries.append(
                {
                    "topic": source.topic, "partition": source.partition, "from_offset": span.begin, "to_offset": span.end,
                    "consumed": tally.consumed, "accepted": tally.accepted, "rejected": tally.rejected, "duplicates": tally.duplicates,
                }
            )  # fmt: skip
        self._tallies.clear()
        if not entries:
            return messages
        audit = ((AUDIT_HEADER, json.dumps(entries).encode()),)
        for number, message in enumerate(messages):
            if isinstance(message, Message) and message.topic == topology.ACTIVITY:
                return [*messages[:number], replace(message, headers=audit), *messages[number + 1 :]]
        return [
            *messages,
            Message(topology.ACTIVITY, frames.to_chunk(frames.empty(ACTIVITY)), partition=0, headers=audit),
        ]

    def _refresh(self) -> None:
        try:
            self._take(self._registry.refresh())
        except BrokerError as error:
            _log.warning(
                "party_registry_unreachable", error=str(error), meaning="going on with the parties known so far"
            )

    def _take(self, parties: dict[str, Party]) -> None:
        self._parties = parties
        self._known |= parties

    def _duplicates(self, source: TopicPartition, ids: npt.NDArray[np.int64], offsets: Rows) -> npt.NDArray[np.bool_]:
        return self._windows[self.unit(source)].add(ids, offsets)

    def _count(self, party_id: str, outcome: Outcome) -> None:
        for source, tally in outcome.tallies.items():
            total = self._tallies.setdefault(source, Tally())
            total.consumed += tally.consumed
            total.accepted += tally.accepted
            total.rejected += tally.rejected
            total.duplicates += tally.duplicates
            metrics.ACCEPTED.labels(party_id).inc(tally.accepted)
            metrics.DUPLICATES.labels(party_id).inc(tally.duplicates)
        for one in outcome.rejects:
            metrics.REJECTS.labels(party_id, one.reason).inc(len(one.rows))


def make_stage(settings: Settings) -> IngestStage:
    """The stage as `weaklink run ingest` runs it. Raises EpochsUnknown, and BrokerError when the registry of parties cannot be read."""
    # Loads the library behind it, 50 ms: now, not when the first events wait.
    pl.DataFrame({"account": [""]}).select(account_hash("", "account"))
    epochs = EpochWatch(settings.kafka)  # first: it may have to be tried again
    return IngestStage(settings, PartyRegistry(settings.kafka), epochs.expiries)
