"""A crowd of parties that publish as real ones do: an event a batch, mixed records and framings, hardly ever, a great deal, or everything at once."""

import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np

from bench.load.people import tokens
from weaklink.parties import Party, PartyKind
from weaklink.records.codec import CONFLUENT_MARKER, SINGLE_OBJECT_FRAME_BYTES, encode
from weaklink.records.identifiers import IdentifierKind

REGISTERED: Final = ("AccountOpened", "ApiUsage", "AddressLease", "PaymentAttempt", "AccountClosed")
"""Records with an id in the schema registry: 1 and so on."""
LABS: Final = 3  # the first ones: what is planted lies at them
_HEAVY: Final = 3
_IDLE_EVERY: Final = 10
_MIXED_EVERY: Final = 7
_HEAVY_EVENTS: Final = 100
_HEAVY_GAP_US: Final = 50_000
_FLOOD_EVENTS: Final = 5_000
_MIXED_MAX: Final = 20
_CONFLUENT_SHARE: Final = 0.5
_ACCOUNTS: Final = 400
_SHOWN: Final = (IdentifierKind.IP, IdentifierKind.DEVICE, IdentifierKind.CARD)
_KINDS: Final = (PartyKind.ROUTER, PartyKind.LAB, PartyKind.CLOUD, PartyKind.PAYMENT)
_LEASE_US: Final = 86_400_000_000


class Habit(StrEnum):
    """How a party publishes."""

    SINGLE = "single"  # one event a batch
    MIXED = "mixed"  # a few events a batch, of several records, in both framings
    IDLE = "idle"  # one event in the whole run
    HEAVY = "heavy"  # large batches all the time
    FLOOD = "flood"  # nothing, and then very much at one moment


@dataclass(frozen=True, slots=True)
class Member:
    """A party of the crowd."""

    party: Party
    habit: Habit


def crowd(many: int) -> list[Member]:
    """So many parties (at least 20): the first three labs with single events, the last one floods, some before it are heavy."""
    members = []
    for number in range(many):
        kind = PartyKind.LAB if number < LABS else _KINDS[number % len(_KINDS)]
        if number == many - 1:
            kind, habit = PartyKind.ROUTER, Habit.FLOOD
        elif number >= many - 1 - _HEAVY:
            kind, habit = PartyKind.LAB, Habit.HEAVY
        elif number < LABS:
            habit = Habit.SINGLE
        elif number % _IDLE_EVERY == 0:
            habit = Habit.IDLE
        else:
            habit = Habit.MIXED if number % _MIXED_EVERY == 0 else Habit.SINGLE
        members.append(Member(Party(id=f"p{number:04d}", kind=kind, events_partitions=1), habit))
    return members


