"""Ordinary customers for the load: who they are, what they show, how they use models. By column; the same numbers give the same events.

Households of two share addresses, a few of them a device or a card, and prompt templates are popular ones or one's own: what honest customers share, so
that the pipeline has to weigh it. Popularity of accounts is Zipf 1.2, as in the benchmark's job.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.encode import EVENT_ID_BYTES, one_byte, same, times, two_bytes
from bench.load.wire import Bools, Bytes
from bench.world import Numbers, crc32, mix
from weaklink.parties import Party, PartyKind
from weaklink.records.codec import SINGLE_OBJECT_MARKER
from weaklink.records.identifiers import TOKEN_BYTES, IdentifierKind
from weaklink.records.schemas import latest

PARTIES: Final = tuple(
    Party(id=name, kind=kind, events_partitions=4)
    for name, kind in (*((f"lab-{one}", PartyKind.LAB) for one in "abc"), *((f"router-{one}", PartyKind.ROUTER) for one in "ab"))
)  # fmt: skip
ACCOUNTS: Final = 200_000
"""Numbers below are ordinary customers'; account n is one of party n % 5."""
NAME_BYTES: Final = 8
ZIPF_EXPONENT: Final = 1.2
EPOCH: Final = 1
_HOUSEHOLD: Final = 10
"""Of each ten accounts n and n + 5, customers of one party, are a household."""
_SHARED_DEVICE: Final = 0.12
_SHARED_CARD: Final = 0.25
_POPULAR_TEMPLATES: Final = 3_000
_POPULAR_SHARE: Final = 0.25
_CARD_SHARE: Final = 0.3
_TASK_SHARES: Final = (0.7, 0.04, 0.02, 0.04, 0.12, 0.05, 0.03)
_WINDOW_SECONDS: Final = 60
_MODEL: Final = b"large-4"
_ADDRESS_CLASSES: Final = 6
_PLANS: Final = 3  # FREE, TRIAL, PAID


@dataclass(frozen=True, slots=True)
class Encoded:
    """Events as rows of equal width. `party`, `partition` (n); `keys` (n, 8); `values` (n, v), of whose bytes those `present` are there."""

    party: Numbers
    partition: Numbers
    keys: Bytes
    values: Bytes
    present: Bools

    def __len__(self) -> int:
        return len(self.party)


