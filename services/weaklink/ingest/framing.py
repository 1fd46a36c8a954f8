"""Which schema a value was written with, by its first bytes: Avro single-object encoding or the Confluent wire format."""

import polars as pl

from weaklink.ingest.config import SchemaRegistryConfig
from weaklink.ingest.layout import Layout, compile_layout
from weaklink.ingest.schema_registry import SchemaRegistry
from weaklink.records.codec import (
    CONFLUENT_FRAME_BYTES,
    CONFLUENT_MARKER,
    SINGLE_OBJECT_FRAME_BYTES,
    SINGLE_OBJECT_MARKER,
)
from weaklink.records.schemas import EVENT_RECORDS, all_schemas


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
        """Raises RegistryUnavailable when only the registry could say what the frame is, and it does not answer."""
        if frame[:1] == CONFLUENT_MARKER:
            return self._registry.layout(int.from_bytes(frame[1:], "big")) if self._registry else None
        return self._layouts.get(frame)

    def registry_answers(self) -> bool:
        """Whether there is anything to wait for: asks a registry that did not answer again, when its pause is over."""
        return self._registry is None or self._registry.answers()
