"""Sorted keys and growing columns: how state that is evaluated in parts finds its rows, without a Python object per row."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from weaklink.campaigns import live_loops
from weaklink.campaigns.compiled import Halves
from weaklink.campaigns.graph import Bools, Ints, Keys, ranges

_LOW_BITS: Final = 32
_FEW_KEYS: Final = 1 << 18
"""Fewer lie in the processor's cache. Among more, keys are looked for in ascending order: each is near the last one in memory."""


class SortedKeys:
    """A sorted set of integer keys. New ones are inserted in one pass over memory: 100 MB/ms, so tens of millions are no matter."""

    def __init__(self, dtype: npt.DTypeLike = np.int64) -> None:
        self.keys: Keys = np.zeros(0, dtype)

    def __len__(self) -> int:
        return len(self.keys)

    def has(self, keys: Keys) -> Bools:
        """Whether each key is there."""
        if len(self.keys) == 0:
            return np.zeros(len(keys), bool)
        at = np.searchsorted(self.keys, keys)
        at[at == len(self.keys)] = 0
        there: Bools = self.keys[at] == keys
        return there

    def insert(self, keys: Keys) -> None:
        """Add keys that are sorted, distinct and not there yet."""
        if len(keys):
            self.keys = inserted(self.keys, np.searchsorted(self.keys, keys), keys)

    def between(self, low: Keys, high: Keys) -> tuple[Ints, Ints]:
        """(positions of the keys in each [low, high), one after the other; how many in each)."""
        first = np.searchsorted(self.keys, low).astype(np.int64)
        many = np.searchsorted(self.keys, high).astype(np.int64) - first
        return ranges(first, many), many


class KeyIndex(SortedKeys):
    """Sorted keys with a number of 32 bits each: 0, 1, ... in the order in which they came, ascending among those that came together."""

    def __init__(self, dtype: npt.DTypeLike = np.int64) -> None:
        super().__init__(dtype)
        self.numbers: Halves = np.zeros(0, np.int32)

    def fill(self, keys: Keys) -> None:
        """Become these keys, sorted and distinct, in their order."""
        self.keys, self.numbers = keys, np.arange(len(keys), dtype=np.int32)

    def find(self, keys: Keys) -> Ints:
        """Number of each key; -1: not there."""
        if len(self.keys) < _FEW_KEYS:
            return self._found(keys)[0]
        distinct, row = np.unique(keys, return_inverse=True)
        return self._found(distinct)[0][row.reshape(-1)]

    def add(self, keys: Keys) -> Ints:
        """Number of each key, after those that are not there have been added."""
        distinct, row = np.unique(keys, return_inverse=True)
        number, at = self._found(distinct)
        new = np.flatnonzero(number < 0)
        if len(new):
            first = self._next()
            self._number(at[new], distinct[new], first)
            number[new] = np.arange(first, first + len(new))
        return number[row.reshape(-1)]

    def _found(self, keys: Keys) -> tuple[Ints, Ints]:
        """(number of each key, -1: not there; where it is or belongs)."""
        at = np.searchsorted(self.keys, keys)
        number = np.full(len(keys), -1, np.int64)
        there = np.flatnonzero(at < len(self.keys))
        there = there[self.keys[at[there]] == keys[there]]
        number[there] = self.numbers[at[there]]
        return number, at

    def _next(self) -> int:
        """The next number to be given."""
        return len(self.keys)

    def _number(self, at: Ints, new: Keys, first: int) -> None:
        """Insert new keys, sorted, and number them from `first`."""
        numbers = np.arange(first, first + len(new), dtype=np.int32)
        self.numbers = live_loops.inserted_halves(self.numbers, at, numbers)
        self.keys = inserted(self.keys, at, new)


class LastingIndex(KeyIndex):
    """A KeyIndex from which keys may go; their numbers are not given again."""

    def __init__(self, dtype: Any = np.int64) -> None:
        super().__init__(dtype)
        self.given = 0

    def _next(self) -> int:
        return self.given

    def _number(self, at: Ints, new: Keys, first: int) -> None:
        super()._number(at, new, first)
        self.given = first + len(new)

    def forget(self, gone: Bools) -> None:
        """Let the keys go whose numbers are marked."""
        kept = ~gone[self.numbers]
        self.keys, self.numbers = self.keys[kept], self.numbers[kept]


class CompositeKeys:
    """Numbers for keys of several integer columns. Each prefix of a key has a number too, by which all rows of a first key are found."""

    def __init__(self, dtypes: Sequence[Any]) -> None:
        self._wide: Final = [LastingIndex(dtype) if np.dtype(dtype).itemsize > 4 else None for dtype in dtypes]
        self._levels: Final = [LastingIndex() for _ in dtypes[1:]]
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
            number = level.numbers[level.between(low, low + (1 << _LOW_BITS))[0]].astype(np.int64)
        return number


def inserted(keys: Keys, at: Ints, new: Keys) -> Keys:
    """np.insert of 64-bit numbers at ascending places."""
    found: Keys = live_loops.inserted(keys.view(np.int64), at, new.view(np.int64)).view(keys.dtype)
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
