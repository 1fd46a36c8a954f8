"""Events of the job as numbers: which account shows which identifiers, and when. The same arguments give the same events, on any machine."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from weaklink.records.identifiers import TOKEN_BYTES, IdentifierKind

ACCOUNTS: Final = 200_000
PARTITIONS: Final = 4
ZIPF_EXPONENT: Final = 1.2
IDENTIFIERS_MAX: Final = 4
NAME_BYTES: Final = 8
FOUR_SHARE: Final = 0.3
"""Share of events with four identifiers; the others have three."""
_SPAN_US: Final = 600_000_000
_PERIOD_US: Final = 6 * 3_600_000_000
_AGE_US: Final = 60_000_000
_EPOCH: Final = 1
_POPULARITY_SEED: Final = 113  # of the first 300 the one with the most even partitions: 31 % of events in the fullest, whatever engine reads it
_CRC_POLYNOMIAL: Final = 0xEDB88320

Numbers = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Pool:
    """Identifiers of one kind: so many, of which each account has `per_account`; `skew` above 1 makes the first ones popular."""

    kind: IdentifierKind
    size: int
    per_account: int
    skew: float = 1.0


POOLS: Final = (
    Pool(IdentifierKind.IP, 300_000, 4),
    Pool(IdentifierKind.DEVICE, 150_000, 1),
    # A few prompt templates are held by thousands of accounts: they reach the cap.
    Pool(IdentifierKind.PROMPT, 2_000, 2, skew=3.0),
    Pool(IdentifierKind.CARD, 60_000, 1),
)
"""Column by column of `World.identifiers`; the last one is there in events with four only."""
_FIRST_OF_POOL: Final = np.cumsum([0, *(pool.size for pool in POOLS)])
IDENTIFIERS: Final = int(_FIRST_OF_POOL[-1])


@dataclass(frozen=True)
class World:
    """Events in the order in which they are published. `accounts` (n), `identifiers` (n x 4, -1: none), `occurred_us` (n)."""

    accounts: Numbers
    identifiers: Numbers
    occurred_us: Numbers

    def __len__(self) -> int:
        return len(self.accounts)

    @property
    def mentions(self) -> int:
        """Identifiers over all events."""
        return int((self.identifiers >= 0).sum())

    @cached_property
    def partitions(self) -> Numbers:
        """Partition of each event: CRC-32 of the account's name, as librdkafka's default partitioner takes it of a key."""
        return (crc32(account_names()) % PARTITIONS)[self.accounts]


def make_world(events: int, begin_us: int, seed: int = 1) -> World:
    """So many events from `begin_us` (microseconds since 1970) on, over ten minutes. Account popularity is Zipf 1.2 over 200,000 accounts."""
    random = np.random.default_rng(seed)
    weights = np.arange(1, ACCOUNTS + 1, dtype=np.float64) ** -ZIPF_EXPONENT
    bounds = np.cumsum(weights) / weights.sum()
    ranks = np.minimum(np.searchsorted(bounds, random.random(events)), ACCOUNTS - 1)
    accounts = _account_of_rank()[ranks].astype(np.int64)
    identifiers = np.empty((events, IDENTIFIERS_MAX), dtype=np.int64)
    for column, pool in enumerate(POOLS):
        which = random.integers(0, pool.per_account, events)
        share = mix(accounts.astype(np.uint64) * np.uint64(8) + which.astype(np.uint64), column).astype(np.float64)
        position = ((share / 2.0**64) ** pool.skew * pool.size).astype(np.int64)
        identifiers[:, column] = _FIRST_OF_POOL[column] + np.minimum(position, pool.size - 1)
    identifiers[random.random(events) >= FOUR_SHARE, IDENTIFIERS_MAX - 1] = -1
    occurred = begin_us + np.arange(events, dtype=np.int64) * _SPAN_US // max(events, 1)
    return World(accounts, identifiers, occurred)


def recent_begin_us(now_us: int) -> int:
    """Where ten minutes begin that lie just before now and within one quarter of a UTC day.

    So no event is too old or ahead of time, addresses stay within one slot of a day, and no link is said anew for having been used in another
    quarter of the day: what is right does not depend on when the benchmark runs.
    """
    end = now_us - _AGE_US
    boundary = end // _PERIOD_US * _PERIOD_US
    return end - _SPAN_US if end - _SPAN_US >= boundary else boundary - _SPAN_US - 1


def _account_of_rank() -> Numbers:
    return np.random.default_rng(_POPULARITY_SEED).permutation(ACCOUNTS)


def account_names() -> Bytes:
    """The name of each account, 8 ASCII characters: c0000000 and so on."""
    numbers = np.arange(ACCOUNTS, dtype=np.int64)
    names = np.empty((ACCOUNTS, NAME_BYTES), dtype=np.uint8)
    names[:, 0] = ord("c")
    for column in range(NAME_BYTES - 1, 0, -1):
        names[:, column] = ord("0") + numbers % 10
        numbers = numbers // 10
    return names


def tokens() -> Bytes:
    """The 17 bytes of each identifier: kind, key epoch, and 15 bytes that look like a keyed hash."""
    table = np.empty((IDENTIFIERS, TOKEN_BYTES), dtype=np.uint8)
    for number, pool in enumerate(POOLS):
        table[_FIRST_OF_POOL[number] : _FIRST_OF_POOL[number + 1], 0] = pool.kind
    table[:, 1] = _EPOCH
    numbers = np.arange(IDENTIFIERS, dtype=np.uint64)
    table[:, 2:10] = mix(numbers, 101).view(np.uint8).reshape(-1, 8)
    table[:, 10:17] = mix(numbers, 102).view(np.uint8).reshape(-1, 8)[:, :7]
    return table


def crc32(rows: Bytes) -> Numbers:
    """CRC-32 (that of zlib) of each row."""
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(_CRC_POLYNOMIAL), table >> 1)
    found = np.full(len(rows), 0xFFFFFFFF, dtype=np.uint32)
    for column in rows.T:
        found = table[(found ^ column) & 0xFF] ^ (found >> 8)
    return (found ^ np.uint32(0xFFFFFFFF)).astype(np.int64)


def mix(numbers: Words, salt: int) -> Words:
    """splitmix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014)."""
    mixed: Words = (numbers + np.uint64(salt << 40)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
