"""What every event should lead to: read from the parties' own topics, one by one."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from chaos.verifier.avro import Unreadable, read
from chaos.verifier.findings import Findings

Offset = tuple[str, int, int]
"""Topic, partition, offset."""
UsageKey = tuple[str, str, str]
"""Party, account, record."""
LinkKey = tuple[bytes, str, str]
"""Token, party, account."""
NOT_OF_INGEST: Final = frozenset({"NOT_YOUR_ACTION", "UNKNOWN_ACTION"})
"""Reasons of rejects that enforce writes, about receipts that ingest accepted."""
_UNLINKED: Final = frozenset({"ModelReleased", "ActionReceipt"})


@dataclass
class Expected:
    """Fed with the events topics. `refused`: says of (topic, record name, fields) of a readable event whether it must be rejected all the same."""

    refused: Callable[[str, str, dict[str, Any]], bool] = lambda *_: False
    events: int = 0
    repeated: int = 0
    bad: set[Offset] = field(default_factory=set)
    ids: dict[tuple[str, int], set[bytes]] = field(default_factory=lambda: defaultdict(set))
    usage: dict[UsageKey, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0, 0, 0]))
    links: dict[LinkKey, list[int]] = field(default_factory=lambda: defaultdict(lambda: [0, 0]))
    leased: set[LinkKey] = field(default_factory=set)
    receipts: dict[tuple[str, bytes], tuple[int, int]] = field(default_factory=dict)

    def take(self, record: Any) -> None:
        """One message of an events topic, in order."""
        self.events += 1
        where = (record.topic, record.partition, record.offset)
        try:
            name, fields = read(record.value)
        except Unreadable:
            self.bad.add(where)
            return
        if self.refused(record.topic, name, fields):
            self.bad.add(where)
            return
        party = record.topic.removeprefix("party.").removesuffix(".events")
        event_id = fields["event_id"]
        seen = self.ids[record.topic, record.partition]
        if event_id in seen:
            self.repeated += 1
            return
        seen.add(event_id)
        if name == "ActionReceipt":
            self.receipts[party, event_id] = (record.partition, record.offset)
            return
        self._tally(party, name, fields)

    def _tally(self, party: str, name: str, fields: dict[str, Any]) -> None:
        account = fields.get("account") or ""
        requests = fields.get("requests", 0)
        sums = self.usage[party, account, name]
        for at, value in enumerate((1, requests, fields.get("input_tokens", 0), fields.get("output_tokens", 0))):
            sums[at] += value
        if name in _UNLINKED:
            return
        for token in fields["identifiers"]:
            key = (token, party, account)
            if name == "AddressLease":
                self.leased.add(key)  # one row for each hour slot that it covers: there, not counted
            else:
                link = self.links[key]
                link[0] += 1
                link[1] += requests

    def check_published(self, published: set[bytes], found: Findings) -> None:
        """Events that the broker acknowledged are on the topics."""
        there = set().union(*self.ids.values()) if self.ids else set()
        there |= {event_id for _, event_id in self.receipts}
        if missing := published - there:
            found.loss(len(missing), f"acknowledged events are not on their topics, e.g. {next(iter(missing)).hex()}")


@dataclass
class Rejects:
    """Fed with the rejects topics."""

    named: dict[Offset, int] = field(default_factory=lambda: defaultdict(int))
    receipts: dict[Offset, int] = field(default_factory=lambda: defaultdict(int))

    def take(self, record: Any) -> None:
        """One reject: of one offset, or of the offsets `first-last` of a batch that was refused whole."""
        headers = {name: value.decode() for name, value in record.headers}
        if "weaklink-offset" not in headers:
            return
        first, _, last = headers["weaklink-offset"].partition("-")
        into = self.receipts if headers.get("weaklink-reason") in NOT_OF_INGEST else self.named
        for offset in range(int(first), int(last or first) + 1):
            into[headers["weaklink-topic"], int(headers["weaklink-partition"]), offset] += 1

    def compare(self, bad: set[Offset], found: Findings) -> None:
        """Each bad event once, and no good one."""
        for where in sorted(bad - set(self.named)):
            found.loss(1, f"{where} is malformed, and was not rejected")
        for where, times in sorted(self.named.items()):
            if where not in bad:
                found.wrong_reject(f"{where} is a good event")
            elif times > 1:
                found.duplicate(times - 1, f"{where} was rejected {times} times")
