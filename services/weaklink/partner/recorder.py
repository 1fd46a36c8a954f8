"""A party's own tests without Kafka: what its code publishes is captured and judged as ingest would, and actions are put in front of it.

    with Recorder("my-lab", PartyKind.LAB) as recorder:
        client = recorder.client()
        my_code(client)                                              # publishes with build, publish, send, publish_many
        assert recorder.events(ApiUsage)[0].requests == 31
        recorder.issue(measure=Measure.SUSPEND, target_account="cust-42")
        my_action_loop(client)                                       # reads client.actions() to its end
        assert recorder.receipts == [(action_id, 1, "ACCEPTED"), (action_id, 1, "DONE")]

The client is the real one; only what lies behind it is in memory. Rules, reasons and age limits are ingest's (a test holds both together).
"""

import tempfile
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace, TracebackType
from typing import Any, Final, Self, TypeVar

from kafka import TopicPartition

from weaklink.errors import RecordError
from weaklink.kafka_options import KafkaConfig
from weaklink.parties import MAY_PUBLISH, PartyKind
from weaklink.partner.actions import ActionSubscription
from weaklink.partner.builder import validated
from weaklink.partner.client import WeaklinkClient
from weaklink.partner.config import PartnerConfig
from weaklink.partner.models import EVENT_MODELS, AddressLease, EnforcementAction, Event
from weaklink.partner.publisher import Failures
from weaklink.partner.reading import Reject
from weaklink.partner.symbols import ActionState, Measure, Tlp
from weaklink.partner.tokens import LocalTokeniser, Tokeniser
from weaklink.records import reasons
from weaklink.records.codec import decode, encode, schema_of

E = TypeVar("E", bound=Event)

AGE_DAYS_MAX: Final = {"ApiUsage": 7, "PaymentAttempt": 7, "AddressLease": 90}
"""Older events of these records come back as TOO_OLD: ingest's limits where its settings do not say otherwise."""
AHEAD_SECONDS_MAX: Final = 300
LEASE_AHEAD_DAYS_MAX: Final = 30


@dataclass(frozen=True, slots=True)
class Recorded:
    """One message that the party's code published."""

    topic: str
    partition: int
    offset: int
    key: bytes
    value: bytes


