"""Small worlds (tests.campaigns.worlds) as what parties publish: events with tokens of one epoch of keys, or of two side by side."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import polars as pl
from kafka import KafkaProducer

from tests.campaigns.worlds import START_US, World
from tests.waiting import PATIENCE_SECONDS
from weaklink.kafka_options import KafkaConfig
from weaklink.records.codec import encode

Account = tuple[str, str]
Value = tuple[int, int]
"""Kind and number of an identifier."""


def token(value: Value, epoch: int) -> bytes:
    """As a keyed hash would make it."""
    kind, number = value
    return bytes((kind, epoch)) + hashlib.blake2b(f"{kind} {number}".encode(), digest_size=15, key=bytes((epoch,))).digest()  # fmt: skip


class Publisher:
    """Publishes events of accounts; every event has an id of its own."""

    def __init__(self, world: World) -> None:
        self.opened = {(one["party"], one["account_name"]): one for one in pl.concat(world.accounts).to_dicts()}
        self.usage: dict[Account, list[dict[str, Any]]] = defaultdict(list)
        for one in pl.concat(world.usage).to_dicts():
            self.usage[one["party"], one["account_name"]].append(one)
        self.values: dict[Account, list[Value]] = defaultdict(list)
        for one in pl.concat(world.links).to_dicts():
            self.values[one["party"], one["account_name"]].append((one["kind"], one["value"]))
        self.published = 0

    def copy(self, account: Account, name: str) -> Account:
        """A new account that does as that one does, on the same identifiers."""
        new = (account[0], name)
        self.opened[new] = self.opened[account]
        self.usage[new], self.values[new] = self.usage[account], self.values[account]
        return new

    def events(self, accounts: Iterable[Account], *epochs: int, usage: bool = True) -> list[tuple[str, bytes]]:
        """(party, value) of the opening of these accounts, what they hold in the tokens of these epochs, and their usage."""
        found = []
        for account in accounts:
            party, name = account
            tokens = [token(value, epoch) for value in self.values[account] for epoch in epochs]
            common = {"account": name, "address_class": "UNKNOWN"}
            own = {
                "plan": self.opened[account]["plan"],
                "verified": self.opened[account]["verified"],
                "mail_class": "UNKNOWN",
            }
            opened_us = self.opened[account]["opened_us"]
            events = [
                ("AccountOpened", common | own | {"occurred_at": opened_us, "identifiers": []}),
                # What it holds is seen on the world's first day, as its links have it.
                ("AccountOpened", common | own | {"occurred_at": START_US, "identifiers": tokens}),
            ]
            events += [
                (
                    "ApiUsage",
                    common
                    | {
                        "occurred_at": one["at"],
                        "identifiers": [],
                        "window_seconds": 60,
                        "model": "m",
                        "end_user": None,
                    }
                    | {key: one[key] for key in ("task", "requests", "input_tokens", "output_tokens")},
                )
                for one in (self.usage[account] if usage else ())
            ]
            for record, fields in events:
                self.published += 1
                found.append((party, encode(record, fields | {"event_id": self.published.to_bytes(16, "big")})))
        return found


def publish(kafka: KafkaConfig, events: Sequence[tuple[str, bytes]]) -> None:
    """Send, and return when the broker has them all."""
    producer = KafkaProducer(**kafka.client_options(), linger_ms=20, batch_size=200_000)
    for party, value in events:
        producer.send(f"party.{party}.events", value)
    producer.flush(PATIENCE_SECONDS)
    producer.close()


def holders(publisher: Publisher, accounts: Iterable[Account]) -> Mapping[Value, set[Account]]:
    """Who holds what."""
    found: dict[Value, set[Account]] = defaultdict(set)
    for account in accounts:
        for value in publisher.values[account]:
            found[value].add(account)
    return found
