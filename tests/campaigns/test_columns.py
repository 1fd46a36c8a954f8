"""Rows folded into arrays are those of a table folded with queries, whatever comes, is looked at and is forgotten in which order."""

from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from weaklink.campaigns import columns
from weaklink.campaigns.columns import FoldedColumns
from weaklink.campaigns.folding import Fold, FoldedTable
from weaklink.errors import WeaklinkError

SCHEMA: dict[str, Any] = {
    "account": pl.UInt64, "day": pl.Int32, "model": pl.String, "other": pl.UInt64, "name": pl.String, "first": pl.Int64, "last": pl.Int64,
    "requests": pl.Int64, "holders": pl.UInt32, "logs": pl.Float64,
}  # fmt: skip
FOLDS: dict[str, Fold] = {
    "name": "max", "first": "min", "last": "max", "requests": "sum", "holders": "max", "logs": "sum",
}  # fmt: skip
KEYS = ["account", "day", "model", "other"]
LARGE = [0, 1, 7, 127, 128, 255, 256, 2**15 - 1, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1]
"""Beside the limits of narrower types."""
ACCOUNTS = (0, 1, 2**63, 2**64 - 1)


@st.composite
def rows(draw: st.DrawFn) -> pl.DataFrame:
    def one() -> dict[str, Any]:
        account = draw(st.sampled_from(ACCOUNTS))
        time = st.one_of(st.none(), st.integers(-5, 5), st.sampled_from([sign * n for n in LARGE for sign in (-1, 1)]))
        return {
            "account": account,
            "day": draw(st.sampled_from([-1, 0, 3])),
            "model": draw(st.sampled_from(["small", "large", "medium"])),
            "other": draw(st.sampled_from([5, 2**64 - 2])),
            "name": draw(st.sampled_from([None, f"account {account}"])),
            "first": draw(time),
            "last": draw(time),
            "requests": draw(st.sampled_from(LARGE)),
            "holders": draw(st.sampled_from(LARGE)),
            "logs": float(draw(st.integers(0, 9))),  # whole, so that sums do not depend on the order
        }

    return pl.DataFrame([one() for _ in range(draw(st.integers(1, 6)))], schema=SCHEMA)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), rows()),
        st.tuples(st.just("keep"), st.integers(-5, 5)),
        st.tuples(st.just("of"), st.lists(st.sampled_from(ACCOUNTS))),
        st.tuples(st.just("replace"), st.none()),
    ),
    max_size=12,
)


@pytest.mark.parametrize("keys", [KEYS[:1], KEYS[:2], KEYS[:3], KEYS])
@settings(max_examples=25, deadline=None)
@given(steps=STEPS)
def test_rows_are_those_of_a_table_that_is_folded_with_queries(keys: list[str], steps: list[tuple[str, Any]]) -> None:
    folds = FOLDS | dict.fromkeys(KEYS[len(keys) :], "max")
    # A 32-bit maximum knows no null here, and a name that is no key goes with the key.
    folds = {name: fold for name, fold in folds.items() if name not in ("day", "model")}
    schema = {name: dtype for name, dtype in SCHEMA.items() if name in keys or name in folds}
    arrays, table = FoldedColumns(schema, keys, folds), FoldedTable(schema, keys, folds)
    for name, value in steps:
        if name == "add":
            for one in (arrays, table):
                one.add(value.select(list(schema)))
        elif name == "keep":
            for one in (arrays, table):
                one.keep(pl.col("last") >= value)
        elif name == "of":
            asked = pl.Series(value, dtype=pl.UInt64)
            assert_frame_equal(arrays.of(asked), table.of(asked))
        else:
            arrays.replace(arrays.rows())
        assert len(arrays) == table.rows().height
    assert_frame_equal(arrays.rows(), table.rows())


def test_what_was_forgotten_leaves_no_room_taken_in_the_long_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Accounts that come and go for ever need no more room than those that are there at a time."""
    monkeypatch.setattr(columns, "_GARBAGE_ROWS_MIN", 50)
    table = FoldedColumns({"account": pl.UInt64, "last": pl.Int64}, ["account"], {"last": "max"})
    for day in range(100):
        one = pl.DataFrame({"account": range(day * 10, day * 10 + 10), "last": [day] * 10}, schema=table.schema)
        table.add(one)
        table.keep(pl.col("last") >= day)
        assert table.rows().rows() == one.rows()
    assert len(table._columns["account"]) <= 100


def test_a_minimum_that_cannot_be_null_is_refused() -> None:
    with pytest.raises(WeaklinkError, match="use FoldedTable"):
        FoldedColumns({"account": pl.UInt64, "n": pl.UInt32}, ["account"], {"n": "min"})
