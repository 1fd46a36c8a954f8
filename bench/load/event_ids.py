"""What ingest's tables of event ids hold, from how many events each partition has had: so that their growth, which has an end, can be told from any other.

As `weaklink.ingest.dedupe` has it: an id takes three words in the order in which it comes, and a table has two words of slots for each id that there is
room for; room grows fourfold, up to what a window of offsets can hold; of a partition there are two tables, which are then used in turns.
"""

from collections.abc import Iterable
from typing import Final

from weaklink.ingest.config import IngestConfig

_ID_BYTES: Final = 24
_SLOTS_BYTES: Final = 16
_ROOM_MIN: Final = 256
_GROWTH: Final = 4
_MIB: Final = 1 << 20


def held_mib(events_by_partition: Iterable[int], window: int = IngestConfig().duplicate_window_offsets) -> float:
    """MiB that were written to, of all partitions. Slots are scattered, so those of a table are all written to; room for ids is not until they come."""
    return sum(_of_partition(events, window) for events in events_by_partition) / _MIB


def _of_partition(events: int, window: int) -> int:
    first, second = min(events, window), min(max(events - window, 0), window)
    return _of_table(first, window) + _of_table(second, window)


def _of_table(ids: int, window: int) -> int:
    if not ids:
        return 0
    room, room_max = _ROOM_MIN, max(1 << (window - 1).bit_length(), _ROOM_MIN)
    while room < ids:
        room = min(_GROWTH * room, room_max)
    return ids * _ID_BYTES + room * _SLOTS_BYTES
