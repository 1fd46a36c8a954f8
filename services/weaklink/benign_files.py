"""Benign lists from files: CSV, NDJSON or Parquet, one identifier or account a row."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from weaklink.benign import ADD, BenignRecord, Tokens, account_entry, record, token_entry
from weaklink.errors import ConfigurationError, RecordError
from weaklink.partner.files import format_of, read_rows
from weaklink.records.identifiers import IdentifierKind

REASON: Final = "known shared infrastructure"
_KINDS: Final = frozenset(kind.name for kind in IdentifierKind)
_TRUE: Final = frozenset(("1", "true", "yes"))


def read_benign(
    path: Path,
    tokens: Tokens,
    kinds: Sequence[IdentifierKind],
    *,
    by: str,
    now: datetime,
    expires_at: datetime | None = None,
    reason: str | None = None,
) -> Iterator[BenignRecord]:
    """The rows of a file as records that add them.

    Columns: `party` and `account`; or `token` (hexadecimal); or `value` (or `identifier`), raw, with its `kind`, which `tokens` turns
    into tokens. A `kind` that is no kind of identifier (hub tables say exchange, contract, ...) is taken for the reason, and
    the value listed under each of `kinds`. Optional: `reason`, `expires_at`, which count before the arguments of these names.
    Where there is a column `benign` each row must say true: a list of others' indicators holds malicious ones, too.
    Raises ConfigurationError with file and line for a row that is none of this.
    """
    for row in read_rows(str(path), format_of(str(path))):
        try:
            if row.values is None:
                raise ConfigurationError(row.error or "not readable")
            if "benign" in row.values and str(row.values["benign"]).lower() not in _TRUE:
                raise ConfigurationError("its source does not call it benign; `weaklink partner indicators --benign` leaves such rows out")  # fmt: skip
            given = {name: value for name, value in row.values.items() if value is not None}
            for entry in _entries(given, tokens, kinds):
                yield record(
                    entry=entry,
                    op=ADD,
                    reason=given.get("reason") or reason or _class_of(given) or REASON,
                    by=by,
                    recorded_at=now,
                    expires_at=_expiry(given.get("expires_at")) or expires_at,
                )
        except (ConfigurationError, RecordError) as error:
            raise ConfigurationError(f"{path} line {row.line}: {error}") from error


def _entries(given: Mapping[str, Any], tokens: Tokens, kinds: Sequence[IdentifierKind]) -> list[str]:
    if "party" in given and "account" in given:
        return [account_entry(str(given["party"]), str(given["account"]))]
    if "token" in given:
        return [f"token:{str(given['token']).lower()}"]
    value = given.get("value", given.get("identifier"))
    if value is None:
        raise ConfigurationError("a row needs party and account, or token, or value (or identifier)")
    named = str(given.get("kind", "")).upper()
    of = [IdentifierKind[named]] if named in _KINDS else kinds
    if not of:
        raise ConfigurationError(f"kind {given.get('kind')!r} is no kind of identifier: say which ones with --as")
    found, refused = [], None
    for kind in of:
        try:
            found += [token_entry(token) for token in tokens(kind, str(value))]
        except RecordError as error:  # a value of several kinds need not be a valid one of each
            refused = error
    if not found and refused is not None:
        raise refused
    return found


def _class_of(given: Mapping[str, Any]) -> str | None:
    kind = given.get("kind")
    return str(kind) if kind is not None and str(kind).upper() not in _KINDS else None


def _expiry(value: Any) -> datetime | None:
    if value is None or isinstance(value, datetime):
        return value
    try:
        at = datetime.fromisoformat(str(value))
    except ValueError as error:
        raise ConfigurationError(f"expires_at {value!r} is not a time in ISO form") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)
