"""Offsets of partitions that were made a moment ago."""

from collections.abc import Sequence

import pytest
from kafka import TopicPartition
from kafka.errors import UnknownTopicOrPartitionError

from weaklink import edge_offsets

TP = TopicPartition("party.lab-a.events", 0)


def test_a_partition_that_its_leader_does_not_know_yet_is_asked_for_again() -> None:
    """The library fails by KeyError then."""
    asked: list[Sequence[TopicPartition]] = []

    def ask(partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        asked.append(partitions)
        return {TP: 7} if len(asked) > 2 else {}[partitions[0]]

    assert edge_offsets.edge_offsets(ask, [TP]) == {TP: 7}
    assert edge_offsets.edge_offsets(ask, []) == {}
    assert len(asked) == 3


def test_one_that_is_never_known_is_an_error_of_kafkas(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which a stage tries again, and a command tells."""
    monkeypatch.setattr(edge_offsets, "_PATIENCE_SECONDS", 0.0)

    def ask(partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        raise KeyError(partitions[0])

    with pytest.raises(UnknownTopicOrPartitionError, match=r"party\.lab-a\.events"):
        edge_offsets.edge_offsets(ask, [TP])
