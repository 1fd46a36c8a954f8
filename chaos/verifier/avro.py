"""Single-object Avro by fastavro alone, with the schema files as they lie in the repository."""

import io
import json
from functools import cache
from typing import Any

import fastavro
import fastavro.schema

from weaklink.records.schemas import schema_folder

_MARKER = b"\xc3\x01"
_FRAME_BYTES = 10


class Unreadable(Exception):
    """The bytes are no message of a known schema, from first byte to last."""


@cache
def _schemas() -> dict[bytes, tuple[str, Any]]:
    found: dict[bytes, tuple[str, Any]] = {}
    for path in sorted((schema_folder() / "avro").glob("*/v*.avsc")):
        definition = json.loads(path.read_text(encoding="utf-8"))
        canonical = fastavro.schema.to_parsing_canonical_form(definition)
        fingerprint = bytes.fromhex(fastavro.schema.fingerprint(canonical, "CRC-64-AVRO"))
        # without logical types: times stay the whole numbers that were written
        plain = json.loads(canonical)
        found[fingerprint] = (path.parent.name, fastavro.schema.parse_schema(plain, named_schemas={}))
    return found


def read(value: bytes | None) -> tuple[str, dict[str, Any]]:
    """(record name, fields); times in microseconds. Raises Unreadable."""
    if not value or value[:2] != _MARKER or value[2:_FRAME_BYTES] not in _schemas():
        raise Unreadable((value or b"")[:_FRAME_BYTES].hex())
    record, schema = _schemas()[value[2:_FRAME_BYTES]]
    body = io.BytesIO(value)
    body.seek(_FRAME_BYTES)
    try:
        fields = fastavro.schemaless_reader(body, schema)
    except Exception as error:  # whatever the bytes provoke
        raise Unreadable(f"{record}: {error!r}") from error
    if body.tell() != len(value):
        raise Unreadable(f"{record}: {len(value) - body.tell()} bytes too many")
    assert isinstance(fields, dict)
    return record, fields