class People:
    """The same seed gives the same customers in the same order of popularity."""

    def __init__(self, seed: int = 1, accounts: int = ACCOUNTS) -> None:
        self._random = np.random.default_rng(seed)
        self.accounts = accounts
        weights = np.arange(1, accounts + 1, dtype=np.float64) ** -ZIPF_EXPONENT
        self._bounds = np.cumsum(weights) / weights.sum()
        self._ranked = np.random.default_rng([seed, 1]).permutation(accounts)

    def drawn(self, count: int) -> Numbers:
        """Who the next so many events are of."""
        ranks = np.searchsorted(self._bounds, self._random.random(count))
        return self._ranked[np.minimum(ranks, self.accounts - 1)].astype(np.int64)

    def opened(self, accounts: Numbers, occurred_us: Numbers, serials: Numbers) -> Encoded:
        """AccountOpened of each account. `serials`: numbers unique in a run, from which event ids are made."""
        plan = (2 * (accounts % _PLANS)).astype(np.uint8)[:, None]
        end = np.concatenate([plan, same(one_byte(1) + one_byte(1) + one_byte(0), len(accounts))], axis=1)
        return self._encode("AccountOpened", accounts, occurred_us, serials, end)

    def used(self, accounts: Numbers, occurred_us: Numbers, serials: Numbers) -> Encoded:
        """ApiUsage of each account: a minute of it."""
        random, many = self._random, len(accounts)
        task = np.searchsorted(np.cumsum(_TASK_SHARES)[:-1], random.random(many)).astype(np.uint8)[:, None]
        requests = np.clip(random.lognormal(1.2, 0.85, many), 1, 60).astype(np.int64)
        tokens_in = np.clip(requests * 40, 64, 8000)
        tokens_out = np.clip((tokens_in * random.lognormal(-0.5, 0.6, many)).astype(np.int64), 64, 8000)
        end = np.concatenate(
            [
                same(one_byte(_WINDOW_SECONDS % 64) + one_byte(len(_MODEL)) + _MODEL, many),
                2 * task,
                (2 * requests).astype(np.uint8)[:, None],
                two_bytes(tokens_in),
                two_bytes(tokens_out),
                same(one_byte(0), many),  # end_user: null
                (2 * (accounts % _ADDRESS_CLASSES % 2)).astype(np.uint8)[:, None],
            ],
            axis=1,
        )
        return self._encode("ApiUsage", accounts, occurred_us, serials, end)

    def _encode(self, record: str, accounts: Numbers, occurred_us: Numbers, serials: Numbers, end: Bytes) -> Encoded:
        many = len(accounts)
        names = account_names(accounts)
        four = self._random.random(many) < _CARD_SHARE
        party = accounts % len(PARTIES)
        parts: list[Bytes] = [
            same(SINGLE_OBJECT_MARKER + latest(record).fingerprint, many),
            same(one_byte(EVENT_ID_BYTES), many),
            event_ids(serials),
            times(occurred_us),
            same(one_byte(NAME_BYTES), many),
            names,
            (2 * (3 + four))[:, None].astype(np.uint8),
        ]
        for kind, numbers in self._shown(accounts, four):
            parts += [same(one_byte(TOKEN_BYTES), many), tokens(kind, numbers)]
        fourth_end = sum(part.shape[1] for part in parts)
        parts += [same(b"\x00", many), end]
        values = np.concatenate(parts, axis=1)
        present = np.ones(values.shape, dtype=np.bool_)
        present[~four, fourth_end - 1 - TOKEN_BYTES : fourth_end] = False
        return Encoded(party, partitions(names, PARTIES[0].events_partitions), names, values, present)

    def _shown(self, accounts: Numbers, four: Bools) -> Sequence[tuple[IdentifierKind, Numbers]]:
        """The identifiers of each event, a column after the other; the last is there only where there are `four`."""
        home = accounts // _HOUSEHOLD * _HOUSEHOLD + accounts % (_HOUSEHOLD // 2)
        share = mix(home.astype(np.uint64), 7).astype(np.float64) / 2.0**64
        device = np.where(share < _SHARED_DEVICE, home, accounts)
        card = np.where(share > 1 - _SHARED_CARD, home, accounts)
        popular = mix(accounts.astype(np.uint64), 8).astype(np.float64) / 2.0**64
        template = np.where(
            popular < _POPULAR_SHARE, accounts * 7919 % _POPULAR_TEMPLATES, _POPULAR_TEMPLATES + accounts
        )
        address = 2 * home + self._random.integers(0, 2, len(accounts))
        return (
            (IdentifierKind.IP, address),
            (IdentifierKind.DEVICE, device),
            (IdentifierKind.PROMPT, template),
            (IdentifierKind.CARD, card),
        )


def account_names(accounts: Numbers) -> Bytes:
    """The name of each account, 8 ASCII characters: c0000000 and so on."""
    names, numbers = np.empty((len(accounts), NAME_BYTES), dtype=np.uint8), accounts
    names[:, 0] = ord("c")
    for column in range(NAME_BYTES - 1, 0, -1):
        names[:, column] = ord("0") + numbers % 10
        numbers = numbers // 10
    return names


def partitions(keys: Bytes, many: int) -> Numbers:
    """Partition of each key: its CRC-32, as librdkafka's default partitioner takes it."""
    return crc32(keys) % many


def tokens(kind: IdentifierKind, numbers: Numbers) -> Bytes:
    """The 17 bytes of each identifier: kind, key epoch, and 15 bytes that look like a keyed hash."""
    table, unsigned = np.empty((len(numbers), TOKEN_BYTES), dtype=np.uint8), numbers.astype(np.uint64)
    table[:, 0], table[:, 1] = kind, EPOCH
    table[:, 2:10] = mix(unsigned, 101 + kind).view(np.uint8).reshape(-1, 8)
    table[:, 10:17] = mix(unsigned, 201 + kind).view(np.uint8).reshape(-1, 8)[:, :7]
    return table


def event_ids(serials: Numbers) -> Bytes:
    """16 bytes each."""
    return np.stack([serials, serials ^ 0x5DEECE66D], axis=1).astype(">i8").view(np.uint8).reshape(-1, EVENT_ID_BYTES)
