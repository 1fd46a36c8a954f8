"""How a process waits, before it begins, for what it cannot work without."""

import signal
import threading
from collections.abc import Callable
from typing import Final, TypeVar

from weaklink.errors import WeaklinkError
from weaklink.health import Health

_RETRY_SECONDS: Final = 5.0
Made = TypeVar("Made")


class Away(WeaklinkError):
    """What the process waits for is not there yet; nothing but time, or a person elsewhere, can help."""

    def warn(self) -> None:
        """Say in the log what is missing, and what it keeps the process from."""
        raise NotImplementedError


def when_there(make: Callable[[], Made], health: Health | None) -> Made | None:
    """What `make` gives, tried until it raises no Away; None when a signal asks the process to stop before. In the main thread only.

    Outside of the group and not ready meanwhile: a worker that can begin has the partitions.
    """
    stopping = threading.Event()
    before = {one: signal.signal(one, lambda *_: stopping.set()) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        while not stopping.is_set():
            try:
                made = make()
            except Away as error:
                error.warn()
            else:
                return None if stopping.is_set() else made
            if health:
                health.turned(ready=False)
            stopping.wait(_RETRY_SECONDS)
        return None
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
