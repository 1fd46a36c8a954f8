"""What goes wrong at real parties: an event sent twice, an event that is none. Seeded, so that a run can be repeated."""

from collections.abc import Callable, Iterator
from typing import Any, Final

import numpy as np

from weaklink.records.identifiers import TOKEN_BYTES, IdentifierKind

_DUPLICATE_SHARE: Final = 1 / 1500
_BAD_SHARE: Final = 1 / 3000

Values = dict[str, Any]


def _short_token(values: Values) -> Values:
    return {**values, "identifiers": [bytes((IdentifierKind.IP, 1, 2, 3))]}


def _unknown_kind(values: Values) -> Values:
    return {**values, "identifiers": [b"\xee" * TOKEN_BYTES]}


def _negative(values: Values) -> Values:
    return {**values, "requests": -5} if "requests" in values else {**values, "account": ""}


def _no_account(values: Values) -> Values:
    return {**values, "account": ""}


def _short_id(values: Values) -> Values:
    return {**values, "event_id": b"short"}


_DAMAGES: Final[tuple[Callable[[Values], Values], ...]] = (
    _short_token,
    _unknown_kind,
    _negative,
    _no_account,
    _short_id,
)


class Faults:
    """Adds a few repeats and a few damaged copies to a stream of records; every genuine one still goes out."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng([seed, 8])
        self.duplicates = 0
        self.damaged = 0

    def around(self, party: int, record: str, values: Values) -> Iterator[tuple[int, str, Values]]:
        """The record itself, and now and then what should not have been sent."""
        yield party, record, values
        drawn = self._random.random()
        if drawn < _DUPLICATE_SHARE:
            self.duplicates += 1
            yield party, record, values
        elif drawn < _DUPLICATE_SHARE + _BAD_SHARE and "account" in values:
            self.damaged += 1
            damage = _DAMAGES[int(self._random.integers(len(_DAMAGES)))]
            fresh = {**values, "event_id": bytes(self._random.bytes(16))}
            yield party, record, damage(fresh)
