"""What the topics would hold had everything gone well, without a broker: to plant a loss, a repetition or a wrong reject in it."""

from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import polars as pl
from chaos.traffic import Event, Traffic
from chaos.verifier.columns import Columns
from chaos.verifier.events import Expected, Rejects
from chaos.verifier.findings import Findings

from weaklink import frames
from weaklink.account_keys import account_key


@dataclass
class Message:
    """As a consumer gives it."""

    topic: str
    partition: int
    offset: int
    value: bytes
    key: bytes = b""
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass
class Topics:
    """Events, and per event the rows that ingest and correlate would write."""

    traffic: Traffic = field(default_factory=lambda: Traffic(7, start_us=1_790_000_000_000_000, accounts=12))
    events: list[Message] = field(default_factory=list)
    activity: list[dict[str, Any]] = field(default_factory=list)
    links: list[dict[str, Any]] = field(default_factory=list)
    rejects: list[Message] = field(default_factory=list)

    def publish(self, event: Event) -> None:
        """An event, and what is to become of it."""
        offset = sum(one.topic == event.topic for one in self.events)
        self.events.append(Message(event.topic, 0, offset, event.encoded()))
        values = event.values
        account = account_key(event.party, values["account"])
        usage = {name: values.get(name, 0) for name in ("requests", "input_tokens", "output_tokens")}
        row = {"account": account, "party": event.party, "account_name": values["account"], "record": event.record}
        self.activity.append(row | {"events": 1} | usage)
        for token in values["identifiers"]:
            self.links.append(
                {
                    "kind": token[0], "epoch": token[1], "identifier": int.from_bytes(token[2:10], "little"),
                    "tail": int.from_bytes(token[9:17], "little"), "slot": 0, "account": account, "mentions": 1,
                    "requests": usage["requests"], "last_seen_us": values["occurred_at"],
                }
            )  # fmt: skip

    def reject(self, offset: int, reason: str = "MALFORMED") -> None:
        """A reject of the offset on lab-a's topic."""
        headers = {"weaklink-reason": reason, "weaklink-topic": "party.lab-a.events", "weaklink-partition": "0", "weaklink-offset": f"{offset}"}  # fmt: skip
        self.rejects.append(Message("party.lab-a.rejects", 0, 0, b"", headers=tuple((k, v.encode()) for k, v in headers.items())))  # fmt: skip

    def shared(self) -> list[dict[str, Any]]:
        """Rows of the identifiers that two accounts or more hold, each account once."""
        holders: dict[tuple[int, int], dict[int, dict[str, Any]]] = defaultdict(dict)
        for row in self.links:
            holders[row["identifier"], row["slot"]].setdefault(row["account"], row)
        return [row for accounts in holders.values() if len(accounts) > 1 for row in accounts.values()]

    def judge(self, shared: list[dict[str, Any]] | None = None, published: set[bytes] | None = None) -> Findings:
        """What the verifier says."""
        found, expected, columns, rejects = Findings(), Expected(), Columns(), Rejects()
        for one in self.events:
            expected.take(one)
        for one in self.rejects:
            rejects.take(one)
        rejects.compare(expected.bad, found)
        if published is not None:
            expected.check_published(published, found)
        columns.activity.take(_message(self.activity, frames.ACTIVITY))
        columns.links.take(_message(self.links, frames.LINKS))
        columns.take_shared(_message(self.shared() if shared is None else shared, frames.SHARED))
        columns.compare(expected, found)
        return found


def _message(rows: list[dict[str, Any]], schema: pl.Schema) -> Message:
    frame = pl.DataFrame(rows, schema={name: schema[name] for name in rows[0]}, strict=False)
    return Message("t", 0, 0, frames.to_chunk(frame))
