"""Values in lines of logs: found by path, read as times, counts and addresses."""

import hashlib
import ipaddress
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from weaklink.errors import ConfigurationError, RecordError
from weaklink.records import reasons

# A number that large cannot be of the coarser unit: 10^11 seconds is the year 5138, 10^11 milliseconds is 1973.
_UNITS: Final = ((1e17, 1_000), (1e14, 1), (1e11, 1 / 1_000), (0, 1 / 1_000_000))


class Fields:
    """Where a line has what: for each of our names some usual paths, of which the party may replace one by its own."""

    def __init__(self, usual: Mapping[str, tuple[str, ...]], own: Mapping[str, str]) -> None:
        if unknown := sorted(set(own) - set(usual)):
            raise ConfigurationError(f"no field named {', '.join(unknown)}: there are {', '.join(usual)}")
        self._paths: Final = {name: (own[name],) if name in own else paths for name, paths in usual.items()}

    def get(self, line: Mapping[str, Any], name: str) -> Any:
        """The first of its paths that the line has a value at; None where there is none."""
        return next((found for path in self._paths[name] if (found := at(line, path)) not in (None, "")), None)

    def need(self, line: Mapping[str, Any], name: str, reason: str = reasons.MALFORMED) -> Any:
        """As `get`. Raises RecordError with the paths that were tried."""
        found = self.get(line, name)
        if found is None:
            raise RecordError(reason, f"nothing at {' or '.join(self._paths[name])}; --field {name}=PATH says where it is", name)  # fmt: skip
        return found


def at(line: Mapping[str, Any], path: str) -> Any:
    """The value at a path: a key as it stands, or keys with dots between."""
    if path in line:
        return line[path]
    head, _, rest = path.partition(".")
    inner = line.get(head)
    return at(inner, rest) if rest and isinstance(inner, Mapping) else None


def microseconds(value: Any, field: str) -> int:
    """Microseconds since 1970 from ISO 8601, or from a number of seconds, milliseconds, microseconds or nanoseconds, told apart by size.

    Times without a zone are UTC. Raises RecordError.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        try:
            moment = datetime.fromisoformat(str(value))
        except ValueError as error:
            raise RecordError(reasons.MALFORMED, "neither ISO 8601 nor a number", field) from error
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return round(moment.timestamp() * 1_000_000)
    if not 0 <= number < 1e20:
        raise RecordError(reasons.MALFORMED, "no time", field)
    scale = next(scale for least, scale in _UNITS if number >= least)
    if scale == 1_000 and str(value).isdigit():
        return int(value) // 1_000  # beyond what a float holds exactly
    return round(number / scale)


def count(value: Any, field: str) -> int:
    """A whole number; None is 0. Raises RecordError."""
    try:
        return int(value or 0)
    except (TypeError, ValueError) as error:
        raise RecordError(reasons.MALFORMED, "not a whole number", field) from error


def address(value: Any) -> str | None:
    """The client's address in a log field: the first of a forwarding chain, without port and brackets. None where it is none (a host name)."""
    text = str(value or "").split(",")[0].strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return None


def raw(kind: str, value: Any) -> list[dict[str, str]]:
    """An identifier of a row, or none where there is no value."""
    return [{"kind": kind, "value": str(value)}] if value not in (None, "") else []


def event_id(*parts: object) -> str:
    """An event id that follows from a source's own id, so that a file imported twice counts once."""
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()[:32]


def texts(value: Any) -> Iterable[str]:
    """Every text in messages of a prompt, whatever their nesting (`content`, `parts`, `text`)."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for name in ("content", "parts", "text"):
            yield from texts(value.get(name))
    elif isinstance(value, list):
        for one in value:
            yield from texts(one)
