"""Values to events: one compiled call for all values of a party and schema reads them, and judges each by the rules. What it cannot read, fastavro explains."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from weaklink.errors import RecordError
from weaklink.ingest import decode_loops, slow
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
    """Rows that hold a good event, those that do not, and how many had to be explained one by one."""

    good: Rows
    bad: list[Bad]
    slow_rows: int


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
        return Decoded(rows, [], 0)
    bad: list[Bad] = []
    for code in np.unique(status[status >= decode_loops.FIRST_RULE]).tolist():
        rule = rules[code - decode_loops.FIRST_RULE]
        bad.append(Bad(rows[status == code], rule.reason, rule.field, rule.detail))
    damaged = rows[(status == decode_loops.DAMAGED) | (status == decode_loops.LEFT_OVER)]
    bad += [_explain(events, row, frame_bytes, layout) for row in damaged.tolist()]
    return Decoded(rows[good], bad, len(damaged))


def _table(rules: Sequence[Rule]) -> npt.NDArray[np.int64]:
    return np.array([(rule.check, rule.slot, rule.a, rule.b) for rule in rules], dtype=np.int64).reshape(-1, 4)


def _explain(events: Events, row: int, frame_bytes: int, layout: Layout) -> Bad:
    """fastavro says what is wrong with a value. It takes a few things that the compiled reader does not: those are not in canonical encoding."""
    reason, field, detail = reasons.MALFORMED, "", f"not a {layout.record} in canonical encoding"
    try:
        slow.decode_body(layout, (events.source.value(row) or b"")[frame_bytes:])
    except RecordError as error:
        reason, field, detail = error.reason, error.field or "", error.detail
    return Bad(np.array([row]), reason, field, detail)
