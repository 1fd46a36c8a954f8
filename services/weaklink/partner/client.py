"""`WeaklinkClient`: what a party publishes with, and where it gets its actions."""

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from kafka.errors import KafkaError

from weaklink.errors import PartyError, WeaklinkError
from weaklink.kafka_options import KafkaConfig
from weaklink.parties import MAY_PUBLISH, PARTY_ID, PartyKind
from weaklink.partner.actions import ActionSubscription
from weaklink.partner.builder import E, EventBuilder
from weaklink.partner.config import PartnerConfig
from weaklink.partner.models import ActionReceipt, Event
from weaklink.partner.outside_lists import Classes, OutsideLists
from weaklink.partner.publisher import Failures, Publisher, Sink
from weaklink.partner.remote import open_tokeniser
from weaklink.partner.symbols import ReceiptStatus
from weaklink.partner.tokens import Tokeniser
from weaklink.records.codec import encode

_KEY_FIELDS: Final = {"ModelReleased": "model", "ActionReceipt": "action_id"}
"""Which field is the Kafka key; for every other record it is the account, so that one account's events stay in order."""
_ERRORS_TOLD: Final = 10


class DeliveryError(WeaklinkError):
    """Events that Kafka did not take: one error each in `errors`."""

    def __init__(self, topic: str, errors: list[Exception]) -> None:
        told = "; ".join(dict.fromkeys(str(error) for error in errors[:_ERRORS_TOLD]))
        super().__init__(f"{len(errors)} events were not delivered to {topic}: {told}")
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Delivered:
    """Where an event lies."""

    topic: str
    partition: int
    offset: int


