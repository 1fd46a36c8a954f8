"""Indicators of others, from STIX 2.1 bundles and from CSV: as listed identifiers with source and expiry, raw values hashed at once.

A STIX pattern counts as far as it is one comparison, or several joined by OR, of an address, a mail address or a Weaklink token: anything more
says something that a list of identifiers cannot hold, and is told, not guessed at.
"""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from stix2.exceptions import STIXError
from stix2.pattern_visitor import create_pattern_object
from stix2.patterns import (
    EqualityComparisonExpression,
    ObservationExpression,
    OrBooleanExpression,
    OrObservationExpression,
)
from stix2patterns.exceptions import ParseException

from weaklink.errors import ConfigurationError, RecordError
from weaklink.partner.builder import kind_of
from weaklink.records.identifiers import TOKEN_BYTES, IdentifierKind

Tokens = Callable[[IdentifierKind, str], tuple[bytes, ...]]
_KIND_OF_PATH: Final = {
    "ipv4-addr:value": IdentifierKind.IP,
    "ipv6-addr:value": IdentifierKind.IP,
    "email-addr:value": IdentifierKind.EMAIL,
}
_TOKEN_PATH: Final = "x-weaklink-token:value"  # a name of ours  # noqa: S105
_BENIGN: Final = "benign"


@dataclass(frozen=True, slots=True)
class Listed:
    """One identifier that somebody lists. `benign` is the source's own word for it (STIX indicator type `benign`, CSV column `benign`)."""

    token: bytes
    source: str
    benign: bool
    valid_from: datetime | None
    expires_at: datetime | None
    confidence: float | None

    def row(self) -> dict[str, Any]:
        """In the form that `weaklink benign import` takes, too."""
        return {
            "token": self.token.hex(),
            "kind": IdentifierKind(self.token[0]).name,
            "reason": self.source,
            "benign": self.benign,
            "valid_from": self.valid_from.isoformat() if self.valid_from else None,
            "expires_at": self.expires_at.isoformat() if self.expires_at else None,
            "confidence": self.confidence,
        }


@dataclass(frozen=True, slots=True)
class Unused:
    """An indicator that gives no listed identifier: which, and why."""

    name: str
    why: str


def read_indicators(path: Path, tokens: Tokens, now: datetime) -> Iterator[Listed | Unused]:
    """The indicators of a file: a STIX bundle (`.json`, `.stix`) or CSV with `kind`, `value`, `source`, and optionally `valid_from`,
    `expires_at`, `confidence` (0 to 1) and `benign`. What has expired or was revoked is unused. Raises ConfigurationError when it cannot be read.
    """
    try:
        if path.suffix.lower() == ".csv":
            with path.open(newline="", encoding="utf-8-sig") as lines:
                reader = csv.DictReader(lines)
                for row in reader:
                    yield from _kept(f"line {reader.line_num}", partial(_of_row, row, tokens), now)
            return
        bundle = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigurationError(f"{path} is neither a STIX bundle nor CSV: {error}") from error
    if not isinstance(bundle, dict) or bundle.get("type") != "bundle":
        raise ConfigurationError(f"{path} is no STIX bundle: its type is not bundle")
    names = {one.get("id"): one.get("name") for one in bundle.get("objects", ()) if one.get("type") == "identity"}
    for one in bundle.get("objects", ()):
        if one.get("type") == "indicator":
            name = str(one.get("id", "an indicator without id"))
            source = f"{names.get(one.get('created_by_ref')) or 'STIX'}: {one.get('name') or name}"
            yield from _kept(name, partial(_of_indicator, one, source, tokens), now)


def _kept(name: str, read: Callable[[], list[Listed]], now: datetime) -> Iterator[Listed | Unused]:
    try:
        found = read()
    except RecordError as error:
        yield Unused(name, error.detail)
        return
    except (KeyError, TypeError, ValueError, STIXError, ParseException) as error:
        yield Unused(name, f"cannot be read: {type(error).__name__} {str(error).splitlines()[0] if str(error) else ''}")
        return
    for one in found:
        yield Unused(name, f"expired {one.expires_at:%Y-%m-%d}") if one.expires_at and one.expires_at <= now else one


def _of_row(row: Mapping[str, str], tokens: Tokens) -> list[Listed]:
    kind = kind_of(row["kind"])
    return [
        Listed(
            token,
            row.get("source") or "CSV",
            str(row.get("benign")).lower() in ("1", "true", "yes"),
            _time(row.get("valid_from")),
            _time(row.get("expires_at")),
            float(row["confidence"]) if row.get("confidence") else None,
        )
        for token in tokens(kind, row["value"])
    ]


def _of_indicator(one: Mapping[str, Any], source: str, tokens: Tokens) -> list[Listed]:
    if one.get("revoked"):
        raise ValueError("it was revoked")
    if one["pattern_type"] != "stix":
        raise ValueError(f"its pattern is {one['pattern_type']}, not stix")
    found = [
        token
        for path, value in _compared(create_pattern_object(one["pattern"]))
        for token in _tokens(path, value, tokens)
    ]
    return [
        Listed(
            token,
            source,
            _BENIGN in one.get("indicator_types", ()),
            _time(one.get("valid_from")),
            _time(one.get("valid_until")),
            one["confidence"] / 100 if "confidence" in one else None,
        )
        for token in dict.fromkeys(found)
    ]


def _compared(expression: Any) -> Iterator[tuple[str, str]]:
    """(path, value) of a pattern that is one equality, or several with OR between."""
    if isinstance(expression, ObservationExpression):
        yield from _compared(expression.operand)
    elif isinstance(expression, OrBooleanExpression | OrObservationExpression):
        for operand in expression.operands:
            yield from _compared(operand)
    elif isinstance(expression, EqualityComparisonExpression) and not expression.negated:
        yield str(expression.lhs), str(expression.rhs.value)
    else:
        raise ValueError("its pattern is more than equal values with OR between")


def _tokens(path: str, value: str, tokens: Tokens) -> tuple[bytes, ...]:
    if path == _TOKEN_PATH:
        token = bytes.fromhex(value)
        if len(token) != TOKEN_BYTES or token[0] not in set(IdentifierKind):
            raise ValueError("it names no token")
        return (token,)
    if path not in _KIND_OF_PATH:
        raise ValueError(f"{path} is no identifier that parties share")
    return tokens(_KIND_OF_PATH[path], value)


def _time(text: str | None) -> datetime | None:
    if not text:
        return None
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
