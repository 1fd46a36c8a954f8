"""Topics that people and stages read to their end are given up when nothing comes: a poll says nothing of a broker that is away."""

import json
import uuid
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition
from kafka.errors import KafkaTimeoutError

from tests.stream.counting import Counting, spec
from tests.stream.test_runner import committed_values, expected_values, produce, running
from tests.topics import create_topics
from tests.waiting import wait_until
from weaklink import topology
from weaklink.benign_topic import read_records
from weaklink.cases.reader import read_cases
from weaklink.epochs_topic import read_expiries
from weaklink.errors import BrokerError
from weaklink.kafka_options import KafkaConfig
from weaklink.party_registry import PartyRegistry, read_parties
from weaklink.read_to_end import read_to_end
from weaklink.settings import Settings
from weaklink.sim.outcome import read_outcome
from weaklink.small_topics import append
from weaklink.stream.compacted import read_compacted
from weaklink.stream.runner import Runner
from weaklink.stream.stage import Message

pytestmark = pytest.mark.kafka
_PARTY = json.dumps({"id": "lab-a", "kind": "lab"}).encode()


@pytest.fixture
def topic(kafka: KafkaConfig, monkeypatch: pytest.MonkeyPatch) -> str:
    """A compacted topic with one party in it; what is read here is read from it."""
    name = f"small-{uuid.uuid4().hex[:8]}"
    create_topics(kafka, [name], partitions=1, configs={"cleanup.policy": "compact"})
    append(kafka, name, [("lab-a", _PARTY)], "this topic")
    for constant in ("ACTIVITY", "CAMPAIGNS", "PARTIES"):
        monkeypatch.setattr(topology, constant, name)
    return name


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """From the call on no poll brings anything, as it is while the brokers are gone."""
    monkeypatch.setattr("weaklink.read_to_end.STALL_SECONDS", 0.3)
    monkeypatch.setattr("weaklink.stream.compacted.STALL_SECONDS", 0.3)

    def begin() -> None:
        monkeypatch.setattr(KafkaConsumer, "poll", lambda self, timeout_ms=0, **_: {})

    return begin


@pytest.mark.parametrize(
    "read", [read_cases, read_parties, read_records, read_expiries, partial(read_outcome, parties=())]
)
def test_who_reads_a_topic_whole_is_told_which_partition_stands_still(
    kafka: KafkaConfig, topic: str, silent: Callable[[], None], read: Callable[..., object]
) -> None:
    """It would wait as long as the broker is away: a command for ever, a console with it."""
    silent()
    with pytest.raises(BrokerError, match=rf"{topic}-0 at 0 of 1; is a broker down"):
        read(kafka, topic) if read in (read_records, read_expiries) else read(kafka)


def test_a_registry_is_read_on_once_the_broker_is_back(
    kafka: KafkaConfig, topic: str, silent: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker keeps its reader, and asks it again."""
    registry = PartyRegistry(kafka)
    assert set(registry.refresh()) == {"lab-a"}
    append(kafka, topic, [("lab-b", _PARTY.replace(b"lab-a", b"lab-b"))], "this topic")
    with monkeypatch.context() as away:
        away.setattr(KafkaConsumer, "poll", lambda self, timeout_ms=0, **_: {})
        with pytest.raises(BrokerError, match=rf"{topic}-0 at 1 of 2"):
            registry.refresh()
    assert set(registry.refresh()) == {"lab-a", "lab-b"}
    registry.close()


def test_what_a_stage_recalls_is_given_up_as_broker_trouble(
    kafka: KafkaConfig, topic: str, silent: Callable[[], None]
) -> None:
    """After the time in which a transaction that was left open ends: the runner then tries again."""
    settings = Settings(kafka=kafka.model_copy(update={"transaction_timeout_ms": 100}))
    silent()
    with pytest.raises(KafkaTimeoutError, match=f"{topic}-0 at 0 of 1"):
        read_compacted([topic], settings)


class Recalling(Counting):
    """Recalls one topic, and minds nothing of it."""

    def __init__(self, name: str, output: str, recalled: str) -> None:
        super().__init__(name, output)
        self.recalls = (recalled,)
        self.recalled: list[bytes] = []

    def recall(self, unit: str, messages: Iterable[Message]) -> None:
        self.recalled += [one.value or b"" for one in messages]


def test_a_worker_that_cannot_recall_tries_again(
    kafka: KafkaConfig, topic: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It neither waits for ever, deaf to a stop, nor dies of it, nor goes on without what it has to recall."""
    name = f"count-{uuid.uuid4().hex[:8]}"
    source, output = f"{name}-in", f"{name}-out"
    create_topics(kafka, [source, output])
    produce(kafka, source, range(10))
    stands_still = 2

    def failing(consumer: KafkaConsumer, ends: dict[TopicPartition, int], patience: float | None = None) -> Any:
        nonlocal stands_still
        if stands_still:
            stands_still -= 1
            raise KafkaTimeoutError("no records came")
        return read_to_end(consumer, ends, patience)

    monkeypatch.setattr("weaklink.stream.compacted.read_to_end", failing)
    stage = Recalling(source, output, topic)
    with running(Runner(stage, spec(source, source), Settings(kafka=kafka, data_folder=tmp_path))):
        wait_until(lambda: committed_values(kafka, output) == expected_values(range(10)))
    assert stands_still == 0
    assert set(stage.recalled) == {_PARTY}


def test_who_was_given_up_by_the_group_recalls_again_what_is_said_there(
    kafka: KafkaConfig, topic: str, tmp_path: Path
) -> None:
    """Another may have had its units meanwhile, and have said something at a tick alone: by the offsets nothing has happened."""
    name = f"count-{uuid.uuid4().hex[:8]}"
    source, output = f"{name}-in", f"{name}-out"
    create_topics(kafka, [source, output])
    produce(kafka, source, range(10))
    stage = Recalling(source, output, topic)
    runner = Runner(stage, spec(source, source), Settings(kafka=kafka, data_folder=tmp_path), slot="one")
    with running(runner):
        wait_until(lambda: committed_values(kafka, output) == expected_values(range(10)))
        before = len(stage.recalled)
        coordinator = runner._source.consumer._coordinator
        coordinator.request_rejoin()
        wait_until(lambda: runner._recovered and not coordinator.rejoin_needed)
        assert len(stage.recalled) == before, "what is merely assigned anew is kept"
        coordinator.reset_generation()
        coordinator.request_rejoin()
        wait_until(lambda: len(stage.recalled) == 2 * before)
        produce(kafka, source, range(10, 20))
        wait_until(lambda: committed_values(kafka, output) == expected_values(range(20)))
