"""Few events of each of many parties as one: a frame costs as much for one event as for a thousand, and hundreds of parties send one at a time.

Joined is only what has been decoded, checked and accepted, party by party: what one of them sends still cannot reach the events of another.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from weaklink.account_keys import keyer
from weaklink.ingest.accounts import Accounts
from weaklink.ingest.events import Events, Rows
from weaklink.ingest.outcome import Accepted

JOINED_ROWS_MAX: Final = 64
_JOINED_BYTES_MAX: Final = 1 << 16
"""Accepted events of a party and record that are joined with those of others, and bytes that they lie in; more are folded by themselves, since joining
copies them."""

Part = tuple[str, Accepted]
"""Party, and its events."""


def are_few(accepted: Accepted) -> bool:
    """Whether these events are better joined with those of other parties."""
    return len(accepted.rows) <= JOINED_ROWS_MAX and len(accepted.events.data) <= _JOINED_BYTES_MAX


def joined(parts: Sequence[Part]) -> Accepted:
    """Events of one record, part after part, their bytes copied together."""
    layout = parts[0][1].layout
    events = Events.joined([(one.events, one.rows) for _, one in parts], layout)
    partitions, offsets = (
        np.concatenate([getattr(one, name) for _, one in parts]) for name in ("partitions", "offsets")
    )
    return Accepted(layout, events, np.arange(len(offsets)), partitions, offsets)


def accounts_of(parts: Sequence[Part], accepted: Accepted) -> Accounts:
    """Their accounts, of which two are one when party and key are; `accepted` is what `joined` made of the parts."""
    events, rows = accepted.events, accepted.rows
    party = np.repeat(np.arange(len(parts)), [len(one.rows) for _, one in parts])
    keyers = [keyer(name) for name, _ in parts]
    begins, sizes = events.texts(accepted.layout, "account", rows)
    content = events.data.tobytes()
    names = [content[begin : begin + size] for begin, size in zip(begins.tolist(), sizes.tolist(), strict=True)]
    keys = np.array(
        [keyers[of](name) for name, of in zip(names, party.tolist(), strict=True)],
        dtype=np.uint64,
    )
    number, first = _numbered(party, keys)
    return Accounts(
        number,
        names=pl.Series("account", [names[row].decode() for row in first.tolist()], dtype=pl.String),
        hashes=pl.Series("account", keys[first]),
        parties=pl.Series("party", [parts[of][0] for of in party[first].tolist()], dtype=pl.String),
    )


def _numbered(party: Rows, keys: np.ndarray[tuple[int], np.dtype[np.uint64]]) -> tuple[Rows, Rows]:
    """Numbers of the distinct pairs, and a row of each."""
    order = np.lexsort((keys, party))
    new = np.ones(len(order), dtype=np.bool_)
    new[1:] = (party[order][1:] != party[order][:-1]) | (keys[order][1:] != keys[order][:-1])
    number = np.empty(len(order), dtype=np.int64)
    number[order] = np.cumsum(new) - 1
    return number, order[new]
