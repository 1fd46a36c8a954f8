"""Committed offsets of consumer groups, with patience for a broker that is still loading its groups."""

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from kafka import TopicPartition
from kafka.admin import KafkaAdminClient
from kafka.errors import KafkaError
from kafka.protocol.metadata import CoordinatorType

from weaklink.errors import BrokerError

_PATIENCE_SECONDS: Final = 20
_PAUSE_SECONDS: Final = 0.3


def committed_offsets(admin: KafkaAdminClient, groups: Sequence[str]) -> dict[str, dict[TopicPartition, int]]:
    """Next offset to read by group and partition; partitions without a commit are left out. Raises BrokerError.

    A broker that has just started, or that has just become coordinator, answers with a retriable error until it has loaded the groups; one that
    coordinated them and is gone does not answer, and others do.
    """
    if not groups:
        return {}
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            found: Mapping[str, Mapping[TopicPartition, Any]] = admin.list_group_offsets(list(groups))
        except KafkaError as error:
            _forget_coordinators(admin, groups)
            if not getattr(error, "retriable", False) or time.monotonic() > deadline:
                raise BrokerError(f"the offsets of {', '.join(groups)} cannot be read: {error}") from error
            time.sleep(_PAUSE_SECONDS)
        else:
            return {
                group: {tp: one.offset for tp, one in found.get(group, {}).items() if one.offset >= 0}
                for group in groups
            }


def _forget_coordinators(admin: KafkaAdminClient, groups: Sequence[str]) -> None:
    """Have them looked up anew: the library remembers a group's coordinator for ever, and would ask one that is gone again and again."""
    known: dict[Any, Any] = admin._manager.cluster._coordinators
    for group in groups:
        known.pop((CoordinatorType.GROUP, group), None)
