"""First and last offsets of partitions that may have been made a moment ago."""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from kafka import TopicPartition
from kafka.errors import UnknownTopicOrPartitionError

_PATIENCE_SECONDS: Final = 5.0
_PAUSE_SECONDS: Final = 0.1


def edge_offsets(
    ask: Callable[[Sequence[TopicPartition]], Any], partitions: Sequence[TopicPartition]
) -> dict[TopicPartition, int]:
    """What `ask` (a consumer's `beginning_offsets` or `end_offsets`) says of all these partitions.

    A partition that its leader does not know yet is missing in the library's answer, which it then fails to find: it is asked for again.
    Raises UnknownTopicOrPartitionError when it is not known after some seconds, and kafka's other errors.
    """
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while partitions:
        try:
            found: dict[TopicPartition, int] = ask(partitions)
        except KeyError as error:
            if time.monotonic() > deadline:
                raise UnknownTopicOrPartitionError(f"no broker knows the offsets of {error}") from error
            time.sleep(_PAUSE_SECONDS)
        else:
            return found
    return {}