class WeaklinkClient:
    """One party's connection. Publishing is thread-safe; an `ActionSubscription` belongs to one thread.

    `publisher` may be shared by several clients; it is then not closed with them. `kind` makes the client refuse records that the
    party may not publish. `classes` gives address_class and mail_class of raw identifiers; without it the config says whether the
    installed lists do. `clock` stamps receipts (a replay passes its own time).
    Raises PartyError when the id is not one, BrokerError when Kafka cannot be reached.
    """

    def __init__(
        self,
        party: str,
        kafka: KafkaConfig | None = None,
        config: PartnerConfig | None = None,
        tokeniser: Tokeniser | None = None,
        *,
        kind: PartyKind | None = None,
        classes: Classes | None = None,
        publisher: Sink | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if not PARTY_ID.fullmatch(party):
            raise PartyError(f"{party!r} is not a party id: 2 to 40 of a-z, 0-9 and '-'")
        self.party = party
        self.kind = kind
        self.config = config or PartnerConfig()
        self.clock = clock
        self.events_topic: Final = f"party.{party}.events"
        self.actions_topic: Final = f"party.{party}.actions"
        self._kafka = kafka or KafkaConfig()
        self._owns_publisher = publisher is None
        self._publisher: Sink = publisher or Publisher(self._kafka, self.config)
        self._classes = classes or (OutsideLists() if self.config.outside_lists else None)
        self._builder = EventBuilder(tokeniser, self._classes) if tokeniser else None
        self._failures: Final[Failures] = []

    def build(self, model: type[E], /, **fields: Any) -> E:
        """An event of that model from raw values: see `EventBuilder.build`. The tokeniser of the config serves when none was given."""
        if self._builder is None:
            tokeniser = open_tokeniser(self.config)
            if tokeniser is None:
                raise PartyError(
                    "no tokeniser: pass one, or set WEAKLINK_PARTNER__TOKENISER_URL, or WEAKLINK_PARTNER__KEY_FILE "
                    "(weaklink partner key new FILE makes one)"
                )
            self._builder = EventBuilder(tokeniser, self._classes)
        return self._builder.build(model, **fields)

    def publish(self, event: Event) -> Delivered:
        """Publish one event and wait until every in-sync replica has it. Raises DeliveryError otherwise."""
        # Its failure is raised here, so that the next flush does not tell of it again.
        future = self._send(event.record, event.values(), [])
        self._publisher.flush()
        try:
            metadata = future.get(timeout=self.config.delivery_timeout_seconds)
        except KafkaError as error:
            raise DeliveryError(self.events_topic, [error]) from error
        return Delivered(metadata.topic, metadata.partition, metadata.offset)

    def send(self, event: Event) -> None:
        """Queue one event; waits while too much is in flight. `flush` waits for delivery and tells of failures."""
        self._send(event.record, event.values(), self._failures)

    def publish_many(self, events: Iterable[Event]) -> int:
        """Publish a stream in bounded memory and wait until all of it is delivered. Returns how many. Raises DeliveryError."""
        count = 0
        for event in events:
            self.send(event)
            count += 1
        self.flush()
        return count

    def publish_record(self, record: str, values: Mapping[str, Any]) -> None:
        """The fast path: queue one record given as plain values (times as datetime or as microseconds, enums as text, tokens as bytes).

        Checks only what the schema checks. Waits while too much is in flight; `flush` waits for delivery and tells of failures.
        Raises RecordError when a value does not fit the schema, PartyError when the party's kind may not publish it.
        """
        self._send(record, values, self._failures)

    def receipt(
        self,
        action_id: str,
        revision: int,
        status: ReceiptStatus,
        reason: str | None = None,
        note: str | None = None,
    ) -> None:
        """Queue the answer to an action (`flush` waits for it). The same answer given twice counts once: its event id follows from it."""
        self._receipt(action_id, revision, status, reason, note, failures=self._failures)

    def actions(self, *, idle_seconds: float | None = None, accept: bool = True) -> ActionSubscription:
        """The party's actions, each once, with automatic receipts: see `ActionSubscription`.

        `idle_seconds`: iteration ends after so long without a new one (None: it never ends).
        `accept=False`: no ACCEPTED on receipt.
        """
        return ActionSubscription(self, self._kafka, self.state_file, idle_seconds=idle_seconds, accept=accept)

    @property
    def state_file(self) -> Path:
        """Where handled actions are remembered."""
        return self.config.state_folder / f"{self.party}.sqlite3"

    def flush(self) -> None:
        """Wait until everything queued is delivered. Raises DeliveryError with what was not, since the last flush."""
        self._publisher.flush()
        # Taken out, not replaced by a new list: what another thread sent meanwhile is noted in this one.
        failures = self._failures[:]
        del self._failures[: len(failures)]
        self._tell(failures)

    def close(self) -> None:
        """Deliver what is queued and, unless the publisher is shared, disconnect. Raises DeliveryError like `flush`."""
        try:
            self.flush()
        finally:
            if self._owns_publisher:
                self._publisher.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _receipt(
        self,
        action_id: str,
        revision: int,
        status: ReceiptStatus,
        reason: str | None = None,
        note: str | None = None,
        *,
        failures: Failures,
    ) -> None:
        """Queue a receipt; what becomes of it is noted in `failures`."""
        answer = f"{self.party}|{action_id}|{revision}|{status}|{reason or ''}|{note or ''}"
        event = ActionReceipt(
            event_id=hashlib.sha256(answer.encode()).digest()[:16],
            occurred_at=self.clock(),
            action_id=action_id,
            revision=revision,
            status=status,
            reason=reason,
            note=note,
        )
        self._send(event.record, event.values(), failures)

    def _tell(self, failures: Failures) -> None:
        if failures:
            raise DeliveryError(self.events_topic, failures)

    def _send(self, record: str, values: Mapping[str, Any], failures: Failures) -> Any:
        if self.kind is not None and self.kind not in MAY_PUBLISH.get(record, ()):
            raise PartyError(f"{self.party} is a {self.kind} and may not publish {record}")
        value = encode(record, values)
        key = str(values[_KEY_FIELDS.get(record, "account")]).encode()
        return self._publisher.send(self.events_topic, key, value, failures)
