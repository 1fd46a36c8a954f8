"""Rows of a world to records as parties publish them, through the partner SDK."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import polars as pl

from weaklink.partner.tokens import Tokeniser
from weaklink.records.identifiers import IdentifierKind
from weaklink.records.schemas import EVENT_RECORDS, latest
from weaklink.sim.tables import Accounts
from weaklink.sim.vocabulary import Vocabulary

_RENAMED: Final = {"occurred_at": "occurred_at_us", "released_at": "released_at_us"}
_FIELDS: Final = {
    record: [field["name"] for field in latest(record).json["fields"] if field["name"] != "event_id"]
    for record in EVENT_RECORDS
}


class TokenTable:
    """Tokens of a vocabulary's identifiers, made once each, and back."""

    def __init__(self, vocabulary: Vocabulary, tokeniser: Tokeniser) -> None:
        self._vocabulary, self._tokeniser = vocabulary, tokeniser
        self._tokens: dict[int, tuple[bytes, ...]] = {}
        self._numbers: dict[bytes, int] = {}

    def tokens(self, number: int) -> tuple[bytes, ...]:
        """The tokens of one identifier: several for a prompt."""
        found = self._tokens.get(number)
        if found is None:
            kind, value = self._vocabulary.raw(number)
            found = self._tokens[number] = self._tokeniser.tokens(IdentifierKind[kind], value)
            self._numbers.update(dict.fromkeys(found, number))
        return found

    def number(self, token: bytes) -> int | None:
        """The identifier behind a token that was published before; None for any other."""
        return self._numbers.get(token)


class EventWriter:
    """Turns rows into (party index, record, values) with event ids that are unique in a run."""

    def __init__(self, accounts: Accounts, table: TokenTable, run_id: bytes) -> None:
        self._accounts, self._table, self._run_id = accounts, table, run_id[:8].ljust(8, b"\0")
        self._written = 0

    def records(self, events: pl.DataFrame) -> Iterator[tuple[int, str, dict[str, Any]]]:
        """In order of occurred_at. `events` has the columns of `tables.EVENTS`."""
        ordered = events.sort("occurred_at_us", maintain_order=True).with_row_index("_row")
        rows: list[tuple[int, int, str, dict[str, Any]]] = []
        for (record,), part in ordered.partition_by("record", as_dict=True).items():
            fields = _FIELDS[str(record)]
            columns = [_RENAMED.get(name, name) for name in fields]
            plain = part.select("_row", "party", *columns).with_columns(pl.col(pl.Enum).cast(pl.String))
            rows += [
                (row[0], row[1], str(record), dict(zip(fields, row[2:], strict=True))) for row in plain.iter_rows()
            ]
        rows.sort(key=lambda row: row[0])
        for _, party, record, values in rows:
            yield party, record, self._finish(values)

    def _finish(self, values: dict[str, Any]) -> dict[str, Any]:
        self._written += 1
        values["event_id"] = self._run_id + self._written.to_bytes(8, "big")
        if "account" in values:
            values["account"] = self._accounts.name[values["account"]]
            values["identifiers"] = self._identifiers(values["identifiers"])
        if values.get("end_user") is not None:
            values["end_user"] = self._table.tokens(values["end_user"])[-1]
        return values

    def _identifiers(self, numbers: Sequence[int]) -> list[bytes]:
        return [token for number in numbers for token in self._table.tokens(number)]