class Recorder:
    """Stands in for Kafka and ingest for one party. `clock` is the time at which events arrive.

    `strict` raises RecordError at the publish that ingest would reject; otherwise `rejects` keeps them. A repeated event id counts in `duplicates`.
    """

    def __init__(
        self,
        party: str,
        kind: PartyKind,
        *,
        strict: bool = True,
        tokeniser: Tokeniser | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.party, self.kind = party, kind
        self.strict = strict
        self.messages: Final[list[Recorded]] = []
        self.rejects: Final[list[Reject]] = []
        self.duplicates = 0
        self._accepted: Final[dict[bytes, Event]] = {}
        self._actions: Final[list[tuple[int, bytes]]] = []  # when it was issued, ms since 1970
        self._read_up_to = 0
        self._clock = clock
        self._tokeniser = tokeniser or LocalTokeniser.reproducible()
        self._folder = tempfile.TemporaryDirectory(prefix="weaklink-recorder-")

    def client(self, config: PartnerConfig | None = None) -> WeaklinkClient:
        """A client whose events come here and whose actions are the issued ones. Its key ring is one that everybody knows."""
        config = (config or PartnerConfig()).model_copy(update={"state_folder": Path(self._folder.name)})
        return _RecordedClient(self, config, self._tokeniser)

    def events(self, model: type[E]) -> list[E]:
        """What ingest would have accepted of that record, in order."""
        return [event for event in self._accepted.values() if isinstance(event, model)]

    @property
    def receipts(self) -> list[tuple[str, int, str]]:
        """(action id, revision, status) of the party's answers, in order."""
        answers = self.events(EVENT_MODELS["ActionReceipt"])
        return [(one.action_id, one.revision, str(one.status)) for one in answers]  # type: ignore[attr-defined]

    def issue(self, action: EnforcementAction | None = None, **fields: Any) -> EnforcementAction:
        """Put an action in front of the party: a whole one, or one made of `fields` (measure and target; the rest has defaults)."""
        now = self._clock()
        made = action or EnforcementAction.model_validate(
            {
                "action_id": uuid.uuid4().hex, "revision": 1, "state": ActionState.ACTIVE, "party": self.party, "campaign_id": "c-recorded",
                "measure": Measure.SUSPEND, "issued_at": now, "expires_at": now + timedelta(days=7), "respond_by": now + timedelta(hours=1),
                "evidence_at": now, "confidence": 0.97, "expected_cut": 100.0, "benign_accounts_touched": 0, "tlp": Tlp.AMBER,
            }
            | fields
        )  # fmt: skip
        values = {**dict(made), "reasons": [dict(reason) for reason in made.reasons]}
        self._actions.append((time.time_ns() // 1_000_000, encode("EnforcementAction", values)))
        return made

    def take(self, topic: str, key: bytes, value: bytes) -> Recorded:
        """What ingest would do with a message: accept it, count it as a duplicate, or reject it. Raises RecordError when strict."""
        message = Recorded(topic, 0, len(self.messages), key, value)
        self.messages.append(message)
        try:
            event = judge(value, self.kind, self._clock())
        except RecordError as error:
            self.rejects.append(
                Reject(error.reason, error.field, error.detail, topic, 0, message.offset, message.offset, value)
            )
            if self.strict:
                raise
            return message
        if event.event_id in self._accepted:
            self.duplicates += 1
        self._accepted.setdefault(event.event_id, event)
        return message

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._folder.cleanup()


def judge(value: bytes | None, kind: PartyKind, now: datetime) -> Event:
    """The event in a message that arrives now from a party of that kind. Raises RecordError with ingest's reason and field."""
    record = schema_of(value).record
    model = EVENT_MODELS.get(record)
    if model is None:
        raise RecordError(reasons.UNKNOWN_SCHEMA, f"{record} is no record that parties publish")
    if kind not in MAY_PUBLISH[record]:
        raise RecordError(reasons.RECORD_NOT_ALLOWED, f"a {kind} may not publish {record}")
    event = validated(model, decode(value)[1])
    days = AGE_DAYS_MAX.get(record)
    if days is not None and event.occurred_at < now - timedelta(days=days):
        raise RecordError(reasons.TOO_OLD, f"more than {days} days ago", "occurred_at")
    if event.occurred_at > now + timedelta(seconds=AHEAD_SECONDS_MAX):
        raise RecordError(reasons.IN_THE_FUTURE, f"more than {AHEAD_SECONDS_MAX} s ahead", "occurred_at")
    released = event.released_at if isinstance(event, AddressLease) else None
    if released is not None and released > now + timedelta(days=LEASE_AHEAD_DAYS_MAX):
        raise RecordError(reasons.IN_THE_FUTURE, f"more than {LEASE_AHEAD_DAYS_MAX} days ahead", "released_at")
    return event


class _RecordedClient(WeaklinkClient):
    """The real client, with memory behind it."""

    def __init__(self, recorder: Recorder, config: PartnerConfig, tokeniser: Tokeniser) -> None:
        super().__init__(
            recorder.party, KafkaConfig(), config, tokeniser, kind=recorder.kind, publisher=_Memory(recorder), clock=recorder._clock
        )  # fmt: skip
        self._recorder = recorder

    def actions(self, *, idle_seconds: float | None = 0, accept: bool = True) -> ActionSubscription:
        """As the real one; without `idle_seconds` it ends when the issued actions are read."""
        consumer = _IssuedActions(self._recorder, self.actions_topic)
        return ActionSubscription(
            self, self._kafka, self.state_file, idle_seconds=idle_seconds or 0, accept=accept, consumer=consumer
        )


@dataclass
class _Memory:
    """A publisher into a recorder."""

    recorder: Recorder
    in_flight_bytes: int = 0

    def send(self, topic: str, key: bytes, value: bytes, failures: Failures) -> Any:
        """Judged at once: nothing is ever in flight."""
        message = self.recorder.take(topic, key, value)
        return SimpleNamespace(
            get=lambda timeout=None: message, is_done=True, add_callback=lambda call: call(message), add_errback=lambda call: None
        )  # fmt: skip

    def has_topic(self, topic: str) -> bool:
        """Only the party's own."""
        return topic.startswith(f"party.{self.recorder.party}.")

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing to disconnect."""


@dataclass
class _IssuedActions:
    """What a subscription asks of a consumer, over the issued actions. What was committed is not read again by the next one."""

    recorder: Recorder
    topic: str
    _position: int = field(default=-1)

    def poll(self, timeout_ms: int = 0) -> dict[TopicPartition, list[Any]]:
        """Every action that has not been read."""
        begin = self.position(self._source)
        waiting = self.recorder._actions[begin:]
        self._position = begin + len(waiting)
        if not waiting:
            time.sleep(min(timeout_ms, 10) / 1000)
            return {}
        records = [
            SimpleNamespace(value=value, offset=begin + n, timestamp=at_ms) for n, (at_ms, value) in enumerate(waiting)
        ]
        return {self._source: records}

    @property
    def _source(self) -> TopicPartition:
        return TopicPartition(self.topic, 0)

    def commit(self, offsets: Mapping[TopicPartition, Any]) -> None:
        """Remembered by the recorder."""
        for offset in offsets.values():
            self.recorder._read_up_to = offset.offset

    def assignment(self) -> set[TopicPartition]:
        """The one partition."""
        return {self._source}

    def end_offsets(self, partitions: list[TopicPartition]) -> dict[TopicPartition, int]:
        """How many were issued."""
        return dict.fromkeys(partitions, len(self.recorder._actions))

    def position(self, partition: TopicPartition) -> int:
        """The next to be read."""
        return self.recorder._read_up_to if self._position < 0 else self._position

    def close(self) -> None:
        """Nothing to leave."""
