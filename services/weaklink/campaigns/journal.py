"""What the stage remembers beyond the fold of its input, on a compacted topic: written as it changes, and read back after an assignment.

Which campaign an account belongs to, and what was asked of whom, depends on when evaluations took place, so no replay gives it back.
Every record has a key of its own and is a few hundred bytes to a few kilobytes, however large a campaign grows, and only records that
changed are written. All of a tick's records are in one transaction on one partition: a reader that stops at the last stable offset
sees the state after some tick, never half of one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from weaklink import topology
from weaklink.account_keys import account_hash
from weaklink.campaigns import messages, standing
from weaklink.campaigns.engine import Engine
from weaklink.campaigns.identity import FORMER, MEMBERS, Campaign, Clocks
from weaklink.records.codec import decode
from weaklink.stream.stage import Message

_CLOCK: Final = b"clock"


@dataclass(slots=True)
class Remembered:
    """The state that the journal holds. members: MEMBERS. former: FORMER."""

    campaigns: dict[str, Campaign] = field(default_factory=dict)
    members: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=MEMBERS))
    former: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=FORMER))
    clocks: Clocks = field(default_factory=Clocks)


def remembered(written: Iterable[Message]) -> Remembered:
    """The state after these messages: the last one of each key counts."""
    newest: dict[bytes | None, bytes] = {}
    for message in written:
        if message.key is not None and message.key.startswith(messages.CASE):
            continue
        newest.pop(message.key, None)
        if message.value:
            newest[message.key] = message.value
    found = Remembered()
    rows: dict[str, list[dict[str, Any]]] = {"CampaignMember": [], "FormerMember": []}
    measures: list[dict[str, Any]] = []
    for value in newest.values():
        record, values = decode(value)
        if record == "Campaign":
            found.campaigns[values["campaign_id"]] = messages.campaign_of(values)
        elif record == "StandingMeasure":
            measures.append(values)
        elif record == "CampaignsClock":
            found.clocks = messages.clocks_of(values)
        else:
            read = messages.member_of if record == "CampaignMember" else messages.former_of
            rows[record].append(read(values))
    # As the tracker meets them: in the order in which they were detected.
    found.campaigns = dict(sorted(found.campaigns.items(), key=lambda item: (item[1].detected_at_us, item[0])))
    found.members = _keyed(rows["CampaignMember"], MEMBERS)
    found.former = _keyed(rows["FormerMember"], FORMER)
    _give_measures(found.campaigns, measures)
    return found


def _give_measures(campaigns: Mapping[str, Campaign], records: Iterable[Mapping[str, Any]]) -> None:
    by_campaign: dict[str, dict[Any, dict[str, Any]]] = {}
    for values in records:
        measure = messages.measure_of(values)
        by_campaign.setdefault(values["campaign_id"], {})[standing.key(measure)] = measure
    for name, found in by_campaign.items():
        campaigns[name].measures = [measure for _, measure in standing.sorted_items(found)]
        campaigns[name].oldest_issue_us = min(one["issued_at_us"] for one in campaigns[name].measures)


def _keyed(rows: list[dict[str, Any]], schema: pl.Schema) -> pl.DataFrame:
    """Rows with the account's key, sorted by it."""
    if not rows:
        return pl.DataFrame(schema=schema)
    plain = pl.DataFrame(rows, schema={name: dtype for name, dtype in schema.items() if name != "account"})
    keyed = (
        part.with_columns(account_hash(str(party), "account_name").alias("account"))
        for (party,), part in plain.group_by("party", maintain_order=True)
    )
    return pl.concat(keyed).select(schema.names()).sort("account")


class Journal:
    """Knows what the topic holds. `changes` gives the messages that bring it to an engine's present state."""

    def __init__(self, topic: str = topology.CAMPAIGNS) -> None:
        self._topic: Final = topic
        self._heads: dict[bytes, bytes] = {}
        self._measures: dict[str, list[dict[str, Any]]] = {}
        self._members = pl.DataFrame(schema=MEMBERS)
        self._former = pl.DataFrame(schema=FORMER)

    def recall(self, written: Iterable[Message], engine: Engine) -> None:
        """Bring an engine to the state that was written last."""
        state = remembered(written)
        tracker = engine.tracker
        tracker.campaigns, tracker.members, tracker.former = state.campaigns, state.members, state.former
        engine.clocks = state.clocks
        self._heads = _heads(state.campaigns, state.clocks)
        self._measures = {name: campaign.measures for name, campaign in state.campaigns.items()}
        self._members, self._former = state.members, state.former

    def changes(self, engine: Engine) -> list[Message]:
        """What is to be written after a tick."""
        tracker = engine.tracker
        out = self._heads_changed(_heads(tracker.campaigns, engine.clocks))
        out += self._measures_changed(tracker.campaigns)
        out += self._rows_changed("member", self._members, tracker.members, messages.member_value)
        out += self._rows_changed("former", self._former, tracker.former, messages.former_value)
        self._members, self._former = tracker.members, tracker.former
        return out

    def _heads_changed(self, heads: dict[bytes, bytes]) -> list[Message]:
        out = [self._message(key, value) for key, value in heads.items() if self._heads.get(key) != value]
        out += [self._message(key, None) for key in self._heads if key not in heads]
        self._heads = heads
        return out

    def _measures_changed(self, campaigns: Mapping[str, Campaign]) -> list[Message]:
        now = {name: campaign.measures for name, campaign in campaigns.items()}
        out: list[Message] = []
        for name in self._measures | now:
            before, after = self._measures.get(name, []), now.get(name, [])
            if before is after:
                continue
            kept = {id(one) for one in before} & {id(one) for one in after}  # nearly all: a campaign has thousands
            old = {messages.measure_key(name, one): one for one in before if id(one) not in kept}
            new = {messages.measure_key(name, one): one for one in after if id(one) not in kept}
            if gone := old.keys() - new.keys():  # unless one that was kept stands under the same key
                gone -= {messages.measure_key(name, one) for one in after}
            out += [self._message(key, None) for key in old if key in gone]
            out += [
                self._message(key, messages.measure_value(name, one)) for key, one in new.items() if old.get(key) != one
            ]
        self._measures = now
        return out

    def _rows_changed(self, kind: str, before: pl.DataFrame, after: pl.DataFrame, encoded: Any) -> list[Message]:
        if before is after:
            return []
        gone = before.join(after, on="account", how="anti")["account"]
        new = after.join(before, on=after.columns, how="anti", nulls_equal=True, maintain_order="left")
        out = [self._message(_account_key(kind, account), None) for account in gone]
        return out + [
            self._message(_account_key(kind, row["account"]), encoded(row)) for row in new.iter_rows(named=True)
        ]

    def _message(self, key: bytes, value: bytes | None) -> Message:
        return Message(self._topic, value, key)


def _heads(campaigns: Mapping[str, Campaign], clocks: Clocks) -> dict[bytes, bytes]:
    heads = {campaign.campaign_id.encode(): messages.campaign_value(campaign) for campaign in campaigns.values()}
    return heads if clocks == Clocks() else heads | {_CLOCK: messages.clocks_value(clocks)}


def _account_key(kind: str, account: int) -> bytes:
    return f"{kind}/{account:016x}".encode()
