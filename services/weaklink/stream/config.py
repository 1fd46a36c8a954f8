"""Settings of the columnar runner. Every field has its unit in its name or its docstring."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class StreamConfig(BaseModel):
    """Environment: WEAKLINK_STREAM__<NAME>."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    linger_ms: int = Field(default=40, ge=0)
    """How long a transaction waits for more input after its first; it waits longer, up to `linger_ms_max`, while commits are slow or input waits."""
    linger_ms_max: int = Field(default=250, ge=0)
    """How long it waits at most, however slow commits are."""
    batches_max: int = Field(default=1_000, ge=1)
    """Record batches (ingest) in one transaction at most."""
    chunks_max: int = Field(default=2_000, ge=1)
    """Messages of internal topics (correlate, campaigns) in one transaction at most."""
    tick_seconds: float = Field(default=0.5, gt=0)
    """A stage's `tick` is called at most this often."""
    gate_seconds: float = Field(default=1.0, gt=0)
    """How often a stage is asked again which partitions it admits (ingest: whose party is registered)."""
    metadata_max_age_ms: int = Field(default=2_500, ge=100)
    """How soon a new topic, or one that matches a subscription by pattern, is found."""
    max_poll_interval_ms: int = Field(default=600_000, ge=10_000)
    """A worker that does not poll for so long loses its partitions: longer than the longest rebuild step, not than the whole rebuild."""
    check_crcs: bool = True
    """Verify the CRC-32C of every fetched batch (about 0.02 us an event)."""

    inflated_batch_bytes_max: int = Field(default=32 << 20, ge=1 << 20)
    """A record batch that inflates to more is not unpacked but handed on as too large."""
    batch_records_max: int = Field(default=100_000, ge=1_000)
    """One with more records, too. Of batches within both limits, no more are held at a time than come to about as much."""
    decode_seconds_max: float = Field(default=30.0, gt=0)
    """Processor time that unpacking or processing what one poll gave may take. Then the process is ended; the next one finds out which batch
    it was, and refuses it."""

    snapshot_url: str = ""
    """Folder or URL (s3://bucket/path, gs://...) of snapshots. Empty: `snapshots` below the setting `data_folder`."""
    snapshot_seconds: float = Field(default=60.0, gt=0)
    """How often each unit of state is written."""
    snapshots_kept: int = Field(default=3, ge=1)
    """Snapshots kept of each unit: a damaged one falls back to the one before."""

    snapshot_compression: Literal["uncompressed", "lz4", "zstd"] = "uncompressed"
    """Of snapshots. Links are hashes for the most part: lz4 makes them two fifths smaller and takes three times as long; it may pay on a store by network."""

    metrics_port: int | None = None
    """Where /metrics, /healthz and /readyz are served; unset: nowhere (exporter: 9464)."""
    metrics_host: str = "127.0.0.1"
    """Address on which metrics and probes are served; 0.0.0.0 in a container."""
