"""Publishing recorded events at a pace: so many seconds of event time to a second of the clock on the wall."""

import time
from collections.abc import Callable
from datetime import datetime


class Pace:
    """Holds each event back until its turn, counted from the first one. Events older than one already let through pass at once."""

    def __init__(
        self,
        speed: float,
        clock_seconds: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._speed = speed
        self._clock_seconds = clock_seconds
        self._sleep = sleep
        self._begin: tuple[datetime, float] | None = None

    def wait(self, occurred_at: datetime) -> None:
        """Return when an event of this time may go out."""
        now = self._clock_seconds()
        if self._begin is None:
            self._begin = (occurred_at, now)
        first, started = self._begin
        ahead_seconds = (occurred_at - first).total_seconds() / self._speed - (now - started)
        if ahead_seconds > 0:
            self._sleep(ahead_seconds)
