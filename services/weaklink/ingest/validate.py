"""Rules that every event must keep: one reason and field for each bad event, the first that applies in the order given here."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from weaklink.epochs import Expiry
from weaklink.ingest import decode_loops
from weaklink.ingest.config import MICROSECONDS_PER_DAY, IngestConfig
from weaklink.ingest.layout import Layout, Rule
from weaklink.records import reasons
from weaklink.records.identifiers import ACCOUNT_CHARACTERS_MAX, IDENTIFIERS_MAX, IdentifierKind

EVENT_ID_BYTES: Final = 16
_TEXT_CHARACTERS_MAX: Final = 256
_SLOTS: Final = 1 << 16
_US_PER_HOUR: Final = 3_600_000_000
_KIND_MIN: Final = int(min(IdentifierKind))
_KIND_MAX: Final = int(max(IdentifierKind))
_NO_AGE: Final = -1
_NUMBER_MAX: Final = (1 << 63) - 1
_COUNTS: Final = ("window_seconds", "requests", "input_tokens", "output_tokens", "revision")
_REQUIRED_TEXTS: Final = ("model", "action_id")
_OPTIONAL_TEXTS: Final = ("merchant", "reason", "note")


def rules_of(
    layout: Layout, config: IngestConfig, *, age_limits: bool, expiries: Sequence[Expiry] = ()
) -> tuple[Rule, ...]:
    """What events of this layout must keep, beyond what makes them readable (`layout.rules`). `age_limits` is false under `clock=event`.

    `expiries`: epochs of keys that are over. An event is judged by those that were over when it arrived, whenever it is read: a worker that reads it
    again to rebuild its window takes in the ids of just those events that were accepted.
    """
    return tuple(_rules(layout, config, age_limits, expiries))


def _rules(layout: Layout, config: IngestConfig, age_limits: bool, expiries: Sequence[Expiry]) -> Iterator[Rule]:
    slots = {name: slot for slot, name in enumerate(layout.columns)}
    yield Rule(reasons.BAD_EVENT_ID, "event_id", "not 16 bytes", decode_loops.SIZE, slots["event_id"], EVENT_ID_BYTES)
    if "account" in slots:
        yield _text("account", slots, reasons.BAD_ACCOUNT, ACCOUNT_CHARACTERS_MAX, empty_allowed=False)
    if "identifiers" in slots:
        slot = slots["identifiers"]
        detail = f"more than {IDENTIFIERS_MAX}"
        yield Rule(reasons.TOO_MANY_IDENTIFIERS, "identifiers", detail, decode_loops.ITEMS, slot, IDENTIFIERS_MAX)
        detail = "a token is not 17 bytes of a known kind"
        yield Rule(reasons.BAD_IDENTIFIER, "identifiers", detail, decode_loops.TOKENS, slot, _KIND_MIN, _KIND_MAX)
    if "end_user" in slots:
        kind, detail = int(IdentifierKind.END_USER), "not an END_USER token of 17 bytes"
        yield Rule(reasons.BAD_IDENTIFIER, "end_user", detail, decode_loops.TOKEN, slots["end_user"], kind)
    for one in sorted(expiries, key=lambda one: one.epoch, reverse=True):
        oldest, since_us = one.epoch + 1, int(one.expires_at.timestamp() * 1_000_000)
        detail = f"a token of an epoch before {oldest}, the oldest whose keys are in force"
        for name, check in (("identifiers", decode_loops.EPOCHS), ("end_user", decode_loops.EPOCH)):
            if name in slots:
                yield Rule(reasons.EXPIRED_EPOCH, name, detail, check, slots[name], oldest, since_us)
    yield from _times(layout.record, slots, config, age_limits)
    for name in _COUNTS:
        if name in slots:
            yield Rule(reasons.NEGATIVE_COUNT, name, "negative", decode_loops.RANGE, slots[name], 0, _NUMBER_MAX)
    for name in _REQUIRED_TEXTS:
        if name in slots:
            yield _text(name, slots, reasons.BAD_TEXT, _TEXT_CHARACTERS_MAX, empty_allowed=False)
    for name in _OPTIONAL_TEXTS:
        if name in slots and layout.is_text(name):
            yield _text(name, slots, reasons.BAD_TEXT, _TEXT_CHARACTERS_MAX, empty_allowed=True)


def _times(record: str, slots: Mapping[str, int], config: IngestConfig, age_limits: bool) -> Iterator[Rule]:
    occurred = slots["occurred_at"]
    days = {
        "ApiUsage": config.usage_age_days_max,
        "PaymentAttempt": config.usage_age_days_max,
        "AddressLease": config.lease_age_days_max,
    }.get(record)
    # Whatever the clock: times before 1970, or beyond the last slot number, cannot be kept at all.
    age_us, detail = _NO_AGE, "before 1970"
    if age_limits and days is not None:
        age_us, detail = days * MICROSECONDS_PER_DAY, f"more than {days} days ago"
    yield Rule(reasons.TOO_OLD, "occurred_at", detail, decode_loops.OLD, occurred, age_us)
    ahead_us, detail = _NO_AGE, "further ahead than slots are numbered"
    if age_limits:
        ahead_us, detail = config.future_seconds_max * 1_000_000, f"more than {config.future_seconds_max} s ahead"
    end_us = _SLOTS * config.slot_hours * _US_PER_HOUR
    yield Rule(reasons.IN_THE_FUTURE, "occurred_at", detail, decode_loops.AHEAD, occurred, ahead_us, end_us)
    if "released_at" in slots:
        floor = occurred if record == "AddressLease" else -1
        yield Rule(
            reasons.BAD_INTERVAL, "released_at", "too early", decode_loops.NOT_BEFORE, slots["released_at"], floor
        )
    if record == "AddressLease" and age_limits:
        days = config.lease_ahead_days_max
        ahead_us, detail = days * MICROSECONDS_PER_DAY, f"more than {days} days ahead"
        yield Rule(
            reasons.IN_THE_FUTURE,
            "released_at",
            detail,
            decode_loops.AHEAD,
            slots["released_at"],
            ahead_us,
            _NUMBER_MAX,
        )


def _text(field: str, slots: Mapping[str, Any], reason: str, characters_max: int, *, empty_allowed: bool) -> Rule:
    detail = f"empty, longer than {characters_max} characters, or with control characters"
    return Rule(reason, field, detail, decode_loops.TEXT, slots[field], characters_max, 0 if empty_allowed else 1)
