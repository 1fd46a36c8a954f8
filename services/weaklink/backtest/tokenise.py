"""Raw identifiers to tokens under a throw-away key, by the partner SDK's own rules; each distinct value once."""

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from weaklink.backtest.table import REJECTS
from weaklink.errors import RecordError
from weaklink.partner.builder import kind_of
from weaklink.partner.tokens import Tokeniser
from weaklink.records import reasons
from weaklink.records.identifiers import IDENTIFIERS_MAX, IdentifierKind


@dataclass(frozen=True, slots=True)
class Tokenised:
    """events: the table with `identifiers` List(Binary) and `end_user` Binary. rejects: REJECTS. values: [token, value], for the report."""

    events: pl.DataFrame
    rejects: pl.DataFrame
    values: pl.DataFrame


def tokenise(table: pl.DataFrame, tokeniser: Tokeniser, advance: Callable[[int, int], None]) -> Tokenised:
    """Replace raw values by tokens. `advance` is told how many distinct values were done since the last call, of how many."""
    numbered = table.with_row_index("row")
    raw = numbered.select("row", "identifiers").explode("identifiers").drop_nulls().unnest("identifiers")
    users = numbered.filter(pl.col("end_user").is_not_null()).select(
        "row", pl.lit(IdentifierKind.END_USER.name).alias("kind"), pl.col("end_user").alias("value")
    )
    known = pl.concat([raw, users]).select("kind", "value").unique(maintain_order=True).with_row_index("number")
    made, refused = _tokens_of(known, tokeniser, advance)
    keys = ["kind", "value"]
    marked = raw.join(known, on=keys, how="left", nulls_equal=True, maintain_order="left")
    lists = (
        marked.select("row", "number")
        .join(made, on="number", maintain_order="left_right")
        .group_by("row", maintain_order=True)
        .agg(pl.col("token").unique(maintain_order=True).alias("identifiers"))
    )
    named = users.join(known, on=keys, maintain_order="left")
    users_tokens = named.join(made, on="number").select("row", pl.col("token").alias("end_user"))
    faults = pl.concat(
        [
            marked.join(refused, on="number").select("row", pl.lit("identifiers").alias("field"), "detail"),
            named.join(refused, on="number").select("row", pl.lit("end_user").alias("field"), "detail"),
        ]
    ).with_columns(pl.lit(reasons.BAD_IDENTIFIER).alias("reason"))
    crowded = lists.filter(pl.col("identifiers").list.len() > IDENTIFIERS_MAX).select(
        "row",
        pl.lit("identifiers").alias("field"),
        pl.format("{} tokens", pl.col("identifiers").list.len()).alias("detail"),
        pl.lit(reasons.TOO_MANY_IDENTIFIERS).alias("reason"),
    )
    faults = pl.concat([faults, crowded]).unique("row", keep="first", maintain_order=True)
    events = (
        numbered.drop("identifiers", "end_user")
        .join(faults.select("row"), on="row", how="anti", maintain_order="left")
        .join(lists, on="row", how="left", maintain_order="left")
        .join(users_tokens.unique("row"), on="row", how="left", maintain_order="left")
        .with_columns(pl.col("identifiers").fill_null([]))
    )
    rejects = faults.join(numbered.select("row", "file", "line"), on="row").select(REJECTS.names()).cast(REJECTS)
    values = made.join(known, on="number").select("token", "value").unique("token")
    return Tokenised(events.drop("row"), rejects, values)


def _tokens_of(
    distinct: pl.DataFrame, tokeniser: Tokeniser, advance: Callable[[int, int], None]
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """([number, token], one or more rows a value; [number, detail] of refused values, never with the value itself)."""
    numbers: list[int] = []
    tokens: list[bytes] = []
    refused: dict[int, str] = {}
    kinds: dict[str, IdentifierKind] = {}
    for number, kind, value in distinct.iter_rows():
        try:
            if kind is None or value is None:
                raise RecordError(reasons.BAD_IDENTIFIER, "an identifier needs a kind and a value", "identifiers")
            if kind not in kinds:
                kinds[kind] = kind_of(kind)
            made = tokeniser.tokens(kinds[kind], value)
            tokens.extend(made)
            numbers.extend([number] * len(made))
        except RecordError as error:
            refused[number] = error.detail
        if number % 1000 == 999:
            advance(1000, distinct.height)
    advance(distinct.height % 1000, distinct.height)
    return (
        pl.DataFrame({"number": numbers, "token": tokens}, schema={"number": pl.UInt32, "token": pl.Binary}),
        pl.DataFrame(
            {"number": list(refused), "detail": list(refused.values())},
            schema={"number": pl.UInt32, "detail": pl.String},
        ),
    )
