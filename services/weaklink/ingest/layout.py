"""How a record's bytes are read: a writer schema reduced to what bytes can be wrong about, and the way from there to the latest schema.

The columnar reader gets every string as bytes, every int, enum and timestamp as long. So whatever the values are, decoding succeeds when the bytes
frame one record, and UTF-8, ranges and symbols are checked by column afterwards: one bad value costs itself, not its batch.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import fastavro
import fastavro.schema
import polars as pl

from weaklink.errors import SchemaError
from weaklink.records import reasons
from weaklink.records.schemas import EVENT_RECORDS, Schema, latest

COUNTER: Final = "_counter"
SYNC: Final = b"weaklink-ingest."
# Everything that polars.read_avro was seen to raise on 20,000 mutated blocks; PanicException derives from BaseException.
READ_ERRORS: Final = (
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,
    OSError,
    ValueError,
    OverflowError,
    MemoryError,
)
_INT_MIN: Final = -(1 << 31)
_INT_MAX: Final = (1 << 31) - 1
_PLAIN: Final = {
    "bytes": "bytes",
    "string": "bytes",
    "int": "long",
    "long": "long",
    "boolean": "boolean",
    "float": "float",
    "double": "double",
}
_PROMOTED: Final = {("int", "long"), ("string", "bytes"), ("bytes", "string"), ("float", "double")}


@dataclass(frozen=True, slots=True)
class Check:
    """Rows under `bad` are rejects for this reason."""

    reason: str
    field: str
    bad: pl.Expr


@dataclass(frozen=True, slots=True)
class Layout:
    """How to read one writer schema: container header for the columnar reader, fastavro schema for the slow one, expressions to the latest schema."""

    record: str
    container_header: bytes
    parsed: Any
    columns: tuple[str, ...]
    values: tuple[pl.Expr, ...]
    checks: tuple[Check, ...]
    texts: tuple[str, ...]
    """Columns that must be UTF-8 before `values` may be taken."""


@cache
def layout_of(fingerprint: bytes) -> Layout:
    """Layout of a shipped schema."""
    from weaklink.records.schemas import by_fingerprint

    return compile_layout(by_fingerprint()[fingerprint])


def compile_layout(writer: Schema) -> Layout:
    """Layout of a writer schema. Raises SchemaError when it is no event, uses types that Weaklink does not read, or cannot be read as the latest version."""
    if writer.record not in EVENT_RECORDS:
        raise SchemaError(f"{writer.record} is not a record that parties publish; those are {', '.join(EVENT_RECORDS)}")
    names: dict[str, Any] = {}
    written = {field["name"]: resolve(field["type"], names) for field in writer.json["fields"]}
    physical = [{"name": name, "type": _physical(kind, name)} for name, kind in written.items()]
    columns: list[str] = []
    values: list[pl.Expr] = []
    checks: list[Check] = []
    known: dict[str, Any] = {}
    for field in latest(writer.record).json["fields"]:
        name, wanted = field["name"], resolve(field["type"], known)
        if name not in written:
            if "default" not in field:
                raise SchemaError(f"{writer.record} without the field {name}, which has no default")
            values.append(pl.lit(field["default"], dtype_of(wanted)).alias(name))
            continue
        columns.append(name)
        value, found = _convert(name, written[name], wanted)
        values.append(value.alias(name))
        checks += found
    return Layout(
        writer.record,
        container_header([*physical, {"name": COUNTER, "type": "double"}]),
        fastavro.schema.parse_schema({"type": "record", "name": writer.record, "fields": physical}, named_schemas={}),
        tuple(columns),
        tuple(values),
        tuple(checks),
        tuple(name for name in columns if known_text(written[name])),
    )


def known_text(kind: Any) -> bool:
    """Whether a resolved writer type is a string, nullable or not."""
    return kind == "string" or (isinstance(kind, list) and "string" in kind)


def container_header(fields: list[dict[str, Any]]) -> bytes:
    """The bytes that open an Avro object container file whose records have these fields."""
    out = io.BytesIO()
    schema = fastavro.schema.parse_schema({"type": "record", "name": "Row", "fields": fields}, named_schemas={})
    fastavro.writer(out, schema, [], sync_marker=SYNC)
    return out.getvalue()


def block(count: int, payload: Any) -> tuple[bytes, bytes, Any, bytes]:
    """One block of a container file that holds `count` records."""
    return _long(count), _long(len(payload)), payload, SYNC


def _long(number: int) -> bytes:
    """A non-negative number as Avro writes a long."""
    number <<= 1
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def resolve(kind: Any, names: dict[str, Any]) -> Any:
    """A type with references to named types replaced by their definitions, and wrappers like {"type": "bytes"} opened."""
    if isinstance(kind, str):
        return names.get(kind, names.get(kind.rpartition(".")[2], kind))
    if isinstance(kind, list):
        return [resolve(one, names) for one in kind]
    if kind["type"] == "enum":
        names[kind["name"]] = kind
        return kind
    if kind["type"] == "array":
        return {"type": "array", "items": resolve(kind["items"], names)}
    return kind if "logicalType" in kind else resolve(kind["type"], names)


def dtype_of(kind: Any) -> pl.DataType:
    """The column type of a resolved reader type."""
    if isinstance(kind, list):
        return dtype_of(kind[1])
    if isinstance(kind, str):
        types: Mapping[str, pl.DataType] = {
            "bytes": pl.Binary(), "string": pl.String(), "int": pl.Int32(), "long": pl.Int64(),
            "boolean": pl.Boolean(), "float": pl.Float32(), "double": pl.Float64(),
        }  # fmt: skip
        return types[kind]
    if kind["type"] == "enum":
        return pl.Enum(kind["symbols"])
    if kind["type"] == "array":
        return pl.List(dtype_of(kind["items"]))
    return pl.Datetime("us")


def _physical(kind: Any, field: str) -> Any:
    if isinstance(kind, str) and kind in _PLAIN:
        return _PLAIN[kind]
    if (
        isinstance(kind, list)
        and len(kind) == 2
        and kind[0] == "null"
        and kind[1] != "null"
        and not isinstance(kind[1], list)
    ):
        return ["null", _physical(kind[1], field)]
    if isinstance(kind, dict):
        if kind["type"] == "enum" or kind.get("logicalType") == "timestamp-micros":
            return "long"
        if kind["type"] == "array" and kind["items"] in ("bytes", "string"):
            return {"type": "array", "items": "bytes"}
    raise SchemaError(f"field {field} has the type {kind}, which Weaklink does not read")


def _convert(name: str, written: Any, wanted: Any) -> tuple[pl.Expr, list[Check]]:
    """From the physical column of a field to its column in the latest schema, and what may be wrong with its values."""
    column = pl.col(name)
    checks: list[Check] = []
    if isinstance(written, list):
        if not isinstance(wanted, list):
            checks.append(Check(reasons.MALFORMED, name, column.is_null()))
        written = written[1]
    if isinstance(wanted, list):
        wanted = wanted[1]
    if _is_enum(written) and _is_enum(wanted):
        value, found = _convert_enum(name, written["symbols"], wanted)
        return value, checks + found
    if written != wanted and (written, wanted) not in _PROMOTED and not _same_shape(written, wanted):
        raise SchemaError(f"field {name} is {written}, which cannot be read as {wanted}")
    if wanted == "int":
        checks.append(Check(reasons.MALFORMED, name, ~column.is_between(_INT_MIN, _INT_MAX)))
        return column.cast(pl.Int32, strict=False), checks
    if written == "int" and wanted == "long":
        checks.append(Check(reasons.MALFORMED, name, ~column.is_between(_INT_MIN, _INT_MAX)))
    if wanted == "string":
        return column.cast(pl.String), checks
    if isinstance(wanted, dict) and wanted["type"] == "array" and wanted["items"] == "string":
        raise SchemaError(f"field {name} is an array of strings, which no event of Weaklink has")
    return column.cast(dtype_of(wanted)), checks


def _convert_enum(name: str, symbols: list[str], wanted: Any) -> tuple[pl.Expr, list[Check]]:
    known, default = list(wanted["symbols"]), wanted.get("default")
    column = pl.col(name)
    bad = ~column.is_between(0, len(symbols) - 1)
    position = pl.when(bad).then(0).otherwise(column)
    if symbols != known:
        # The writer's numbers to the reader's: by symbol; what the reader does not know becomes its default, and is a reject where it has none.
        to = {number: known.index(symbol) for number, symbol in enumerate(symbols) if symbol in known}
        unknown = [number for number in range(len(symbols)) if number not in to]
        fallback = known.index(default) if default is not None else 0
        if default is None and unknown:
            bad = bad | column.is_in(unknown)
        position = position.replace_strict(to, default=fallback, return_dtype=pl.Int64)
    return position.cast(pl.UInt8, strict=False).cat.to(pl.Enum(known)), [Check(reasons.MALFORMED, name, bad)]


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, dict) and kind["type"] == "enum"


def _same_shape(written: Any, wanted: Any) -> bool:
    def shape(kind: Any) -> Any:
        return (kind["type"], kind.get("logicalType"), str(kind.get("items"))) if isinstance(kind, dict) else kind

    return bool(shape(written) == shape(wanted))
