"""Values to events: one compiled call for all values of a party and schema reads them, and judges each by the rules."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from weaklink.ingest import decode_loops
from weaklink.ingest.events import Events, Rows
from weaklink.ingest.layout import Layout, Rule
from weaklink.records import reasons


@dataclass(frozen=True, slots=True)
class Bad:
    """Rows (numbers of values) that are rejects for one reason."""

    rows: Rows
    reason: str
    field: str
    detail: str


@dataclass(frozen=True, slots=True)
class Decoded:
    """Rows that hold a good event, and those that do not."""

    good: Rows
    bad: list[Bad]


def decode(events: Events, rows: Rows, frame_bytes: int, layout: Layout, rules: Sequence[Rule]) -> Decoded:
    """Decode these rows, whose values begin with a frame of that many bytes, into `events`, and judge them by `rules`, in their order.

    `rules` must begin with those of the layout. Never raises for what a value holds.
    """
    table = _table(rules)
    for slot, value, size in layout.missing:
        events.values[rows, slot] = value
        events.sizes[rows, slot] = size
    source, done = events.source, 0
    while True:
        done, events.items = decode_loops.decode(
            source.data, rows, source.begins, source.ends, frame_bytes, done, events.appended_us, layout.program, table, layout.symbols,
            events.values, events.sizes, events.item_begins, events.item_sizes, events.items, events.status,
        )  # fmt: skip
        if done == len(rows):
            break
        events.grow_items()
    status = events.status[rows]
    good = status == decode_loops.GOOD
    if good.all():
        return Decoded(rows, [])
    bad: list[Bad] = []
    for code in np.unique(status[status >= decode_loops.FIRST_RULE]).tolist():
        rule = rules[code - decode_loops.FIRST_RULE]
        bad.append(Bad(rows[status == code], rule.reason, rule.field, rule.detail))
    damaged = rows[status == decode_loops.DAMAGED]
    fields = events.values[damaged, 0]
    for number in np.unique(fields).tolist():
        name = layout.fields[number]
        detail = f"{name} is not what a {layout.record} of this schema has there, in canonical encoding"
        bad.append(Bad(damaged[fields == number], reasons.MALFORMED, name, detail))
    if len(left_over := rows[status == decode_loops.LEFT_OVER]):
        bad.append(Bad(left_over, reasons.TRAILING_BYTES, "", f"bytes after the {layout.record}"))
    return Decoded(rows[good], bad)


def _table(rules: Sequence[Rule]) -> npt.NDArray[np.int64]:
    return np.array([(rule.check, rule.slot, rule.a, rule.b) for rule in rules], dtype=np.int64).reshape(-1, 4)
