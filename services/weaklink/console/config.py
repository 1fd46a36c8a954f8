"""Settings of the console."""

from pydantic import BaseModel, ConfigDict, Field


class ConsoleConfig(BaseModel):
    """Environment: WEAKLINK_CONSOLE__<NAME>."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    """Address to listen on. Anything but loopback wants a proxy in front that speaks TLS, and `https`."""
    port: int = Field(default=8470, ge=0, le=65535)
    """Port to listen on; 0: any that is free."""
    names: tuple[str, ...] = ("localhost", "127.0.0.1", "::1")
    """Names by which browsers may call the console (the Host header): any other is refused, so that no foreign page reaches it by DNS."""
    https: bool = False
    """Browsers reach the console by TLS: cookies are sent by TLS only."""
    session_hours: float = Field(default=12.0, gt=0)
    """A person signs in again after so long."""
    idle_minutes: float = Field(default=60.0, gt=0)
    """And after so long without a request."""
    attempts_max: int = Field(default=5, ge=1)
    """Wrong passwords for one name, before it has to wait."""
    attempts_minutes: float = Field(default=5.0, gt=0)
    """How long it then waits."""
    refresh_seconds: float = Field(default=2.0, ge=0.1)
    """Time between two looks at the topic of campaigns and at the ledger."""
    lag_seconds: float = Field(default=5.0, ge=0.5)
    """Time between two samples of lag."""
