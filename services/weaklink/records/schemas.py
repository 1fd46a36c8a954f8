"""The schema files, found in the wheel or in the source tree, parsed once, with their CRC-64-AVRO fingerprints."""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import fastavro.schema

from weaklink.errors import SchemaError

EVENT_RECORDS: Final = (
    "AccountOpened",
    "ApiUsage",
    "AddressLease",
    "PaymentAttempt",
    "AccountClosed",
    "ModelReleased",
    "ActionReceipt",
)
"""Records that parties publish on `party.<id>.events`."""


@dataclass(frozen=True, slots=True)
class Schema:
    """One version of one record: its JSON, its fastavro form, and its fingerprint (8 bytes, little-endian)."""

    record: str
    version: int
    json: dict[str, Any]
    parsed: Any
    fingerprint: bytes


def schema_folder() -> Path:
    """The folder that holds `avro/` and `examples/`: inside the wheel, or `schemas/` of a source tree."""
    packaged = Path(str(files("weaklink"))) / "schemas"
    folder = packaged if packaged.is_dir() else Path(__file__).resolve().parents[3] / "schemas"
    if not (folder / "avro").is_dir():
        raise SchemaError(f"no schemas at {folder}: the installation is incomplete, install weaklink again")
    return folder


def load_schema(path: Path) -> Schema:
    """Read one `<Record>/v<N>.avsc`. Raises SchemaError when it is not valid Avro."""
    return _read(path, path.parent.name, int(path.stem.removeprefix("v")))


def read_schema(path: Path) -> Schema:
    """Read a schema file of any name: the record is the one that it defines, the version 0. Raises SchemaError when it is no record in valid Avro."""
    return _read(path, None, 0)


def _read(path: Path, record: str | None, version: int) -> Schema:
    try:
        definition = json.loads(path.read_text(encoding="utf-8"))
        fingerprint = fastavro.schema.fingerprint(fastavro.schema.to_parsing_canonical_form(definition), "CRC-64-AVRO")
        parsed = fastavro.schema.parse_schema(definition, named_schemas={})
        name = record or str(definition["name"]).rpartition(".")[2]
        if definition["type"] != "record":
            raise ValueError(f"it defines no record but {definition['type']}")
        iter(definition["fields"])
    except (OSError, ValueError, KeyError, TypeError, fastavro.schema.SchemaParseException) as error:
        raise SchemaError(f"{path} is not a readable Avro schema: {error}") from error
    # fastavro gives the fingerprint in the order of the single-object header: little-endian bytes as hex.
    return Schema(name, version, definition, parsed, bytes.fromhex(fingerprint))


@cache
def all_schemas() -> dict[tuple[str, int], Schema]:
    """Every schema by (record, version)."""
    paths = sorted((schema_folder() / "avro").glob("*/v*.avsc"))
    return {(schema.record, schema.version): schema for schema in map(load_schema, paths)}


@cache
def by_fingerprint() -> dict[bytes, Schema]:
    """Every schema by its 8-byte fingerprint."""
    return {schema.fingerprint: schema for schema in all_schemas().values()}


@cache
def latest(record: str) -> Schema:
    """The newest version of a record. Raises SchemaError when there is none of that name."""
    versions = [schema for (name, _), schema in all_schemas().items() if name == record]
    if not versions:
        raise SchemaError(
            f"no schema for a record named {record!r}; known are {', '.join(sorted({n for n, _ in all_schemas()}))}"
        )
    return max(versions, key=lambda schema: schema.version)
