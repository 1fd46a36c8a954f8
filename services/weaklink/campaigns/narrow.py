"""Whole numbers in the narrowest type that holds all that a column ever held: most counts of most accounts are small, and some are always 0.

A column that may be null has the largest number of its type for null where minima are folded in, the smallest where maxima are.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from weaklink.campaigns.folding import Fold
from weaklink.campaigns.graph import Keys

_TYPES: Final[dict[str, list[np.dtype[Any]]]] = {
    "i": [np.dtype(one) for one in (np.int8, np.int16, np.int32, np.int64)],
    "u": [np.dtype(one) for one in (np.uint8, np.uint16, np.uint32, np.uint64)],
}


def _null(dtype: np.dtype[Any], fold: Fold) -> int:
    limits = np.iinfo(dtype)
    return limits.max if fold == "min" else limits.min


@dataclass(frozen=True, slots=True)
class Narrow:
    """How a column of whole numbers, of type `full` where they are looked at, is stored. `nullable`: whether null may be among them."""

    full: np.dtype[Any]
    fold: Fold
    nullable: bool

    def nothing(self, dtype: np.dtype[Any] | None = None) -> np.generic:
        """What a row holds before anything is folded into it, in this type or the narrowest."""
        dtype = dtype or _TYPES[self.full.kind][0]
        found: np.generic = dtype.type(_null(dtype, self.fold) if self.nullable else 0)
        return found

    def cast(self, stored: Keys, dtype: np.dtype[Any]) -> Keys:
        """The same numbers in another type, which holds them."""
        if stored.dtype == dtype:
            return stored
        found = stored.astype(dtype)
        if self.nullable:
            found[stored == _null(stored.dtype, self.fold)] = _null(dtype, self.fold)
        return found

    def type_for(self, values: Keys, dtype: np.dtype[Any]) -> np.dtype[Any]:
        """The narrowest type, `dtype` or a wider one, that holds these numbers, which are of type `full`."""
        known = values[values != _null(self.full, self.fold)] if self.nullable else values
        if not len(known):
            return dtype
        low, high = int(known.min()), int(known.max())
        if self.nullable:  # the number beside the one that stands for null has to fit as well
            low, high = low - (self.fold != "min"), high + (self.fold == "min")
        for wider in _TYPES[self.full.kind]:
            limits = np.iinfo(wider)
            if wider.itemsize >= dtype.itemsize and limits.min <= low and high <= limits.max:
                return wider
        return self.full