def moments(
    habit: Habit, seconds: float, rate: float, flood: int, generator: np.random.Generator
) -> list[tuple[int, int]]:
    """(microseconds after the start, events) of each batch of a party. `rate`: batches/s of single ones; `flood`: events that come at half-time."""
    whole_us = int(seconds * 1e6)

    def spread(per_second: float) -> list[int]:
        due: list[int] = np.sort(generator.integers(0, whole_us, generator.poisson(per_second * seconds))).tolist()
        return due

    match habit:
        case Habit.SINGLE:
            return [(due, 1) for due in spread(rate)]
        case Habit.MIXED:
            return [(due, int(generator.integers(2, _MIXED_MAX + 1))) for due in spread(1.0)]
        case Habit.IDLE:
            return [(int(generator.integers(0, whole_us)), 1)]
        case Habit.HEAVY:
            return [(due, _HEAVY_EVENTS) for due in range(0, whole_us, _HEAVY_GAP_US)]
        case Habit.FLOOD:
            return [(whole_us // 2, min(_FLOOD_EVENTS, flood - done)) for done in range(0, flood, _FLOOD_EVENTS)]


class Voice:
    """What one party says. Serials of its events are unique in the crowd."""

    def __init__(self, number: int, member: Member) -> None:
        self._number, self._member = number, member
        self._random = random.Random(number)
        self._said = 0
        held = number * _ACCOUNTS + np.arange(_ACCOUNTS)
        self._tokens = [[row.tobytes() for row in tokens(kind, held)] for kind in _SHOWN]

    def batch(self, events: int, at_us: int) -> list[tuple[bytes, bytes]]:
        """(key, value) of so many events as of `at_us`."""
        return [self._event(at_us) for _ in range(events)]

    def _event(self, at_us: int) -> tuple[bytes, bytes]:
        serial = (self._number << 32) + self._said
        self._said += 1
        draw = self._random.getrandbits(30)
        account = f"{self._member.party.id}-{draw % _ACCOUNTS:04d}"
        record = self._record(draw // _ACCOUNTS % 16)
        values = {
            "event_id": struct.pack(">qq", serial, serial ^ 0x5DEECE66D),
            "occurred_at": at_us,
            "account": account,
            "identifiers": [own[draw % _ACCOUNTS] for own in self._tokens[: 2 + draw % 2]],
        }
        value = encode(record, values | _further(record, draw, at_us))
        if self._member.habit is Habit.MIXED and self._random.random() < _CONFLUENT_SHARE:
            frame = CONFLUENT_MARKER + (1 + REGISTERED.index(record)).to_bytes(4, "big")
            value = frame + value[SINGLE_OBJECT_FRAME_BYTES:]
        return account.encode(), value

    def _record(self, draw: int) -> str:
        own = {PartyKind.CLOUD: "AddressLease", PartyKind.PAYMENT: "PaymentAttempt"}
        usual = own.get(self._member.party.kind, "ApiUsage")
        if self._member.habit is not Habit.MIXED:
            return usual
        return "AccountOpened" if draw < 4 else ("AccountClosed" if draw == 4 else usual)


def _further(record: str, draw: int, at_us: int) -> dict[str, Any]:
    match record:
        case "AccountOpened":
            return {"plan": "PAID", "verified": "EMAIL", "mail_class": "FREE", "address_class": "RESIDENTIAL"}
        case "AddressLease":
            return {"released_at": at_us + _LEASE_US}
        case "PaymentAttempt":
            return {"merchant": None, "outcome": "APPROVED", "instrument": "CREDIT"}
        case "AccountClosed":
            return {"reason": "CUSTOMER_REQUEST"}
        case _:
            requests = 1 + draw % 20
            return {
                "window_seconds": 60, "model": "large-4", "task": "OTHER", "requests": requests, "input_tokens": requests * 400,
                "output_tokens": requests * 250, "end_user": None, "address_class": "RESIDENTIAL",
            }  # fmt: skip


def waits(
    written: Iterator[tuple[str, int, int, float]], read: list[tuple[str, int, int, float]]
) -> dict[str, list[tuple[float, float, int]]]:
    """By topic: (seconds that a batch waited, when it was appended, its events). One partition a topic.

    `written`: (topic, first offset, events, seconds at which it was appended); `read`: (topic, from offset, to offset, seconds at which what came
    of them was appended), ranges that do not overlap. A batch counts as read with its last event. Raises ValueError for one that never was.
    """
    ranges: dict[str, list[tuple[int, float]]] = {}
    for topic, _, to_offset, at in sorted(read, key=lambda one: (one[0], one[2])):
        ranges.setdefault(topic, []).append((to_offset, at))
    found: dict[str, list[tuple[float, float, int]]] = {}
    for topic, offset, events, appended in written:
        ends = ranges.get(topic, [])
        place = int(np.searchsorted([end for end, _ in ends], offset + events))
        if place == len(ends):
            raise ValueError(f"{topic}: offset {offset + events - 1} was never read")
        found.setdefault(topic, []).append((ends[place][1] - appended, appended, events))
    return found
