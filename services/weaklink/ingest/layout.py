"""How a record's bytes are read: a writer schema as a program for the compiled reader, and the way from there to the latest schema.

The program gets every string as bytes, every int, enum and timestamp as long. So whatever the values are, reading succeeds when the bytes
are one record; UTF-8, ranges and symbols are checks on what was read: one bad value costs itself, not its batch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl

from weaklink.errors import SchemaError
from weaklink.ingest import decode_loops
from weaklink.records import reasons
from weaklink.records.schemas import EVENT_RECORDS, Schema, latest

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
_OPERATIONS: Final = {
    "bytes": decode_loops.BYTES_FIELD,
    "long": decode_loops.LONG,
    "boolean": decode_loops.BOOLEAN,
    "float": decode_loops.FLOAT,
    "double": decode_loops.DOUBLE,
    "array": decode_loops.ARRAY,
}
_PROMOTED: Final = {("int", "long"), ("string", "bytes"), ("bytes", "string")}
_ARRAYS: Final = frozenset({"identifiers"})


@dataclass(frozen=True, slots=True)
class Rule:
    """What a value must keep (`check`, `a` and `b` as in `decode_loops`), and what it is rejected for when it does not."""

    reason: str
    field: str
    detail: str
    check: int
    slot: int
    a: int = 0
    b: int = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """How to read one writer schema: the program, and the way to the latest schema.

    `columns` are the fields of the latest schema; the place of each is its slot.
    """

    record: str
    fields: tuple[str, ...]
    """Of the writer, as in the program."""
    program: npt.NDArray[np.int64]
    rules: tuple[Rule, ...]
    symbols: npt.NDArray[np.int64]
    """The writer's symbols of each enum, one enum after another: their numbers in the latest schema, -1 for those that it does not have."""
    missing: tuple[tuple[int, int, int], ...]
    """(slot, value, size) of fields that the writer does not have."""
    columns: Mapping[str, pl.DataType]

    def slot(self, name: str) -> int:
        """Of a field; -1 when the record has none of that name."""
        return list(self.columns).index(name) if name in self.columns else -1

    def is_text(self, name: str) -> bool:
        """Whether the field is a string, nullable or not."""
        return self.columns[name] == pl.String


def compile_layout(writer: Schema) -> Layout:
    """Layout of a writer schema. Raises SchemaError when it is no event, uses types that Weaklink does not read, or cannot be read as the latest version."""
    if writer.record not in EVENT_RECORDS:
        raise SchemaError(f"{writer.record} is not a record that parties publish; those are {', '.join(EVENT_RECORDS)}")
    names: dict[str, Any] = {}
    written = {field["name"]: resolve(field["type"], names) for field in writer.json["fields"]}
    physical = [{"name": name, "type": _physical(kind, name)} for name, kind in written.items()]
    known: dict[str, Any] = {}
    wanted = {field["name"]: resolve(field["type"], known) for field in latest(writer.record).json["fields"]}
    slots = {name: slot for slot, name in enumerate(wanted)}
    missing: list[tuple[int, int, int]] = []
    texts: list[Rule] = []
    checks: list[Rule] = []
    symbols: list[int] = []
    for field in latest(writer.record).json["fields"]:
        name = field["name"]
        if name in written:
            found = _checks(name, slots[name], written[name], wanted[name], symbols)
            texts += [rule for rule in found if rule.check == decode_loops.UTF8]
            checks += [rule for rule in found if rule.check != decode_loops.UTF8]
        elif "default" in field:
            missing.append((slots[name], *_default(name, wanted[name], field["default"])))
        else:
            raise SchemaError(f"{writer.record} without the field {name}, which has no default")
    return Layout(
        writer.record,
        tuple(written),
        np.array([_step(one["type"], slots.get(one["name"], -1)) for one in physical], dtype=np.int64).reshape(-1, 3),
        (*texts, *checks),
        np.array(symbols, dtype=np.int64),
        tuple(missing),
        {name: dtype_of(kind) for name, kind in wanted.items()},
    )


def _step(physical: Any, slot: int) -> tuple[int, int, int]:
    nullable = isinstance(physical, list)
    kind = physical[1] if nullable else physical
    return _OPERATIONS["array" if isinstance(kind, dict) else kind], int(nullable), slot


def _default(name: str, wanted: Any, value: Any) -> tuple[int, int]:
    """(value, size) that stand for a field's default: null, a number, a symbol, or nothing in a string or an array."""
    kind = wanted[1] if isinstance(wanted, list) else wanted
    if value is None:
        return 0, decode_loops.NULL
    if _is_enum(kind):
        return kind["symbols"].index(value), 0
    if value in ("", []):
        return 0, 0
    if isinstance(value, int):
        return value, 0
    raise SchemaError(f"field {name} has the default {value!r}, which Weaklink does not read")


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


def _checks(name: str, slot: int, written: Any, wanted: Any, symbols: list[int]) -> list[Rule]:
    """What may be wrong with the values of a field before they are values of the latest schema; `symbols` grows by those of an enum."""
    rules: list[Rule] = []
    if isinstance(written, list):
        if not isinstance(wanted, list):
            rules.append(_malformed(name, decode_loops.NOT_NULL, slot))
        written = written[1]
    if isinstance(wanted, list):
        wanted = wanted[1]
    if _is_enum(written) and _is_enum(wanted):
        # The writer's numbers to the reader's: by symbol; what the reader does not know becomes its default, and is a reject where it has none.
        known, default = list(wanted["symbols"]), wanted.get("default")
        other = known.index(default) if default is not None else -1
        rules.append(_malformed(name, decode_loops.SYMBOL, slot, len(symbols), len(written["symbols"])))
        symbols += [known.index(one) if one in known else other for one in written["symbols"]]
        return rules
    if written != wanted and (written, wanted) not in _PROMOTED and not _same_shape(written, wanted):
        raise SchemaError(f"field {name} is {written}, which cannot be read as {wanted}")
    if written == "int":
        rules.append(_malformed(name, decode_loops.RANGE, slot, _INT_MIN, _INT_MAX))
    if "string" in (written, wanted):
        rules.append(Rule(reasons.NOT_UTF8, name, f"{name} is not UTF-8", decode_loops.UTF8, slot))
    if isinstance(wanted, dict) and wanted["type"] == "array" and (wanted["items"] == "string" or name not in _ARRAYS):
        raise SchemaError(f"field {name} is an array of {wanted['items']}, which no event of Weaklink has")
    return rules


def _malformed(name: str, check: int, slot: int, a: int = 0, b: int = 0) -> Rule:
    return Rule(reasons.MALFORMED, name, f"{name} cannot be read", check, slot, a, b)


def _is_enum(kind: Any) -> bool:
    return isinstance(kind, dict) and kind["type"] == "enum"


def _same_shape(written: Any, wanted: Any) -> bool:
    def shape(kind: Any) -> Any:
        return (kind["type"], kind.get("logicalType"), str(kind.get("items"))) if isinstance(kind, dict) else kind

    return bool(shape(written) == shape(wanted))
