"""Files of events as rows with their line numbers: NDJSON, CSV and Parquet. What cannot be read is a row with an error, not an exception."""

import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Literal

from weaklink.errors import ConfigurationError, brief

FileFormat = Literal["ndjson", "csv", "spaced", "parquet"]
"""`spaced`: columns with spaces between, under a header line, as flow logs have them."""
STDIN: Final = "-"
_PARQUET_ROWS: Final = 20_000
_LINE_BYTES_MAX: Final = 4 << 20
_BY_SUFFIX: Final[dict[str, FileFormat]] = {
    ".ndjson": "ndjson",
    ".jsonl": "ndjson",
    ".json": "ndjson",
    ".csv": "csv",
    ".log": "spaced",
    ".parquet": "parquet",
    ".pq": "parquet",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `line` counts from 1 (in Parquet: the row); `consumed` is how far the file has been read (bytes, or rows)."""

    line: int
    values: dict[str, Any] | None
    error: str | None
    text: str | None
    consumed: int

    @property
    def raw(self) -> str:
        """The row as it stands in its file; a row of Parquet as JSON."""
        return json.dumps(self.values, default=_as_text) if self.text is None else self.text


def format_of(name: str) -> FileFormat:
    """By the file's suffix (before `.gz`); standard input is NDJSON. Raises ConfigurationError for an unknown one."""
    if name == STDIN:
        return "ndjson"
    try:
        return _BY_SUFFIX[Path(name.removesuffix(".gz")).suffix.lower()]
    except KeyError as error:
        raise ConfigurationError(
            f"{name}: the suffix says nothing known ({', '.join(_BY_SUFFIX)}); say --format"
        ) from error


def size_of(name: str, file_format: FileFormat) -> int | None:
    """What `consumed` will be at the end: bytes, or rows in Parquet; None for standard input and what is compressed.

    Raises ConfigurationError when it cannot be read.
    """
    if name == STDIN or name.endswith(".gz"):
        return None
    if file_format == "parquet":
        import polars as pl

        with _as_parquet(name):
            return int(pl.scan_parquet(name).select(pl.len()).collect().item())
    try:
        return Path(name).stat().st_size
    except OSError as error:
        raise ConfigurationError(f"{name} cannot be read: {error.strerror or error}") from error


def read_rows(name: str, file_format: FileFormat) -> Iterator[Row]:
    """Every row in order, in bounded memory. Raises ConfigurationError when the file cannot be read at all."""
    if file_format == "parquet":
        yield from _parquet(name)
        return
    with _lines(name) as lines:
        if file_format == "ndjson":
            yield from _ndjson(lines)
        else:
            yield from _csv(name, lines, " " if file_format == "spaced" else ",")


@contextmanager
def _lines(name: str) -> Iterator[Iterable[bytes]]:
    if name == STDIN:
        yield _bounded(sys.stdin.buffer)
        return
    try:
        with gzip.open(name) if name.endswith(".gz") else Path(name).open("rb") as file:
            yield _bounded(file)
    except (OSError, EOFError, zlib.error) as error:
        raise ConfigurationError(f"{name} cannot be read: {getattr(error, 'strerror', None) or error}") from error


def _bounded(file: Any) -> Iterator[bytes]:
    """Lines of at most 4 MiB: a file without line ends must not fill the memory. A longer one comes in pieces, each of which is then bad."""
    return iter(lambda: file.readline(_LINE_BYTES_MAX), b"")


def _ndjson(lines: Iterable[bytes]) -> Iterator[Row]:
    consumed = 0
    for number, line in enumerate(lines, 1):
        consumed += len(line)
        if not line.strip():
            continue
        raw = line.decode(errors="replace").rstrip("\r\n")
        try:
            # Decoded here: json guesses from zero bytes, and of what is no text at all it says that it is no UTF-16.
            values = json.loads(line.decode("utf-8-sig"))
        except UnicodeDecodeError:
            yield Row(number, None, "not UTF-8", raw, consumed)
            continue
        except (ValueError, RecursionError) as error:
            yield Row(number, None, f"not JSON: {error}", raw, consumed)
            continue
        if isinstance(values, dict):
            yield Row(number, values, None, raw, consumed)
        else:
            yield Row(number, None, "not a JSON object", raw, consumed)


def _csv(name: str, lines: Iterable[bytes], delimiter: str) -> Iterator[Row]:
    consumed = 0

    def decoded() -> Iterator[str]:
        nonlocal consumed
        for line in lines:
            consumed += len(line)
            yield line.decode("utf-8-sig" if consumed == len(line) else "utf-8", errors="surrogateescape")

    reader = csv.reader(decoded(), strict=True, delimiter=delimiter)
    header = _header(name, reader)
    while header is not None:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Row(reader.line_num, None, f"not CSV: {error}", "", consumed)
            continue
        if not cells:
            continue
        text = io.StringIO()
        csv.writer(text, lineterminator="", delimiter=delimiter).writerow(cells)
        raw = text.getvalue().encode(errors="surrogateescape").decode(errors="replace")
        if len(cells) != len(header):
            yield Row(reader.line_num, None, f"{len(cells)} cells under {len(header)} columns", raw, consumed)
        elif not _is_utf8(cells):
            yield Row(reader.line_num, None, "not UTF-8", raw, consumed)
        else:
            # An empty cell is CSV's way to say null.
            values = {name: cell or None for name, cell in zip(header, cells, strict=True)}
            yield Row(reader.line_num, values, None, raw, consumed)


def _header(name: str, lines: Iterator[list[str]]) -> list[str] | None:
    """The names of the columns; None for an empty file. Raises ConfigurationError for what is no text: all of it would else count as names."""
    try:
        names = next(lines, None)
    except csv.Error as error:
        raise ConfigurationError(f"{name} cannot be read as CSV: its first line, which names the columns, is not CSV: {error}") from error  # fmt: skip
    if names is not None and (not _is_utf8(names) or any("\0" in one for one in names)):
        raise ConfigurationError(f"{name} cannot be read as CSV: its first line, which names the columns, is not text (UTF-8)")  # fmt: skip
    return names


def _is_utf8(cells: Iterable[str]) -> bool:
    return not any("\udc80" <= character <= "\udcff" for cell in cells for character in cell)


@contextmanager
def _as_parquet(name: str) -> Iterator[None]:
    """What goes wrong in the block is told as a file that cannot be read as Parquet: ConfigurationError."""
    import polars as pl

    try:
        yield
    except (OSError, pl.exceptions.PolarsError) as error:
        raise ConfigurationError(f"{name} cannot be read as Parquet: {brief(error)}") from error


def _parquet(name: str) -> Iterator[Row]:
    import polars as pl

    with _as_parquet(name):
        frame = pl.scan_parquet(name)
        total = size_of(name, "parquet") or 0
        for start in range(0, total, _PARQUET_ROWS):
            piece = frame.slice(start, _PARQUET_ROWS).collect()
            for number, values in enumerate(piece.iter_rows(named=True), start + 1):
                zoned = {key: _zoned(value) for key, value in values.items()}
                yield Row(number, zoned, None, None, number)


def _zoned(value: Any) -> Any:
    """Parquet times without a zone are UTC."""
    return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value


def _as_text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
