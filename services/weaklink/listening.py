"""Where servers listen: what keeps one from its port is a message that says what to choose instead, and comes before it says that it has started."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from weaklink.errors import ConfigurationError


@contextmanager
def told(what: str, host: str, port: int, instead: str) -> Iterator[None]:
    """A port that cannot be had in the block becomes ConfigurationError. `instead`: the option and setting that name another."""
    try:
        yield
    except (OSError, OverflowError) as error:  # OverflowError: no port has such a number
        raise ConfigurationError(
            f"{what} cannot be served at {host}:{port}: {error}; choose another {instead} (0: any that is free)"
        ) from error


def listen(what: str, host: str, port: int, instead: str) -> socket.socket:
    """A socket that listens. Raises ConfigurationError as `told` does."""
    with told(what, host, port, instead):
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
