"""Settings of the console."""

import ipaddress

from pydantic import BaseModel, ConfigDict, Field, field_validator


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
    proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    """Addresses and networks of proxies in front, whose X-Forwarded-For is believed. Of any other, everybody behind it counts as one address."""
    session_hours: float = Field(default=12.0, gt=0)
    """A person signs in again after so long."""
    idle_minutes: float = Field(default=60.0, gt=0)
    """And after so long without a request of theirs: what an open page fetches by itself does not count."""
    attempts_max: int = Field(default=5, ge=1)
    """Wrong passwords for one name, before it has to wait."""
    attempts_address_max: int = Field(default=20, ge=1)
    """And from one address (of IPv6: one /64), whatever the names. Behind a proxy, `proxies` tells the addresses apart."""
    attempts_minutes: float = Field(default=5.0, gt=0)
    """How long either then waits."""
    refresh_seconds: float = Field(default=2.0, ge=0.1)
    """Time between two looks at the topic of campaigns and at the ledger."""
    lag_seconds: float = Field(default=5.0, ge=0.5)
    """Time between two samples of lag."""

    @field_validator("proxies")
    @classmethod
    def _are_networks(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for one in proxies:
            ipaddress.ip_network(one)  # its ValueError says what is wrong: taken for a name, it would never match
        return proxies
