"""What is right: distinct accounts of each identifier, calculated from the world's numbers by sorting them. Shares nothing with any engine."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np

from bench.world import IDENTIFIERS, Numbers, World

SHARED_MIN: Final = 5
CAP: Final = 1_000
ACCOUNT_BITS: Final = 32


@dataclass(frozen=True)
class Truth:
    """`pairs`: every (identifier << 32 | account) once, ascending."""

    pairs: Numbers

    @cached_property
    def identifiers(self) -> Numbers:
        """Identifier of each pair."""
        return self.pairs >> ACCOUNT_BITS

    @cached_property
    def holders(self) -> Numbers:
        """Distinct accounts of every identifier, by its number."""
        return np.bincount(self.identifiers, minlength=IDENTIFIERS)

    @cached_property
    def shared(self) -> Numbers:
        """Numbers of the identifiers that enough accounts hold."""
        return np.flatnonzero(self.holders >= SHARED_MIN)

    @cached_property
    def shared_pairs(self) -> Numbers:
        """Pairs of shared identifiers."""
        return self.pairs[self.holders[self.identifiers] >= SHARED_MIN]

    def members_required(self, account_keys: np.ndarray[tuple[int, ...], np.dtype[np.uint64]]) -> Numbers:
        """Pairs that an engine must have said which says each member: all of a shared identifier, and of one above the cap those with the smallest keys."""
        identifiers = self.shared_pairs >> ACCOUNT_BITS
        keys = account_keys[self.shared_pairs & ((1 << ACCOUNT_BITS) - 1)]
        order = np.lexsort((keys, identifiers))
        begins = np.concatenate(([0], np.cumsum(self.holders[self.shared])))[:-1]
        rank = np.arange(len(order)) - np.repeat(begins, self.holders[self.shared])
        return np.sort(self.shared_pairs[order[rank < CAP]])


def make_truth(world: World) -> Truth:
    """The pairs of a world."""
    every = (world.identifiers << ACCOUNT_BITS) | world.accounts[:, None]
    return Truth(np.unique(every[world.identifiers >= 0]))
