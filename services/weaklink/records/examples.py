"""The examples in `schemas/examples/<Record>/v<N>/`: `<name>.json` for people, `<name>.bin` the same in single-object encoding (the golden binary).

In JSON, bytes are hexadecimal and times ISO 8601 in UTC; everything else is as it is. `python -m weaklink.records.examples` writes the golden binaries
that are missing; it never replaces one: a binary that changes means that the wire format has changed, and then a new schema version is due.
"""

import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastavro

from weaklink.errors import SchemaError
from weaklink.records.codec import SINGLE_OBJECT_MARKER
from weaklink.records.schemas import Schema, all_schemas, schema_folder


@dataclass(frozen=True, slots=True)
class Example:
    """One example of one schema version."""

    schema: Schema
    name: str
    values: dict[str, Any]
    golden_path: Path

    def encoded(self) -> bytes:
        """Written with its own schema version, whatever the latest is."""
        body = io.BytesIO()
        fastavro.schemaless_writer(body, self.schema.parsed, self.values, strict=True)
        return SINGLE_OBJECT_MARKER + self.schema.fingerprint + body.getvalue()


def examples() -> Iterator[Example]:
    """Every example, by record, version and name. Raises SchemaError for one that does not fit its schema."""
    for (record, version), schema in sorted(all_schemas().items()):
        for path in sorted((schema_folder() / "examples" / record / f"v{version}").glob("*.json")):
            values = json.loads(path.read_text(encoding="utf-8"))
            try:
                converted = from_json(schema.json, values)
            except (KeyError, TypeError, ValueError) as error:
                raise SchemaError(f"{path} does not fit {record} v{version}: {error!r}") from error
            yield Example(schema, path.stem, converted, path.with_suffix(".bin"))


def from_json(schema: Any, value: Any) -> Any:
    """The Python value that fastavro writes, from its JSON form."""
    match schema:
        case list():
            return None if value is None else from_json(next(branch for branch in schema if branch != "null"), value)
        case {"type": "record", "fields": fields}:
            unknown = set(value) - {field["name"] for field in fields}
            if unknown:
                raise ValueError(f"unknown fields {sorted(unknown)}")
            return {field["name"]: from_json(field["type"], value[field["name"]]) for field in fields}
        case {"type": "array", "items": items}:
            return [from_json(items, item) for item in value]
        case {"logicalType": "timestamp-micros"}:
            return datetime.fromisoformat(value).astimezone(UTC)
        case "bytes":
            return bytes.fromhex(value)
        case _:
            return value


def write_missing() -> list[Path]:
    """Write the golden binaries that are missing and return their paths. Raises SchemaError when one exists and differs."""
    written = []
    for example in examples():
        encoded = example.encoded()
        if not example.golden_path.exists():
            example.golden_path.write_bytes(encoded)
            written.append(example.golden_path)
        elif example.golden_path.read_bytes() != encoded:
            raise SchemaError(
                f"{example.golden_path} differs from its example: if the JSON was wrong, delete the binary by hand; "
                "if the schema changed, add a new version instead"
            )
    return written


if __name__ == "__main__":
    for path in write_missing():
        sys.stdout.write(f"{path}\n")
