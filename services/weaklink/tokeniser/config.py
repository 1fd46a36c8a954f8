"""Settings of the tokeniser service. Every field has its unit in its name or its docstring."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from weaklink.partner.normalise import FORM_CHARACTERS_MAX


class TokeniserConfig(BaseModel):
    """Environment: WEAKLINK_TOKENISER__<NAME>."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    """Address to listen on; any other than loopback needs `certfile`, or `behind_proxy`."""
    port: int = Field(default=8460, ge=0, le=65_535)
    """TCP port."""
    key_file: Path | None = None
    """The keys (`weaklink partner key new`, `rotate`). A changed file is read again; nothing ever leaves it."""
    clients_file: Path = Path("build/weaklink/tokeniser-clients.json")
    """Who may ask: hashes of the parties' secrets (`weaklink tokeniser grant`). A changed file is read again."""
    certfile: Path | None = None
    """Certificate chain of the service (PEM)."""
    keyfile: Path | None = None
    """Its key; None: it is in `certfile`."""
    behind_proxy: bool = False
    """Whether a proxy on this machine or network ends TLS, so that the service itself need not."""

    values_per_second_max: float = Field(default=500, gt=0)
    """Values that one party may ask for in the long run."""
    values_burst_max: int = Field(default=20_000, ge=1)
    """Values that it may ask for at once after a quiet time."""
    values_per_day_max: int = Field(default=5_000_000, ge=1)
    """Values that it may ask for in a UTC day: at this pace all of IPv4 takes more than two years."""
    items_per_call_max: int = Field(default=1_000, ge=1)
    """Values in one call."""
    form_characters_max: int = Field(default=FORM_CHARACTERS_MAX, ge=64)
    """Length of one value. Clients keep back what is longer than 4,096; with less here, a call with a longer value fails as a whole."""

    @model_validator(mode="after")
    def _never_in_clear(self) -> Self:
        if self.host not in ("127.0.0.1", "::1", "localhost") and self.certfile is None and not self.behind_proxy:
            raise ValueError(
                f"host {self.host} without certfile: identifiers would cross the network in clear (or set behind_proxy)"
            )
        return self
