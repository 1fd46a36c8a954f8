"""Rejects that a party can act on: grouped by reason and field, written out to be mended, and mended by rules.

A mended event keeps its event id. ingest knows the ids of what it accepted only, so the first replay counts and a second one is a duplicate.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from weaklink.errors import ConfigurationError, RecordError
from weaklink.partner.models import EVENT_MODELS
from weaklink.partner.reading import Reject
from weaklink.records import reasons
from weaklink.records.codec import decode

NOTE: Final = "_reject"
"""Key of a written row under which the reason stands; replaying ignores it."""
_SHIFT: Final = re.compile(r"([+-]\d+)([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class Group:
    """Rejects for the same reason in the same field. `example` is the newest of them."""

    reason: str
    field: str | None
    count: int
    example: Reject

    @property
    def explanation(self) -> str:
        """What the reason means, and how to mend it."""
        return self.example.explanation


def grouped(rejects: Iterable[Reject]) -> list[Group]:
    """The groups, largest first. A record batch that came back whole counts its records."""
    groups: dict[tuple[str, str | None], Group] = {}
    for reject in rejects:
        key, events = (reject.reason, reject.field), reject.last_offset - reject.offset + 1
        found = groups.get(key)
        groups[key] = (
            replace(found, count=found.count + events, example=reject) if found else Group(*key, events, reject)
        )
    return sorted(groups.values(), key=lambda group: (-group.count, group.reason, group.field or ""))


def row_of(reject: Reject) -> dict[str, Any]:
    """The event as a row of a file (see `weaklink.partner.rows`), with the reason under `_reject`.

    Where the bytes cannot be read as an event, the row holds nothing but the reason and the bytes: such a one is mended where it was made.
    """
    place = f"{reject.topic} partition {reject.partition} offset {reject.offset}"
    note = {"reason": reject.reason, "field": reject.field, "detail": reject.detail, "place": place}
    try:
        record, values = decode(reject.value)
    except RecordError as error:
        return {NOTE: note | {"unreadable": error.detail, "value": reject.value.hex()}}
    if record not in EVENT_MODELS:
        return {NOTE: note | {"unreadable": f"{record} is no record that parties publish", "value": reject.value.hex()}}
    row = {"event_type": record, **{name: _plain(value) for name, value in values.items()}}
    row["identifiers"] = [{"token": token.hex()} for token in values.get("identifiers", ())] or None
    if values.get("end_user") is not None:
        row["end_user"] = {"token": values["end_user"].hex()}
    if len(values["event_id"]) != 16:
        row["event_id"] = None  # one that follows from the row takes its place
    return {NOTE: note, **{name: value for name, value in row.items() if value is not None}}


@dataclass(frozen=True, slots=True)
class Mending:
    """A rule: rejects in which `field` was at fault get `value` there; nothing: the field is left out; `+90s`, `-2h`: a time is moved."""

    field: str
    value: str

    @classmethod
    def parse(cls, text: str) -> "Mending":
        """From `FIELD=VALUE`. Raises ConfigurationError."""
        field, equals, value = text.partition("=")
        known = {name for model in EVENT_MODELS.values() for name in model.model_fields} - {"event_id"}
        if not equals or field not in known:
            raise ConfigurationError(
                f"--mend {text}: write FIELD=VALUE, where FIELD is one of {', '.join(sorted(known))}"
            )
        return cls(field, value)

    def apply(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """The row, mended. Raises RecordError when a time to be moved is none."""
        changed = {name: value for name, value in row.items() if name != self.field}
        if not self.value:
            return changed
        shift = _SHIFT.fullmatch(self.value)
        if shift and self.field in ("occurred_at", "released_at"):
            try:
                moved = datetime.fromisoformat(row[self.field]) + timedelta(seconds=int(shift[1]) * _SECONDS[shift[2]])
            except (KeyError, OverflowError) as error:
                raise RecordError(reasons.MALFORMED, "there is no such time to move", self.field) from error
            return changed | {self.field: moved.isoformat()}
        return changed | {self.field: self.value}


def mended(rejects: Iterable[Reject], mendings: Iterable[Mending]) -> list[dict[str, Any]]:
    """The rows of those rejects whose field one of the rules mends; the others are left out. Raises RecordError."""
    rules = {rule.field: rule for rule in mendings}
    rows = [(rules[reject.field], row_of(reject)) for reject in rejects if reject.field in rules]
    return [rule.apply(row) for rule, row in rows if "event_type" in row]


def _plain(value: Any) -> Any:
    """A value as JSON has it."""
    if isinstance(value, bytes):
        return value.hex()
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else value
