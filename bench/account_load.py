"""Accounts that share what households and operators share, as the frames that campaigns fold. By column, a million in seconds."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import polars as pl
from numpy.typing import NDArray

from weaklink import frames
from weaklink.frames import ACTIVITY, SHARED
from weaklink.records.identifiers import IdentifierKind as Kind

PARTIES: Final = {"lab-a": "lab", "lab-b": "lab", "lab-c": "lab", "router-a": "router", "router-b": "router"}
_BEGIN_US: Final = 1_767_225_600_000_000  # 2026-01-01
_HOUR_US: Final = 3_600_000_000
_DAYS: Final = 20
_HOUSEHOLD: Final = 3
_BLOCK: Final = 20_000
_OPERATOR: Final = 60
"""Of each block of accounts so many are an operator's, who gives each of its means to some of them."""
_OPERATOR_GROUP: Final = 6
_USAGE_PER_SECOND: Final = 20_000
_NEW_PER_SECOND: Final = 300
_BENIGN_TASKS: Final = (0.7, 0.04, 0.02, 0.04, 0.12, 0.05, 0.03)
_OPERATOR_TASKS: Final = (0.05, 0.35, 0.2, 0.2, 0.1, 0.07, 0.03)
_KINDS: Final = np.array([Kind.DEVICE, Kind.CARD, Kind.IP, Kind.PROMPT, Kind.EMAIL])
_KIND_SHARES: Final = (0.3, 0.2, 0.3, 0.18, 0.02)

Ints = NDArray[np.int64]


class Load:
    """`history`, and then a `second` after the other; the same for the same sizes."""

    def __init__(self, accounts: int, links: int) -> None:
        self._random = np.random.default_rng(accounts)
        self._accounts, self._links = accounts, links
        self._nodes = 0
        self.end_us = _BEGIN_US + _DAYS * 24 * _HOUR_US

    def history(self, chunk: int) -> Iterator[tuple[pl.DataFrame, pl.DataFrame]]:
        """(ACTIVITY, SHARED) of every account: opened, used for a few hours, and its links."""
        for first in range(0, self._accounts, chunk):
            number = np.arange(first, min(first + chunk, self._accounts))
            at_us = _BEGIN_US + self._random.integers(0, _DAYS * 24, len(number)) * _HOUR_US
            used = [self._usage(number, at_us + hour * _HOUR_US) for hour in range(3)]
            activity = pl.concat([self._opened(number, at_us), *used])
            yield activity, self._shared(number, at_us, self._links * len(number) // self._accounts)

    def second(self, now_us: int) -> tuple[pl.DataFrame, pl.DataFrame]:
        """(ACTIVITY, SHARED) of one second: usage of known accounts, and new households, some of them the operator's."""
        known = self._random.integers(0, self._accounts, _USAGE_PER_SECOND)
        new = np.arange(self._accounts, self._accounts + _NEW_PER_SECOND)
        self._accounts += _NEW_PER_SECOND
        number = np.concatenate((known, new))
        at_us = np.full(len(number), now_us)
        activity = pl.concat([self._opened(new, at_us[: len(new)]), self._usage(number, at_us)])
        return activity, self._shared(new, at_us[: len(new)], 5 * len(new))

    @staticmethod
    def _operators(number: Ints) -> NDArray[np.bool_]:
        return number % _BLOCK < _OPERATOR

    @staticmethod
    def _keys(number: Ints) -> NDArray[np.uint64]:
        """Spread as hashes are (splitmix64), and each distinct."""
        key = number.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) + np.uint64(1)
        for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
            key = (key ^ (key >> np.uint64(shift))) * np.uint64(factor)
        return key ^ (key >> np.uint64(31))

    def _rows(self, number: Ints, at_us: Ints, record: str) -> dict[str, object]:
        names = np.array(list(PARTIES))[number // 2 % len(PARTIES)]
        return {
            "account": self._keys(number),
            "party": names,
            "account_name": pl.Series(number).cast(pl.String),
            "record": [record] * len(number),
            "hour": at_us // _HOUR_US,
            "first_seen_us": at_us,
            "last_seen_us": at_us,
            "appended_at_us": at_us,
            "events": np.ones(len(number), np.int64),
        }

    def _opened(self, number: Ints, at_us: Ints) -> pl.DataFrame:
        rows = self._rows(number, at_us, "AccountOpened") | {"plan": ["TRIAL"] * len(number)}
        return _frame(rows, ACTIVITY)

    def _usage(self, number: Ints, at_us: Ints) -> pl.DataFrame:
        many, operator = len(number), self._operators(number)
        tasks = frames.TASK.categories.to_numpy()
        benign, extracting = (self._random.choice(tasks, many, p=shares) for shares in (_BENIGN_TASKS, _OPERATOR_TASKS))
        requests = np.where(operator, 40, self._random.geometric(0.1, many))
        logs = np.log(np.maximum(requests, 1))
        rows = self._rows(number, at_us, "ApiUsage") | {
            "model": ["large-4"] * many,
            "task": np.where(operator, extracting, benign),
            "windows": np.ones(many, np.int64),
            "requests": requests,
            "input_tokens": requests * 500,
            "output_tokens": requests * np.where(operator, 2_500, 500),
            "log_requests_sum": logs,
            "log_requests_sq_sum": logs**2,
        }
        return _frame(rows, ACTIVITY)

    def _shared(self, number: Ints, at_us: Ints, links: int) -> pl.DataFrame:
        """Nodes each of which the members of one household hold, or some accounts of an operator."""
        nodes = max(links // _HOUSEHOLD, 1)
        chosen = self._random.integers(0, len(number), nodes)
        operator = self._operators(number[chosen])
        holders = np.where(operator, _OPERATOR_GROUP, _HOUSEHOLD)
        group = number[chosen] // _BLOCK * _BLOCK + self._random.integers(0, _OPERATOR - _OPERATOR_GROUP, nodes)
        first = np.where(operator, group, number[chosen] // _HOUSEHOLD * _HOUSEHOLD)
        node = np.repeat(np.arange(self._nodes, self._nodes + nodes), holders)
        account = np.repeat(first, holders) + np.arange(len(node)) - np.repeat(np.cumsum(holders) - holders, holders)
        self._nodes += nodes
        kind = np.repeat(self._random.choice(_KINDS, nodes, p=_KIND_SHARES), holders)
        at = np.repeat(at_us[chosen], holders)
        rows: dict[str, object] = {
            "identifier": self._keys(node + (1 << 40)),
            "tail": self._keys(node + (1 << 41)),
            "kind": kind,
            "epoch": np.ones(len(node), np.int64),
            "slot": np.zeros(len(node), np.int64),
            "account": self._keys(account),
            "first_seen_us": at,
            "last_seen_us": at,
            "appended_at_us": at,
            "mentions": np.ones(len(node), np.int64),
            "requests": np.ones(len(node), np.int64),
            "holders": np.repeat(holders, holders),
        }
        return _frame(rows, SHARED)


def _frame(columns: dict[str, object], schema: pl.Schema) -> pl.DataFrame:
    """These columns as the schema has them; those that are not given are null, numbers 0."""
    frame = pl.DataFrame(columns)
    zero = {name: pl.lit(0, dtype) for name, dtype in schema.items() if dtype.is_numeric() and name != "released_at_us"}
    return frame.select(
        (pl.col(name) if name in columns else zero.get(name, pl.lit(None))).cast(dtype).alias(name)
        for name, dtype in schema.items()
    )
