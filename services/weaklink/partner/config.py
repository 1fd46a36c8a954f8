"""Settings of the partner SDK. Every field has its unit in its name or its docstring."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class PartnerConfig(BaseModel):
    """Environment: WEAKLINK_PARTNER__<NAME>."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    outside_lists: bool = False
    """Whether openings and usage get `address_class` and `mail_class` from the installed lists (extra `partner-lists`)."""
    key_file: Path | None = None
    """Keys of the local tokeniser (`weaklink partner key new`)."""
    tokeniser_url: str | None = None
    """Of the consortium's tokeniser (https://...), which keeps the keys; instead of `key_file`."""
    tokeniser_secret: SecretStr | None = None
    """What the party proves itself with there."""
    tokeniser_secret_file: Path | None = None
    """A file that holds it, instead of `tokeniser_secret`; a newline at its end does not count."""
    tokeniser_cafile: Path | None = None
    """Certificates that the tokeniser's must rest on (PEM). None: those of the operating system."""
    tokeniser_timeout_seconds: float = Field(default=60, gt=0)
    """How long to wait for its answer, times during which it asks to slow down included."""
    state_folder: Path = Path("build/partner")
    """Remembers handled actions, one small SQLite file per party."""

    compression: Literal["lz4", "gzip", "none"] = "lz4"
    """Of batches of events on their way to the broker."""
    linger_ms: int = Field(default=100, ge=0)
    """How long an event that is published in a stream waits for company in its batch; a single one is sent at once."""
    batch_bytes: int = Field(default=256 << 10, ge=1024)
    """Size of a batch, uncompressed; must stay below the events topic's max.message.bytes."""
    in_flight_bytes_max: int = Field(default=32 << 20, ge=1 << 20)
    """Bytes published and not yet acknowledged; beyond it publishing waits."""
    delivery_timeout_seconds: float = Field(default=120, gt=35)
    """After this long without an acknowledgement an event counts as failed."""
    metadata_timeout_seconds: float = Field(default=30, gt=0)
    """How long to look for a topic before saying that it is not there."""

    phone_country_code: str | None = Field(default=None, pattern=r"^[1-9]\d{0,2}$")
    """Calling code (e.g. 49) of phone numbers written without one; without it they are refused."""
    phone_trunk_prefix: str = Field(default="0", pattern=r"^\d?$")
    """Digit dialled before national numbers at home and dropped abroad: 0 in most countries, 8 in some, none in Italy."""
    token_cache_entries: int = Field(default=65_536, ge=0)
    """Values whose tokens are remembered, so that a frequent one is hashed, or asked for, once. 0: none."""
