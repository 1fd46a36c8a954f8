"""Publish a file's rows: good ones go out, bad ones are told with line and reason and kept in FILE.bad."""

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from weaklink.errors import PartyError, RecordError
from weaklink.parties import PARTY_ID
from weaklink.partner.builder import EventBuilder
from weaklink.partner.client import WeaklinkClient
from weaklink.partner.connectors import Connector
from weaklink.partner.files import STDIN, FileFormat, Row, read_rows
from weaklink.partner.pace import Pace
from weaklink.partner.rows import event_of
from weaklink.records import reasons

_PROGRESS_EVERY: Final = 200
_NOT_OF_THIS_SOURCE: Final = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What a connector runs into where a line holds something else than it expects: a text for a list, Infinity for a count, a thousand brackets."""


@dataclass(slots=True)
class UploadResult:
    """What became of a file's rows: `published + bad + skipped` is their number. With a connector each part of a line counts as a row."""

    published: int = 0
    bad: int = 0
    skipped: int = 0
    by_party: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that was not published."""

    line: int
    reason: str
    field: str | None
    detail: str
    raw: str


class Upload:
    """Publishes rows for one party (`party`), or for the party that a column of the file names (`party_column`).

    With `party`, rows whose `party` column names another one are skipped.
    With a `connector` the lines are another source's, and rows are what it makes of them.
    `client_of` gives the client of a party (and raises PartyError when there is none). Without a `pace` rows go out as fast as they can.
    """

    def __init__(
        self,
        client_of: Callable[[str], WeaklinkClient],
        builder: EventBuilder | None,
        *,
        party: str | None,
        party_column: str | None,
        on_bad: Callable[[str, BadRow], None],
        on_progress: Callable[[int, int], None] = lambda consumed, published: None,
        pace: Pace | None = None,
        connector: Connector | None = None,
    ) -> None:
        self._client_of = client_of
        self._builder = builder
        self._party = party
        self._party_column = party_column or "party"
        self._on_bad = on_bad
        self._on_progress = on_progress
        self._pace = pace
        self._connector = connector

    def run(self, name: str, file_format: FileFormat) -> UploadResult:
        """Publish one file and wait for delivery. Raises DeliveryError, BrokerError, ConfigurationError."""
        result = UploadResult()
        clients: dict[str, WeaklinkClient] = {}
        with _BadFile(bad_path(name)) as bad_file:

            def keep(row: Row, error: RecordError | PartyError) -> None:
                result.bad += 1
                bad = _bad_row(row, error)
                bad_file.write(bad)
                self._on_bad(name, bad)

            count, line = 0, 0
            for count, row in enumerate(self._parts(read_rows(name, file_format), keep), 1):
                line = row.line
                try:
                    for values in self._rows(row, result):
                        self._publish(values, row.line, clients, result)
                except (RecordError, PartyError) as error:
                    keep(row, error)
                if count % _PROGRESS_EVERY == 0:
                    self._on_progress(row.consumed, result.published)
            for values in self._connector.finish() if self._connector else ():
                try:
                    self._publish(values, line, clients, result)
                except (RecordError, PartyError) as error:
                    keep(Row(line, values, None, None, 0), error)
            for client in clients.values():
                client.flush()
        return result

    def _parts(self, rows: Iterable[Row], keep: Callable[[Row, RecordError], None]) -> Iterable[Row]:
        """The rows, or with a connector the parts of each, which have its line."""
        for row in rows:
            if self._connector is None or row.values is None:
                yield row
                continue
            try:
                for part in self._connector.parts(row.values):
                    yield Row(row.line, dict(part), None, None, row.consumed)
            except RecordError as error:
                keep(row, error)
            except _NOT_OF_THIS_SOURCE as error:
                keep(row, RecordError(reasons.MALFORMED, f"not a line of this source: {error}"))

    def _rows(self, row: Row, result: UploadResult) -> list[dict[str, Any]]:
        """The rows of a line or part, none where it is no event. Raises RecordError."""
        if row.values is None:
            raise RecordError(reasons.MALFORMED, row.error or "unreadable")
        if self._connector is None:
            return [row.values]
        try:
            made = self._connector.rows(row.values)
        except _NOT_OF_THIS_SOURCE as error:
            # What a source may hold where something else belongs is without end; its line is bad, and the next one is read.
            # Not the error's own text: it may quote an identifier.
            raise RecordError(reasons.MALFORMED, f"not a line of this source: {type(error).__name__}") from None
        if made is None:
            result.skipped += 1
        return made or []

    def _publish(
        self, row: Mapping[str, Any], line: int, clients: dict[str, WeaklinkClient], result: UploadResult
    ) -> None:
        party = self._party_of(row)
        if party is None:
            result.skipped += 1
            return
        if party not in clients:
            clients[party] = self._client_of(party)
        # The party column is not a field of the record, whatever it is called.
        values = {key: value for key, value in row.items() if key != self._party_column}
        event = event_of(values, self._builder, line)
        if self._pace:
            self._pace.wait(event.occurred_at)
        clients[party].send(event)
        result.published += 1
        result.by_party[party] = result.by_party.get(party, 0) + 1

    def _party_of(self, values: Mapping[str, Any]) -> str | None:
        """The party that the row is published for; None: it is another party's."""
        named = values.get(self._party_column)
        if self._party is not None:
            return self._party if named is None or named == self._party else None
        if not isinstance(named, str) or not PARTY_ID.fullmatch(named):
            raise RecordError(reasons.MALFORMED, "names no party", self._party_column)
        return named


def bad_path(name: str) -> Path:
    """Where the bad rows of a file go."""
    return Path("stdin.bad") if name == STDIN else Path(f"{name}.bad")


def _bad_row(row: Row, error: RecordError | PartyError) -> BadRow:
    if isinstance(error, RecordError):
        return BadRow(row.line, error.reason, error.field, error.detail, row.raw)
    return BadRow(row.line, reasons.RECORD_NOT_ALLOWED, None, str(error), row.raw)


class _BadFile(contextlib.AbstractContextManager["_BadFile"]):
    """NDJSON of bad rows, made when the first one comes; one of an earlier run is replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: IO[str] | None = None
        self._path.unlink(missing_ok=True)

    def write(self, bad: BadRow) -> None:
        if self._file is None:
            self._file = self._path.open("w", encoding="utf-8")
        fields = {
            "line": bad.line,
            "reason": bad.reason,
            "field": bad.field,
            "detail": bad.detail,
            "raw": bad.raw,
        }
        self._file.write(json.dumps(fields) + "\n")

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
