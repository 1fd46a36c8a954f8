"""The benign list: identifiers known to be shared infrastructure and accounts known to be good customers, edited by people.

Identifiers stand here as tokens only. A record is never changed: adding, adding again and removing each append one, so that the topic
`weaklink.benign` is list and history at once. Of an entry's records the latest counts.
"""

import json
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from weaklink.errors import ConfigurationError
from weaklink.records.identifiers import TOKEN_BYTES, IdentifierKind

ADD: Final = "ADD"
REMOVE: Final = "REMOVE"
_IDENTIFIER: Final = "token:"
_ACCOUNT: Final = "account:"
_LASTS: Final = re.compile(r"(\d+)d")


def token_entry(token: bytes) -> str:
    """The name of an identifier's entry."""
    return _IDENTIFIER + token.hex()


def account_entry(party: str, account: str) -> str:
    """The name of an account's entry."""
    return f"{_ACCOUNT}{party}/{account}"


class BenignRecord(BaseModel):
    """One change of the list. `entry` is `token:<34 hex digits>` or `account:<party>/<account>`; no raw identifier may be in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    entry: str
    op: Literal["ADD", "REMOVE"]
    reason: str = Field(min_length=1, max_length=500)
    by: str = Field(min_length=1, max_length=200)
    recorded_at: datetime
    expires_at: datetime | None = None
    """From then on the entry has no effect. None: it has until it is removed."""

    @field_validator("recorded_at", "expires_at")
    @classmethod
    def _zoned(cls, at: datetime | None) -> datetime | None:
        return at.replace(tzinfo=UTC) if at is not None and at.tzinfo is None else at

    @model_validator(mode="after")
    def _named(self) -> Self:
        if self.entry.startswith(_IDENTIFIER):
            try:
                token = bytes.fromhex(self.entry.removeprefix(_IDENTIFIER))
            except ValueError as error:
                raise ValueError(f"{self.entry} is not hexadecimal") from error
            if len(token) != TOKEN_BYTES or token[0] not in set(IdentifierKind):
                raise ValueError(f"{self.entry} is no token: {TOKEN_BYTES} bytes, the first of which is a kind")
        elif not re.fullmatch(r"account:[a-z0-9-]{2,40}/.{1,128}", self.entry):
            raise ValueError(f"{self.entry!r} is neither token:<hex> nor account:<party>/<account>")
        return self

    @property
    def token(self) -> bytes | None:
        """The identifier's token; None for an account."""
        return bytes.fromhex(self.entry.removeprefix(_IDENTIFIER)) if self.entry.startswith(_IDENTIFIER) else None

    @property
    def account(self) -> tuple[str, str] | None:
        """(party, account); None for an identifier."""
        if not self.entry.startswith(_ACCOUNT):
            return None
        party, _, account = self.entry.removeprefix(_ACCOUNT).partition("/")
        return party, account

    @property
    def kind(self) -> str:
        """The kind of identifier, or ACCOUNT."""
        return IdentifierKind(self.token[0]).name if self.token else "ACCOUNT"

    def to_json(self) -> bytes:
        """The value on the topic."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()

    def holds(self, now: datetime) -> bool:
        """Whether it has its effect at that time."""
        return self.op == ADD and (self.expires_at is None or self.expires_at > now)


def latest(records: Iterable[BenignRecord]) -> dict[str, BenignRecord]:
    """The record that counts, by entry: the latest, and of equal times the removal."""
    found: dict[str, BenignRecord] = {}
    for record in records:
        known = found.get(record.entry)
        if known is None or (record.recorded_at, record.op == REMOVE) >= (known.recorded_at, known.op == REMOVE):
            found[record.entry] = record
    return found


def record(**fields: object) -> BenignRecord:
    """A record of these fields. Raises ConfigurationError, not pydantic's ValidationError, when they make none."""
    try:
        return BenignRecord.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigurationError(
            f"benign list: {where + ': ' if where else ''}{first['msg'].removeprefix('Value error, ')}"
        ) from error


def expiry(text: str, now: datetime) -> datetime | None:
    """`never`, a number of days such as `180d`, or a date or time in ISO form. Raises ConfigurationError for anything else."""
    if text == "never":
        return None
    if match := _LASTS.fullmatch(text):
        return now + timedelta(days=int(match[1]))
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigurationError(f"--expires {text}: write never, a number of days such as 180d, or a date") from error
    return at if at.tzinfo else at.replace(tzinfo=UTC)


Tokens = Callable[[IdentifierKind, str], Iterable[bytes]]
