"""Settings of party events to links and activity. Every field has its unit in its name or its docstring."""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field, HttpUrl

MICROSECONDS_PER_DAY: Final = 86_400_000_000


class SchemaRegistryConfig(BaseModel):
    """Where ids of the Confluent wire format are resolved (environment: WEAKLINK_INGEST__SCHEMA_REGISTRY__<NAME>)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: HttpUrl | None = None
    """Base URL; None: no registry, so every message in the Confluent wire format is rejected as UNKNOWN_SCHEMA."""
    subjects: tuple[str, ...] = ()
    """Allow-list: an id counts only if the registry lists it under one of these subjects."""
    timeout_seconds: float = 2.0
    """How long one question to the registry may take."""
    unknown_ttl_seconds: float = 60.0
    """How long an id that the registry does not know, or that is not allowed, stays cached as unknown."""
    retry_seconds_max: float = Field(default=15.0, gt=0)
    """Longest pause before a registry that does not answer is asked again. Until then partitions with ids not seen so far are not read."""
    ids_max: int = 10_000
    """Ids that are cached at most, known and unknown together."""


class IngestConfig(BaseModel):
    """Environment: WEAKLINK_INGEST__<NAME>."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    slot_hours: int = Field(default=24, ge=12, le=24 * 30)
    """Length of the time slot of IP links. At least 12, so that slot numbers since 1970 fit 16 bits until 2059."""
    lease_open_days: int = Field(default=2, ge=1, le=90)
    """Days that an AddressLease without `released_at` is taken to cover, from `occurred_at`."""
    lease_slots_max: int = Field(default=92, ge=1, le=1000)
    """Slots that one AddressLease covers at most: what is longer is cut at the end. One with more than two tokens covers fewer, so that it makes no more
    links than one with two."""

    use_gap_hours: int = Field(default=24, ge=1)
    """Two uses of an identifier by one account further apart than this stay two link rows, so that readers see that it lay idle between
    them. At most the shortest lifetime of a link (correlate); what is nearer together may be cut apart or not, which changes nothing."""

    usage_age_days_max: int = 7
    """ApiUsage and PaymentAttempt that occurred longer ago are rejected (under `clock=append`)."""
    lease_age_days_max: int = 90
    """AddressLease that began longer ago is rejected (under `clock=append`)."""
    future_seconds_max: int = 300
    """How far `occurred_at` may lie ahead of now (under `clock=append`)."""
    lease_ahead_days_max: int = Field(default=30, ge=1)
    """An AddressLease whose `released_at` lies further ahead of now is rejected (under `clock=append`): who holds an address still names no release."""

    duplicate_window_offsets: int = Field(default=1_000_000, ge=1)
    """An event_id counts once within this many preceding offsets of its partition."""
    duplicate_memory_bytes_max: int = 256 << 20
    """Event ids that one process keeps in memory; what is beyond lies in memory-mapped files."""

    reject_value_bytes_max: int = 1 << 20
    """A longer value is cut in its reject; the header `weaklink-detail` tells its full size and SHA-256."""
    registry_refresh_seconds: float = 2.0
    """How often the registry of parties is read again."""
    schema_registry: SchemaRegistryConfig = SchemaRegistryConfig()
