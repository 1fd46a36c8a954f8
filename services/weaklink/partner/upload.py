"""Publish a file's rows: good ones go out, bad ones are told with line and reason and kept in FILE.bad."""

import contextlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from weaklink.errors import PartyError, RecordError
from weaklink.parties import PARTY_ID
from weaklink.partner.builder import EventBuilder
from weaklink.partner.client import WeaklinkClient
from weaklink.partner.files import STDIN, FileFormat, Row, read_rows
from weaklink.partner.pace import Pace
from weaklink.partner.rows import event_of
from weaklink.records import reasons

_PROGRESS_EVERY: Final = 200


@dataclass(slots=True)
class UploadResult:
    """What became of a file's rows: `published + bad + skipped` is their number."""

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
    ) -> None:
        self._client_of = client_of
        self._builder = builder
        self._party = party
        self._party_column = party_column or "party"
        self._on_bad = on_bad
        self._on_progress = on_progress
        self._pace = pace

    def run(self, name: str, file_format: FileFormat) -> UploadResult:
        """Publish one file and wait for delivery. Raises DeliveryError, BrokerError, ConfigurationError."""
        result = UploadResult()
        clients: dict[str, WeaklinkClient] = {}
        with _BadFile(bad_path(name)) as bad_file:
            for count, row in enumerate(read_rows(name, file_format), 1):
                try:
                    self._publish(row, clients, result)
                except (RecordError, PartyError) as error:
                    result.bad += 1
                    bad = _bad_row(row, error)
                    bad_file.write(bad)
                    self._on_bad(name, bad)
                if count % _PROGRESS_EVERY == 0:
                    self._on_progress(row.consumed, result.published)
            for client in clients.values():
                client.flush()
        return result

    def _publish(self, row: Row, clients: dict[str, WeaklinkClient], result: UploadResult) -> None:
        if row.values is None:
            raise RecordError(reasons.MALFORMED, row.error or "unreadable")
        party = self._party_of(row.values)
        if party is None:
            result.skipped += 1
            return
        if party not in clients:
            clients[party] = self._client_of(party)
        # The party column is not a field of the record, whatever it is called.
        values = {key: value for key, value in row.values.items() if key != self._party_column}
        event = event_of(values, self._builder, row.line)
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
