"""Who gets which partitions: one owner for everything, who stays the owner; or all alike, and who stays keeps what it has."""

import threading
from types import SimpleNamespace
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka import TopicPartition

from tests.topics import create_topics
from tests.waiting import wait_until
from weaklink.kafka_options import KafkaConfig
from weaklink.settings import Settings
from weaklink.stream.assignor import SingleOwnerAssignor, choose_owner
from weaklink.stream.source import Source
from weaklink.stream.stage import Traits
from weaklink.topology import StageSpec


@given(claims=st.dictionaries(st.text(min_size=1), st.integers(-1, 5), min_size=1))
def test_the_newest_claim_wins_whoever_else_joins(claims: dict[str, int]) -> None:
    """The owner has the highest generation, and a newcomer without a claim never takes over from one that has."""
    owner = choose_owner(claims)
    assert claims[owner] == max(claims.values())
    if claims[owner] >= 0:
        assert choose_owner(claims | {"": -1}) == owner


def test_every_partition_goes_to_one_member() -> None:
    """The owner remembers its claim, and keeps everything in the next generation."""
    cluster = SimpleNamespace(partitions_for_topic=lambda topic: {"a": {0, 1}, "b": {0}}[topic])
    assignors = {name: SingleOwnerAssignor() for name in ("m2", "m1")}
    for generation, expected in ((1, "m1"), (2, "m1")):
        members = [
            SimpleNamespace(member_id=name, metadata=one.metadata(["a", "b"])) for name, one in assignors.items()
        ]
        assignment = assignors["m2"].assign(cluster, members)
        assert assignment[expected].assigned_partitions == [("a", [0, 1]), ("b", [0])]
        assert sum(bool(one.assigned_partitions) for one in assignment.values()) == 1
        for name, one in assignors.items():
            one.on_assignment(assignment[name], generation)
    assignors["m0"] = SingleOwnerAssignor()
    members = [SimpleNamespace(member_id=name, metadata=one.metadata(["a"])) for name, one in assignors.items()]
    assert assignors["m0"].assign(cluster, members)["m1"].assigned_partitions


class Member:
    """A source that is polled in a thread of its own, as a worker's is."""

    def __init__(self, spec: StageSpec, kafka: KafkaConfig) -> None:
        self._source = Source(spec, Traits(), Settings(kafka=kafka))
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)
        self.owned: set[TopicPartition] = set()
        self._thread.start()

    def _work(self) -> None:
        while not self._stop.is_set():
            self._source.poll(50, 1)
            self.owned = set() if self._source.membership.joining else set(self._source.consumer.assignment())
        self._source.close()

    def leave(self) -> None:
        self._stop.set()
        self._thread.join()


@pytest.mark.kafka
def test_who_stays_keeps_what_it_has_and_topics_of_one_partition_are_spread(kafka: KafkaConfig) -> None:
    """Whatever members are called: a partition that moves between two that stay would be state rebuilt for nothing."""
    mark = uuid4().hex[:8]
    topics = tuple(f"spread-{mark}-{number}" for number in range(12))
    create_topics(kafka, topics, partitions=1)
    spec = StageSpec(mark, "columnar", f"weaklink.{mark}", topics, (), "")
    members = [Member(spec, kafka) for _ in range(2)]

    def shares(size: int) -> list[set[TopicPartition]]:
        wait_until(lambda: all(len(one.owned) == size for one in members))
        return [one.owned for one in members]

    try:
        two = shares(6)
        members.append(Member(spec, kafka))
        three = shares(4)
        assert three[0] < two[0]
        assert three[1] < two[1]
        members.pop(0).leave()
        again = shares(6)
        assert again[0] > three[1]
        assert again[1] > three[2]
    finally:
        for one in members:
            one.leave()
