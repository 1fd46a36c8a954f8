"""Whether two versions of a schema read each other: by the rules, told field by field, and executed on values that reach every branch.

Rules: Apache Avro 1.12 specification, "Schema Resolution". Beyond them, a logical type that changes is a break: the bytes read, and mean another time.
"""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import fastavro

from weaklink.records.schemas import Schema

_PROMOTIONS: Final = {
    "int": {"long", "float", "double"},
    "long": {"float", "double"},
    "float": {"double"},
    "string": {"bytes"},
    "bytes": {"string"},
}
_SAMPLES: Final = {
    "null": None,
    "boolean": True,
    "int": 7,
    "long": 7,
    "float": 0.5,
    "double": 0.5,
    "bytes": b"x",
    "string": "x",
}
_SAMPLES_MAX: Final = 1_000


@dataclass(frozen=True, slots=True)
class Break:
    """Something that one version writes and the other cannot read. `where` is the path of the field."""

    writer: str
    reader: str
    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.reader} cannot read what {self.writer} writes: {self.where}: {self.what}"


def breaks(old: Schema, new: Schema, *, old_name: str = "old", new_name: str = "new") -> list[Break]:
    """What does not fit between two versions, in both directions (full compatibility). An empty list: nothing."""
    return [*one_way(old, new, old_name, new_name), *one_way(new, old, new_name, old_name)]


def one_way(writer: Schema, reader: Schema, writer_name: str, reader_name: str) -> list[Break]:
    """What the reader cannot read of what the writer writes."""
    names = _names(writer.json), _names(reader.json)
    told = [
        Break(writer_name, reader_name, where, what)
        for where, what in _unlike(writer.json, reader.json, writer.record, names)
    ]
    if told:
        return told
    # What no rule foresaw shows when it is done.
    for values in samples(writer):
        body = io.BytesIO()
        fastavro.schemaless_writer(body, writer.parsed, values)
        body.seek(0)
        try:
            fastavro.schemaless_reader(body, writer.parsed, reader.parsed)
        except Exception as error:  # fastavro raises whatever comes of it
            return [Break(writer_name, reader_name, writer.record, f"reading fails: {type(error).__name__} {error}")]
    return []


def samples(schema: Schema) -> Iterator[dict[str, Any]]:
    """Values that between them take every branch of every union and every symbol of every enum (at most 1,000)."""
    return islice(_values(schema.json, _names(schema.json)), _SAMPLES_MAX)


def _values(kind: Any, names: Mapping[str, Any]) -> Iterator[Any]:
    kind = _opened(kind, names)
    if isinstance(kind, list):
        for branch in kind:
            yield from _values(branch, names)
    elif isinstance(kind, str):
        yield _SAMPLES[kind]
    elif kind["type"] == "enum":
        yield from kind["symbols"]
    elif kind["type"] == "array":
        yield []
        yield from ([value] for value in _values(kind["items"], names))
    elif kind["type"] == "map":
        yield from ({"k": value} for value in _values(kind["values"], names))
    elif kind["type"] == "fixed":
        yield bytes(kind["size"])
    else:
        every = {field["name"]: list(_values(field["type"], names)) for field in kind["fields"]}
        # Each column goes round by itself: as many records as the longest has values.
        for number in range(max(map(len, every.values()), default=1)):
            yield {name: column[number % len(column)] for name, column in every.items()}


def _unlike(
    writer: Any, reader: Any, where: str, names: tuple[Mapping[str, Any], Mapping[str, Any]]
) -> Iterator[tuple[str, str]]:
    logical, given = (_logical(writer), _logical(reader)), writer
    writer, reader = _opened(writer, names[0]), _opened(reader, names[1])
    if isinstance(writer, list):
        for branch in writer:
            yield from _unlike(branch, reader, where, names)
    elif isinstance(reader, list):
        if all(any(_unlike(given, branch, where, names)) for branch in reader):
            yield where, f"{_word(writer)} is none of {', '.join(map(_word, reader))}"
    elif isinstance(writer, str) or isinstance(reader, str):
        if writer != reader and reader not in _PROMOTIONS.get(writer if isinstance(writer, str) else "", ()):
            yield where, f"the type is {_word(writer)} there and {_word(reader)} here"
        elif logical[0] != logical[1]:
            yield where, f"the logical type is {logical[0] or 'none'} there and {logical[1] or 'none'} here"
    elif writer["type"] != reader["type"]:
        yield where, f"the type is {_word(writer)} there and {_word(reader)} here"
    else:
        yield from _unlike_named(writer, reader, where, names)


def _unlike_named(
    writer: Any, reader: Any, where: str, names: tuple[Mapping[str, Any], Mapping[str, Any]]
) -> Iterator[tuple[str, str]]:
    match writer["type"]:
        case "record":
            if writer["name"].rpartition(".")[2] != reader["name"].rpartition(".")[2]:
                yield where, f"the record is named {writer['name']} there and {reader['name']} here"
            written = {field["name"]: field for field in writer["fields"]}
            for field in reader["fields"]:
                name = field["name"]
                if name in written:
                    yield from _unlike(written[name]["type"], field["type"], f"{where}.{name}", names)
                elif "default" not in field:
                    yield f"{where}.{name}", "it is not written there, and has no default here: give it a default"
        case "enum":
            missing = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
            if missing and "default" not in reader:
                yield where, f"{', '.join(missing)} is no symbol here, and the enum has no default symbol"
        case "array":
            yield from _unlike(writer["items"], reader["items"], f"{where}[]", names)
        case "map":
            yield from _unlike(writer["values"], reader["values"], f"{where}{{}}", names)
        case _:
            if writer["size"] != reader["size"]:
                yield where, f"it has {writer['size']} bytes there and {reader['size']} here"


def _names(schema: Any, found: dict[str, Any] | None = None) -> dict[str, Any]:
    """Every named type in a schema by its name."""
    found = {} if found is None else found
    if isinstance(schema, list):
        for branch in schema:
            _names(branch, found)
    elif isinstance(schema, dict):
        if schema.get("type") in ("record", "enum", "fixed"):
            found[schema["name"].rpartition(".")[2]] = schema
        for inner in (schema.get("type"), schema.get("items"), schema.get("values"), *schema.get("fields", ())):
            if isinstance(inner, dict | list):
                _names(inner, found)
    return found


def _opened(kind: Any, names: Mapping[str, Any]) -> Any:
    """The definition behind a name, and the type inside a wrapper such as {"type": "long", "logicalType": ...}."""
    if isinstance(kind, str) and kind.rpartition(".")[2] in names:
        return names[kind.rpartition(".")[2]]
    if isinstance(kind, dict) and (isinstance(kind["type"], list | dict) or kind["type"] in _SAMPLES):
        return _opened(kind["type"], names)
    return kind


def _logical(kind: Any) -> str | None:
    return kind.get("logicalType") if isinstance(kind, dict) else None


def _word(kind: Any) -> str:
    return kind if isinstance(kind, str) else str(kind["type"]) if isinstance(kind, dict) else "a union"
