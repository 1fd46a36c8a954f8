"""Sorted keys and growing columns: how state that is evaluated in parts finds its rows, without a Python object per row."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from weaklink.campaigns import key_loops
from weaklink.campaigns.graph import Bools, Ints, Keys, ranges
from weaklink.compiled import Halves

_LOW_BITS: Final = 32
_FEW_KEYS: Final = 1 << 18
"""Fewer lie in the processor's cache. Among more, keys are looked for in ascending order: each is near the last one in memory."""
_RECENT_MIN: Final = 4096
_RECENT_SHARE: Final = 32
"""The small layer of `LayeredKeys` holds at most this many keys, or the inverse of this share of the large one's."""


class LayeredKeys:
    """A sorted set of integer keys in two layers: what came last moves the small one only, which goes into the other when it has grown.

    Inserting some keys thus costs what these and the small layer are many, and now and then a pass over all of them.
    """

    def __init__(self, dtype: npt.DTypeLike = np.int64) -> None:
        self.keys: Keys = np.zeros(0, dtype)
        self.recent: Keys = np.zeros(0, dtype)

    def __len__(self) -> int:
        return len(self.keys) + len(self.recent)

    @property
    def layers(self) -> tuple[Keys, Keys]:
        """Both, as the loops take them."""
        return self.keys, self.recent

    def fill(self, keys: Keys) -> None:
        """Become these keys, sorted and distinct."""
        self.keys, self.recent = keys, keys[:0]

    def has(self, keys: Keys) -> Bools:
        """Whether each key is there."""
        there: Bools = (_places(self.keys, keys) >= 0) | (_places(self.recent, keys) >= 0)
        return there

    def insert(self, keys: Keys) -> None:
        """Add keys that are sorted, distinct and not there yet."""
        self.recent = inserted(self.recent, np.searchsorted(self.recent, keys), keys)
        if self._full():
            self.fill(inserted(self.keys, np.searchsorted(self.keys, self.recent), self.recent))

    def _full(self) -> bool:
        return len(self.recent) > max(_RECENT_MIN, len(self.keys) // _RECENT_SHARE)


class LayeredIndex(LayeredKeys):
    """Layered keys with a number of 32 bits each: 0, 1, ... in the order in which they came, ascending among those that came together.

    Numbers of keys that go (`forget`) are not given again; `given` is how many were.
    """

    def __init__(self, dtype: npt.DTypeLike = np.int64) -> None:
        super().__init__(dtype)
        self.numbers: Halves = np.zeros(0, np.int32)
        self.recent_numbers: Halves = np.zeros(0, np.int32)
        self.given = 0

    @property
    def layers_of_numbers(self) -> tuple[Halves, Halves]:
        """Numbers of the keys in `layers`."""
        return self.numbers, self.recent_numbers

    def fill(self, keys: Keys) -> None:
        """Become these keys, sorted and distinct, in their order."""
        super().fill(keys)
        self.numbers, self.recent_numbers = np.arange(len(keys), dtype=np.int32), np.zeros(0, np.int32)
        self.given = len(keys)

    def find(self, keys: Keys) -> Ints:
        """Number of each key; -1: not there."""
        if len(self) < _FEW_KEYS:
            return self._found(keys)
        distinct, row = np.unique(keys, return_inverse=True)
        return self._found(distinct)[row.reshape(-1)]

    def add(self, keys: Keys) -> Ints:
        """Number of each key, after those that are not there have been added."""
        found = self.find(keys)
        missing = np.flatnonzero(found < 0)
        if len(missing) == 0:
            return found
        new, row = np.unique(keys[missing], return_inverse=True)
        numbers = np.arange(self.given, self.given + len(new), dtype=np.int32)
        at = np.searchsorted(self.recent, new)
        self.recent_numbers = key_loops.inserted(self.recent_numbers, at, numbers)
        self.recent = inserted(self.recent, at, new)
        self.given += len(new)
        found[missing] = numbers[row.reshape(-1)]
        if self._full():
            self._merge()
        return found

    def _found(self, keys: Keys) -> Ints:
        found = np.full(len(keys), -1, np.int64)
        for layer, numbers in zip(self.layers, self.layers_of_numbers, strict=True):
            place = _places(layer, keys)
            there = np.flatnonzero(place >= 0)
            found[there] = numbers[place[there]]
        return found

    def in_order(self) -> Halves:
        """Numbers of all keys, in the order of the keys."""
        self._merge()
        return self.numbers

    def between(self, low: Keys, high: Keys) -> Ints:
        """Numbers of the keys in any of these [low, high), which do not overlap; in any order."""
        found = []
        for layer, numbers in zip(self.layers, self.layers_of_numbers, strict=True):
            first = np.searchsorted(layer, low).astype(np.int64)
            found.append(numbers[ranges(first, np.searchsorted(layer, high).astype(np.int64) - first)])
        return np.concatenate(found).astype(np.int64)

    def forget(self, gone: Bools) -> None:
        """Drop the keys whose numbers are marked."""
        self._merge()
        kept = ~gone[self.numbers]
        self.keys, self.numbers = self.keys[kept], self.numbers[kept]

    def _merge(self) -> None:
        at = np.searchsorted(self.keys, self.recent)
        self.numbers = key_loops.inserted(self.numbers, at, self.recent_numbers)
        self.recent_numbers = self.numbers[:0]
        self.keys, self.recent = inserted(self.keys, at, self.recent), self.recent[:0]


class CompositeKeys:
    """Numbers for keys of several integer columns. Each prefix of a key has a number too, by which all rows of a first key are found."""

    def __init__(self, dtypes: Sequence[Any]) -> None:
        self._wide: Final = [LayeredIndex(dtype) if np.dtype(dtype).itemsize > 4 else None for dtype in dtypes]
        self._levels: Final = [LayeredIndex() for _ in dtypes[1:]]
        last = self._levels[-1] if self._levels else self._wide[0]
        assert last is not None
        self.rows: Final = last

    def add(self, keys: Sequence[Keys]) -> Ints:
        """Number of each key, after those that are not there have been added."""
        number = self._code(0, keys[0])
        for place, level in enumerate(self._levels, 1):
            number = level.add(number << _LOW_BITS | self._code(place, keys[place]))
        return number

    def _code(self, place: int, keys: Keys) -> Ints:
        index = self._wide[place]
        return keys.astype(np.int64) & (1 << _LOW_BITS) - 1 if index is None else index.add(keys)

    def of(self, first: Keys) -> Ints:
        """Numbers of all keys that begin with one of these, which are distinct."""
        index = self._wide[0]
        assert index is not None
        number = index.find(first)
        number = number[number >= 0]
        for level in self._levels:
            low = number << _LOW_BITS
            number = level.between(low, low + (1 << _LOW_BITS))
        return number


def _places(sorted_keys: Keys, keys: Keys) -> Ints:
    """Where each key stands among sorted ones; -1: it does not."""
    if len(sorted_keys) == 0:
        return np.full(len(keys), -1, np.int64)
    at = np.searchsorted(sorted_keys, keys)
    at[at == len(sorted_keys)] = 0
    return np.where(sorted_keys[at] == keys, at, -1)


def inserted(keys: Keys, at: Ints, new: Keys) -> Keys:
    """np.insert of 64-bit numbers at ascending places."""
    found: Keys = key_loops.inserted(keys.view(np.int64), at, new.view(np.int64)).view(keys.dtype)
    return found


class Columns:
    """Arrays of one length that grow together; a row that was never written holds its column's default.

    What is kept for rows to come is not written to before they come, so that it takes no memory.
    """

    def __init__(self, defaults: Mapping[str, Any]) -> None:
        self._defaults: Final = dict(defaults)
        self._arrays: dict[str, Keys] = {
            name: np.empty(64, np.asarray(value).dtype) for name, value in defaults.items()
        }
        self._length = 0

    def grow(self, length: int) -> None:
        """Have at least so many rows."""
        before, self._length = self._length, max(self._length, length)
        for name, array in self._arrays.items():
            if length > len(array):
                larger = np.empty(max(length, 2 * len(array)), array.dtype)
                larger[:before] = array[:before]
                self._arrays[name] = larger
            self._arrays[name][before:length] = self._defaults[name]

    def convert(self, name: str, column: Keys, default: Any) -> None:
        """Hold these numbers in place of a column, which may be of another type, and this default from now on."""
        self._arrays[name] = np.empty(len(self._arrays[name]), column.dtype)
        self._arrays[name][: self._length] = column
        self._defaults[name] = default

    def __getitem__(self, name: str) -> Keys:
        """A view of one column: writing to it writes to the column."""
        return self._arrays[name][: self._length]
