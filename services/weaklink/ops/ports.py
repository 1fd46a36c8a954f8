"""Ports on loopback for processes that are about to start."""

import contextlib
import random
import socket
from pathlib import Path
from typing import Final

_PORT_MIN: Final = 10_000
_PORT_ATTEMPTS: Final = 1_000
_OUTGOING_PORTS: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_OUTGOING_PORTS_BEGIN: Final = 32_768  # Linux's default


def free_ports(count: int) -> list[int]:
    """Ports on loopback that are free at this moment, all different.

    They lie below those that the system gives to outgoing connections: of these any client may take one before it is bound here.
    """
    found: list[int] = []
    candidates = iter(random.sample(range(_PORT_MIN, _outgoing_ports_begin()), _PORT_ATTEMPTS))
    with contextlib.ExitStack() as stack:
        while len(found) < count:
            one = stack.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                one.bind(("127.0.0.1", port := next(candidates)))
                found.append(port)
    return found


def _outgoing_ports_begin() -> int:
    try:
        begin = int(_OUTGOING_PORTS.read_text().split()[0])
    except (OSError, ValueError):
        return _OUTGOING_PORTS_BEGIN
    return begin if begin > _PORT_MIN + _PORT_ATTEMPTS else _OUTGOING_PORTS_BEGIN
