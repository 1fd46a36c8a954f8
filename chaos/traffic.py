"""Numbered events of several parties: the same number and seed always give the same event, so that what is missing can be named.

`Traffic.event(n)` is ordinary life: people with a device, a card and an address of their household. `Traffic.ring(n)` is what campaigns
finds: accounts of one operator that share them across labs.
"""

import hashlib
import random
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from weaklink.parties import Party, PartyKind
from weaklink.records.codec import encode
from weaklink.records.identifiers import IdentifierKind as Kind

PARTIES: Final = (
    Party(id="lab-a", kind=PartyKind.LAB, events_partitions=3),
    Party(id="lab-b", kind=PartyKind.LAB, events_partitions=3),
    Party(id="router-a", kind=PartyKind.ROUTER, events_partitions=3),
    Party(id="pay-a", kind=PartyKind.PAYMENT, events_partitions=3),
    Party(id="cloud-a", kind=PartyKind.CLOUD, events_partitions=3),
)
_RECORDS: Final = ("ApiUsage",) * 11 + ("PaymentAttempt",) * 2 + ("AccountOpened",) * 2 + ("AddressLease",)
_USERS: Final = ("lab-a", "lab-b", "router-a")
_HOUSEHOLD_ACCOUNTS: Final = 4
_EPOCH: Final = 1
_RING_NUMBER: Final = 1 << 40  # far from ordinary events
_RING_ACCOUNTS: Final = 40
_RING_WINDOWS: Final = 6
_RING_TASKS: Final = ("REASONING_ELICITATION", "RUBRIC_GRADING", "SYNTHETIC_DATA", "AGENTIC_CODING")
_DAY_US: Final = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Event:
    """One event, ready to publish."""

    number: int
    party: str
    record: str
    values: dict[str, Any]

    @property
    def topic(self) -> str:
        """Where its party publishes it."""
        return f"party.{self.party}.events"

    @property
    def key(self) -> bytes:
        """Its account; of a receipt, the action."""
        return str(self.values.get("account") or self.values.get("action_id", "")).encode()

    @property
    def event_id(self) -> bytes:
        """Its id."""
        return bytes(self.values["event_id"])

    def encoded(self) -> bytes:
        """As single-object Avro."""
        return encode(self.record, self.values)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Events of `accounts` people of each party. `start_us`: when they are said to have happened, a few microseconds apart."""

    seed: int
    start_us: int = field(default_factory=lambda: time.time_ns() // 1000)
    accounts: int = 20_000

    def event(self, number: int) -> Event:
        """The event of that number."""
        chance = int.from_bytes(self._digest(b"what", number), "little")
        record = _RECORDS[chance % 16]
        party = {"PaymentAttempt": "pay-a", "AddressLease": "cloud-a"}.get(record, _USERS[(chance >> 8) % 3])
        who = (chance >> 16) % self.accounts
        values = self._head(number, f"{party}-{who}", self._belongings(record, who, number))
        return Event(number, party, record, values | self._body(record, chance >> 40))

    def events(self, begin: int, end: int) -> Iterator[Event]:
        """Those of numbers `begin` to `end` (exclusive)."""
        return (self.event(number) for number in range(begin, end))

    def ring(self, number: int) -> list[Event]:
        """One operator: 40 new accounts at two labs, of which groups share devices, cards, addresses and prompts, and some cards at a payment processor.

        One lab has closed some of them itself: with that, campaigns finds the rest within a tick or two.
        """
        chance = random.Random(f"{self.seed}/{number}")
        first = _RING_NUMBER + number * (1 << 12)
        events: list[Event] = []

        def add(party: str, record: str, account: str, tokens: list[bytes], body: dict[str, Any], back_us: int) -> None:
            at = first + len(events)
            head = self._head(at, account, tokens) | {"occurred_at": self.start_us - back_us}
            events.append(Event(at, party, record, head | body))

        for i in range(_RING_ACCOUNTS):
            party, account = ("lab-a", "lab-b")[i % 2], f"ring{number}-{i}"
            shared = [
                self.token(Kind.DEVICE, f"ring{number}", i // 4),
                self.token(Kind.CARD, f"ring{number}", i // 4 + (i % 2)),
                self.token(Kind.IP, f"ring{number}", i // 8),
                self.token(Kind.PROMPT, f"ring{number}", i // 12),
            ]
            opened = {"plan": "TRIAL", "verified": "NONE", "mail_class": "DISPOSABLE", "address_class": "HOSTING"}
            add(party, "AccountOpened", account, shared, opened, _DAY_US // 2)
            for _ in range(_RING_WINDOWS):
                requests = chance.randint(15, 30)
                usage = self._usage(requests, requests * 500, requests * 1500, chance.choice(_RING_TASKS))
                usage |= {"window_seconds": 3600, "address_class": "HOSTING"}
                add(party, "ApiUsage", account, shared, usage, chance.randrange(_DAY_US // 3))
            if i % 4 == 0:
                paid = {"merchant": party, "outcome": "APPROVED", "instrument": "PREPAID"}
                add("pay-a", "PaymentAttempt", f"ring{number}-pay-{i}", shared[:2], paid, _DAY_US // 3)
            if i % 8 == 0:
                add(party, "AccountClosed", account, [], {"reason": "DISTILLATION"}, 0)
        return events

    def receipt(self, number: int, party: str, action_id: str, revision: int, status: str = "DONE") -> Event:
        """A party's answer to an action."""
        values = {
            "event_id": self.event_id(number), "occurred_at": self.start_us + number % 1_000_000, "action_id": action_id,
            "revision": revision, "status": status, "reason": None, "note": None,
        }  # fmt: skip
        return Event(number, party, "ActionReceipt", values)

    def event_id(self, number: int) -> bytes:
        """The id of the event of that number."""
        return self._digest(b"id", number)

    def token(self, kind: Kind, owner: str, number: int) -> bytes:
        """A token as the SDK makes them: kind, epoch, fifteen bytes of a digest."""
        return bytes((kind, _EPOCH)) + self._digest(f"{kind}/{owner}".encode(), number)[:15]

    def _belongings(self, record: str, who: int, number: int) -> list[bytes]:
        if record == "AddressLease":
            return [self.token(Kind.IP, "lease", number)]
        home = who // _HOUSEHOLD_ACCOUNTS
        tokens = [self.token(Kind.CARD, "home", home), self.token(Kind.EMAIL, "own", who)]
        return tokens if record == "PaymentAttempt" else [*tokens, self.token(Kind.DEVICE, "home", home)]

    def _head(self, number: int, account: str, tokens: list[bytes]) -> dict[str, Any]:
        return {
            "event_id": self.event_id(number),
            "occurred_at": self.start_us + 10 * (number % 1_000_000),
            "account": account,
            "identifiers": tokens,
        }

    def _body(self, record: str, chance: int) -> dict[str, Any]:
        if record == "ApiUsage":
            # Tokens by chance: a loss and a repetition that would even out in the count show in the sums.
            return self._usage(1 + chance % 50, 1 + chance % 100_003, 1 + chance % 10_007, "OTHER")
        if record == "PaymentAttempt":
            return {"merchant": None, "outcome": "APPROVED", "instrument": "CREDIT"}
        if record == "AccountOpened":
            return {"plan": "PAID", "verified": "CARD", "mail_class": "BUSINESS", "address_class": "RESIDENTIAL"}
        return {"released_at": self.start_us + 3_600_000_000}

    @staticmethod
    def _usage(requests: int, input_tokens: int, output_tokens: int, task: str) -> dict[str, Any]:
        return {
            "window_seconds": 0, "model": "large-4", "task": task, "requests": requests, "input_tokens": input_tokens,
            "output_tokens": output_tokens, "end_user": None, "address_class": "RESIDENTIAL",
        }  # fmt: skip

    def _digest(self, what: bytes, number: int) -> bytes:
        return hashlib.blake2b(struct.pack(">qq", self.seed, number) + what, digest_size=16).digest()
