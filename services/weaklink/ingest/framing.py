"""Which schema a value was written with, by its first bytes: Avro single-object encoding or the Confluent wire format."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import fastavro.schema
import polars as pl
import structlog

from weaklink.errors import SchemaError
from weaklink.ingest.config import SchemaRegistryConfig
from weaklink.ingest.layout import Layout, compile_layout
from weaklink.records.codec import (
    CONFLUENT_FRAME_BYTES,
    CONFLUENT_MARKER,
    SINGLE_OBJECT_FRAME_BYTES,
    SINGLE_OBJECT_MARKER,
)
from weaklink.records.schemas import EVENT_RECORDS, Schema, all_schemas

_RESPONSE_BYTES_MAX: Final = 4 << 20
_log = structlog.get_logger()


def frame_column(values: pl.Series) -> pl.Series:
    """The frame of each value (Binary): 10 bytes, 5 bytes, or null where it has neither framing."""
    value = pl.col("value")
    single = value.bin.starts_with(SINGLE_OBJECT_MARKER) & (value.bin.size() >= SINGLE_OBJECT_FRAME_BYTES)
    confluent = value.bin.starts_with(CONFLUENT_MARKER) & (value.bin.size() >= CONFLUENT_FRAME_BYTES)
    return values.alias("value").to_frame().select(
        pl.when(single)
        .then(value.bin.slice(0, SINGLE_OBJECT_FRAME_BYTES))
        .when(confluent)
        .then(value.bin.slice(0, CONFLUENT_FRAME_BYTES))
    ).to_series()  # fmt: skip


class Frames:
    """Frame -> layout of the schema it names; None: not known, not allowed, or not readable."""

    def __init__(self, config: SchemaRegistryConfig) -> None:
        self._layouts: dict[bytes, Layout] = {
            SINGLE_OBJECT_MARKER + schema.fingerprint: compile_layout(schema)
            for schema in all_schemas().values()
            if schema.record in EVENT_RECORDS
        }
        self._registry = SchemaRegistry(config) if config.url else None

    def layout(self, frame: bytes) -> Layout | None:
        """Never raises; what is unknown stays unknown for a while without asking again."""
        if frame[:1] == CONFLUENT_MARKER:
            return self._registry.layout(int.from_bytes(frame[1:], "big")) if self._registry else None
        return self._layouts.get(frame)


@dataclass(slots=True)
class _Listing:
    layouts: dict[int, Layout]
    read_at: float = float("-inf")


class SchemaRegistry:
    """Ids of the schemas that a Confluent-compatible registry lists under the allowed subjects.

    Ids are never looked up one by one: the allowed subjects are listed whole, at most once in `unknown_ttl_seconds` however many unknown ids
    arrive. So a party cannot make Weaklink ask the registry anything, and an id outside the allow-list is never even seen.
    """

    def __init__(self, config: SchemaRegistryConfig, now: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._now = now
        self._listing = _Listing({})

    def layout(self, schema_id: int) -> Layout | None:
        """The layout of an allowed schema, or None."""
        known = self._listing.layouts.get(schema_id)
        if known is None and self._now() - self._listing.read_at >= self._config.unknown_ttl_seconds:
            self._read()
            known = self._listing.layouts.get(schema_id)
        return known

    def _read(self) -> None:
        # Marked as read before it is read: a registry that is down is asked again only after the same time.
        self._listing.read_at = self._now()
        for subject in self._config.subjects:
            try:
                for version in self._get(f"subjects/{quote(subject, safe='')}/versions"):
                    entry = self._get(f"subjects/{quote(subject, safe='')}/versions/{int(version)}")
                    self._take(subject, int(entry["id"]), entry["schema"])
            except (urllib.error.URLError, OSError, ValueError, KeyError, TypeError) as error:
                meaning = "messages with ids not seen so far are rejected"
                _log.error("schema_registry_unreachable", subject=subject, error=str(error), meaning=meaning)

    def _take(self, subject: str, schema_id: int, text: str) -> None:
        if schema_id in self._listing.layouts or len(self._listing.layouts) >= self._config.ids_max:
            return
        try:
            self._listing.layouts[schema_id] = _layout_of(text)
        except SchemaError as error:
            _log.error("registered_schema_not_readable", subject=subject, id=schema_id, error=str(error))

    def _get(self, path: str) -> Any:
        url = f"{str(self._config.url).rstrip('/')}/{path}"
        with urllib.request.urlopen(url, timeout=self._config.timeout_seconds) as response:  # noqa: S310  # http(s) by the setting's type
            return json.loads(response.read(_RESPONSE_BYTES_MAX))


def _layout_of(text: str) -> Layout:
    """Layout of a writer schema from a registry. Raises SchemaError."""
    try:
        definition = json.loads(text)
        record = str(definition["name"]).rpartition(".")[2]
        return compile_layout(
            Schema(record, 0, definition, fastavro.schema.parse_schema(definition, named_schemas={}), b"")
        )
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        fastavro.schema.SchemaParseException,
    ) as error:
        raise SchemaError(f"not a readable Avro schema of an event: {type(error).__name__} {error}") from error
