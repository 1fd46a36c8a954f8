"""Attempts to sign in: how many one name, and one address, may make within some minutes."""

import ipaddress
import time
from collections.abc import Callable
from typing import Final

from weaklink.console.config import ConsoleConfig

_SUBSCRIBER_BITS: Final = 64
"""Of an IPv6 address: the rest is its owner's to choose (RFC 6177)."""


class Attempts:
    """Attempts by name and by client address, until one is right: after so many either waits. In memory: a restart forgives.

    Counted as they begin, so that many at once are no more than the same many one after another.
    """

    def __init__(self, config: ConsoleConfig, clock: Callable[[], float] = time.monotonic) -> None:
        seconds = config.attempts_minutes * 60
        self._clock = clock
        self._by_name = _Recent(config.attempts_max, seconds)
        self._by_address = _Recent(config.attempts_address_max, seconds)

    def begin(self, name: str, address: str) -> bool:
        """Count an attempt. False: the name, or the address, has to wait."""
        now, client = self._clock(), _client(address)
        if not (self._by_name.has_room(name, now) and self._by_address.has_room(client, now)):
            return False
        self._by_name.add(name, now)
        self._by_address.add(client, now)
        return True

    def forget_last(self, name: str, address: str) -> None:
        """The last one could not be judged."""
        self._by_name.forget_last(name)
        self._by_address.forget_last(_client(address))

    def right(self, name: str, address: str) -> None:
        """The password was right: what the name tried before is forgotten; of the address it is this one alone, since others may share it."""
        self._by_name.forget(name)
        self._by_address.forget_last(_client(address))


class _Recent:
    """When each key was last counted, `most` times at most, within so many seconds."""

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._times: dict[str, list[float]] = {}  # who was counted last comes last

    def has_room(self, key: str, now: float) -> bool:
        """Whether it may be counted once more. Drops the keys whose time is over: they are in front, so each is looked at once."""
        while self._times and (oldest := next(iter(self._times.items())))[1][-1] <= now - self._seconds:
            del self._times[oldest[0]]
        return sum(at > now - self._seconds for at in self._times.get(key, ())) < self._most

    def add(self, key: str, now: float) -> None:
        """Count it; there is room."""
        self._times[key] = [*self._times.pop(key, ())[-self._most :], now]

    def forget_last(self, key: str) -> None:
        """Count it once less."""
        times = self._times.get(key, [])
        del times[-1:]
        if not times:
            self.forget(key)

    def forget(self, key: str) -> None:
        """Count it no more."""
        self._times.pop(key, None)


def _client(address: str) -> str:
    """Whose address it is: of IPv6 the network that one subscriber has."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    if parsed.ipv4_mapped:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _SUBSCRIBER_BITS), strict=False))
