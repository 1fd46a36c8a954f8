"""Gives every partition to one member of the group: for a stage whose state cannot be split. The others stand by."""

import struct
from collections.abc import Iterable, Mapping
from typing import Any, Final

from kafka.coordinator.assignors.abstract import (
    AbstractPartitionAssignor,
    ConsumerProtocolAssignment,
    ConsumerProtocolSubscription,
)

_VERSION: Final = 0
_CLAIM: Final = struct.Struct(">q")
_NO_CLAIM: Final = -1


def choose_owner(claims: Mapping[str, int]) -> str:
    """The member (id -> generation in which it last owned everything, or -1) to own everything now.

    The newest claim wins, so that a member that joins does not take the state away from the one that has it; ties go to the smallest id.
    """
    return min(claims, key=lambda member: (-claims[member], member))


class SingleOwnerAssignor(AbstractPartitionAssignor):  # type: ignore[misc]  # kafka-python ships no types
    """`partition_assignment_strategy=(SingleOwnerAssignor(),)`. An instance belongs to one consumer: it remembers that consumer's claim."""

    name = "weaklink-single-owner"

    def __init__(self) -> None:
        self._claim = _NO_CLAIM

    def assign(self, cluster: Any, members: Iterable[Any]) -> dict[str, Any]:
        """Everything that any member subscribes to, to one of them."""
        members = list(members)
        owner = choose_owner({member.member_id: _claim_of(member.metadata.user_data) for member in members})
        topics = sorted({topic for member in members for topic in member.metadata.topics})
        everything = [(topic, sorted(cluster.partitions_for_topic(topic) or ())) for topic in topics]
        return {
            member.member_id: ConsumerProtocolAssignment(_VERSION, everything if member.member_id == owner else [], b"")
            for member in members
        }

    def metadata(self, topics: Iterable[str]) -> Any:
        """This member's subscription, with its claim."""
        return ConsumerProtocolSubscription(_VERSION, list(topics), _CLAIM.pack(self._claim))

    def on_assignment(self, assignment: Any, generation: int) -> None:
        """Remember in which generation everything was ours."""
        owned = any(partitions for _, partitions in assignment.assigned_partitions)
        self._claim = generation if owned else _NO_CLAIM


def _claim_of(user_data: bytes | None) -> int:
    return int(_CLAIM.unpack(user_data)[0]) if user_data and len(user_data) == _CLAIM.size else _NO_CLAIM
