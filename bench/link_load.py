"""Links by number, for what correlate alone is measured with: as many as one likes, the same ones whenever they are asked for, and what is right about them.

Every second link (by a hash of its number) brings an identifier of its own; the others use the one that a link before them would have
brought, drawn over all of those. So the share of links that are shared stays the same however many there are. No account has two links.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import polars as pl

from bench.world import Numbers, Words
from weaklink.frames import LINKS, to_chunk
from weaklink.records.identifiers import IdentifierKind

_PERIOD_US: Final = 6 * 3_600_000_000
BEGIN_US: Final = 1_790_000_000_000_000 // _PERIOD_US * _PERIOD_US
"""Of the first use: where a refresh period begins, so that no link is said again for having been used in another one."""
_LATER_US: Final = 3_600_000_000
_SLAB: Final = 5_000_000


def mix(numbers: Numbers, salt: int) -> Words:
    """splitmix64 of each number."""
    mixed: Words = (numbers.astype(np.uint64) + np.uint64(salt << 40)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def sources(numbers: Numbers) -> Numbers:
    """Of each link: the number of the link whose identifier it uses, which is its own or an earlier one."""
    drawn = mix(numbers, 4)
    earlier = (mix(numbers, 5) % np.maximum(numbers, 1).astype(np.uint64)).astype(np.int64)
    return np.where((drawn & np.uint64(1) == 0) | (numbers == 0), numbers, earlier)


def links(numbers: Numbers, used_us: int = 0) -> pl.DataFrame:
    """These links (LINKS), each used once, so long after `BEGIN_US`."""
    count, seeds = len(numbers), sources(numbers)
    identifier = mix(seeds, 1)
    times = np.full(count, BEGIN_US + used_us)
    return pl.DataFrame(
        {
            "identifier": identifier,
            "tail": mix(seeds, 2) << np.uint64(8) | identifier >> np.uint64(56),
            "kind": np.full(count, int(IdentifierKind.CARD), dtype=np.uint8),
            "epoch": np.ones(count, dtype=np.uint8),
            "slot": np.zeros(count, dtype=np.uint16),
            "account": mix(numbers, 3),
            "first_seen_us": times + numbers % 1_000_000,
            "last_seen_us": times + numbers % 1_000_000,
            "appended_at_us": times,
            "mentions": np.ones(count, dtype=np.uint32),
            "requests": numbers % 50,
        },
        schema=LINKS,
    )


def message(stored: int, new: int, again: int, random: np.random.Generator) -> bytes:
    """A message of links as ingest sends it: the next `new` ones, and `again` of the `stored` ones, used later."""
    frames = [links(np.arange(stored, stored + new))]
    if again:
        frames.append(links(np.unique(random.integers(0, stored, again)), _LATER_US))
    return to_chunk(pl.concat(frames))


@dataclass(frozen=True)
class Members:
    """Members that were said: how many, and the sum and the exclusive or of their account keys."""

    count: int = 0
    total: int = 0
    parity: int = 0

    def plus(self, accounts: Words) -> "Members":
        """With those of a frame."""
        total = (self.total + int(accounts.sum(dtype=np.uint64))) % 2**64
        return Members(self.count + len(accounts), total, self.parity ^ int(np.bitwise_xor.reduce(accounts)))


def members(stored: int) -> Members:
    """Who shares an identifier among the first so many links, counted without any engine."""
    seeds = np.concatenate([sources(np.arange(at, min(at + _SLAB, stored))) for at in range(0, stored, _SLAB)])
    shared = np.bincount(seeds, minlength=stored)[seeds] >= 2
    found = Members()
    for at in range(0, stored, _SLAB):
        found = found.plus(mix(np.flatnonzero(shared[at : at + _SLAB]) + at, 3))
    return found
