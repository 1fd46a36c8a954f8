"""Waiting for what other threads, processes and brokers bring about: until it is so, with patience for a busy machine."""

import time
from collections.abc import Callable
from typing import Final

PATIENCE_SECONDS: Final = 150
"""No test waits on purpose for so long: it is how much slower than usual a machine may be before a test gives up. Below pytest's own timeout."""
_PAUSE_SECONDS: Final = 0.05


def wait_until(condition: Callable[[], bool], explain: Callable[[], str] = lambda: "") -> None:
    """Return once the condition holds. Fails with the end of what `explain` says when it never does."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not so after {PATIENCE_SECONDS} s; {explain()[-3000:]}"
        time.sleep(_PAUSE_SECONDS)
