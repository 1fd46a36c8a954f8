"""What the stage tells people about campaigns, on its own topic beside what it remembers: evidence, pictures, courses, weak classes.

Nothing here decides anything: what the stage does next does not depend on it. Each record has a key of its own that begins with
`case/`, is bounded in size, and is written again only when it says something else: a piece of evidence by half a nat, a volume by its
power of two. Evidence and pictures are those of a campaign's last plan; courses follow the days.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final

import polars as pl

from weaklink import topology
from weaklink.campaigns import course, dossier
from weaklink.campaigns.engine import Engine
from weaklink.campaigns.identity import DISPUTED, Campaign
from weaklink.campaigns.messages import CASE, at, micros
from weaklink.campaigns.outcome import Evaluation
from weaklink.campaigns.profiles import US_PER_HOUR, opened_attributes
from weaklink.parties import PartyKind
from weaklink.records.codec import decode, encode
from weaklink.stream.stage import Message
from weaklink.weaklinks import classes as weak
from weaklink.weaklinks.entries import PROGRAMMES

CLASSES_MAX: Final = 100
_CLASSES_KEY: Final = CASE + b"classes"
_US_TOLD: Final = 3 * US_PER_HOUR
"""Courses and weak classes are told anew after so much of the stage's time."""
_TIMES: Final = frozenset({"at", "day", "last_at", "first_at", "lost_at", "opened_at", "first_seen_at", "last_seen_at"})


class Casebook:
    """Takes plans as they are made (`planned`); `changes` gives the messages that bring the topic up to date."""

    def __init__(self, topic: str = topology.CAMPAIGNS) -> None:
        self._topic: Final = topic
        self._written: dict[bytes, int] = {}
        self._owner: dict[bytes, str] = {}
        """Campaign of each record of an account."""
        self._members = pl.DataFrame()
        self._doors: dict[str, list[dict[str, Any]]] = {}
        self._told_us = 0
        self._pending: dict[bytes, tuple[str, dict[str, Any], int]] = {}
        self._planned: set[str] = set()
        self._parties: Mapping[str, PartyKind] = {}

    def recall(self, written: Iterable[Message]) -> None:
        """Take in what the topic holds of these records; the last one of each key counts."""
        newest: dict[bytes, bytes | None] = {
            one.key: one.value for one in written if one.key is not None and one.key.startswith(CASE)
        }
        for key, value in newest.items():
            if not value:
                continue
            record, values = decode(value)
            self._written[key] = _signature(record, values)
            if record == "MemberEvidence":
                self._owner[key] = values["campaign_id"]
            elif record == "CampaignCourse":
                self._doors[values["campaign_id"]] = values["doors"]

    def of(self, parties: Mapping[str, PartyKind]) -> None:
        """The parties by which the plans to come are told."""
        self._parties = parties

    def planned(
        self, campaign: Campaign, members: pl.DataFrame, links: pl.DataFrame, evaluation: Evaluation, engine: Engine
    ) -> None:
        """A plan was made. `members`: planning.plan_members; `links`: planning.shared_links."""
        name = campaign.campaign_id
        for one in dossier.member_evidence(members, links, evaluation, engine.state):
            key = evidence_key(one.pop("key"))
            self._owner[key] = name
            self._put(key, "MemberEvidence", one | {"campaign_id": name})
        picture = dossier.graph(campaign, members, links, evaluation.now_us)
        self._put(_key("graph", name), "CampaignGraph", picture)
        lives = course.member_lives(members, engine.state)
        self._doors[name] = course.doors(campaign, lives, links, self._parties)
        self._planned.add(name)

    def changes(self, engine: Engine, now_us: int) -> list[Message]:
        """What is to be written after a tick."""
        tracker = engine.tracker
        late = now_us - self._told_us >= _US_TOLD
        due = {name for name in (tracker.campaigns if late else self._planned) if name in tracker.campaigns}
        for name in sorted(due):
            self._tell(engine, tracker.campaigns[name], now_us)
        if late:
            self._told_us = now_us
            self._put(_CLASSES_KEY, "WeakClasses", {"at": now_us, "classes": _classes(engine)})
        self._planned.clear()
        return self._messages(engine)

    def _tell(self, engine: Engine, campaign: Campaign, now_us: int) -> None:
        name, tracker = campaign.campaign_id, engine.tracker
        members = tracker.members.filter(pl.col("campaign_id") == name)
        if members.is_empty():
            return
        lives = course.member_lives(members, engine.state)
        daily = engine.state.profiles.daily.of(members["account"])
        former = tracker.former.filter((pl.col("campaign_id") == name) & (pl.col("reason") == DISPUTED))
        told = course.course(campaign, lives, daily, now_us, former.height)
        self._put(_key("course", name), "CampaignCourse", told | {"doors": self._doors.get(name, [])})

    def _put(self, key: bytes, record: str, values: dict[str, Any]) -> None:
        signature = _signature(record, values)
        if self._written.get(key) != signature:
            self._pending[key] = (record, values, signature)

    def _messages(self, engine: Engine) -> list[Message]:
        out = []
        for key in self._gone(engine):
            self._pending.pop(key, None)
            self._owner.pop(key, None)
            if self._written.pop(key, None) is not None:
                out.append(Message(self._topic, None, key))
        for key, (record, values, signature) in self._pending.items():
            out.append(Message(self._topic, encode(record, _timed(values)), key))
            self._written[key] = signature
        self._pending.clear()
        return out

    def _gone(self, engine: Engine) -> list[bytes]:
        """Keys of records whose subject is no more: accounts that left, pictures of campaigns without members."""
        members = engine.tracker.members
        if members is self._members:
            return []
        self._members = members
        present = {evidence_key(account) for account in members["account"]}
        live = set(members["campaign_id"].unique())
        gone = [key for key in self._owner if key not in present]
        for kind, names in (("graph", live), ("course", engine.tracker.campaigns.keys())):
            gone += [key for key in self._written if key.startswith(_key(kind, "")) and _name(key) not in names]
        return gone


def observer(casebook: Casebook, engine: Engine) -> Callable[[Campaign, pl.DataFrame, pl.DataFrame, Evaluation], None]:
    """What the engine calls with each plan."""

    def observe(campaign: Campaign, members: pl.DataFrame, links: pl.DataFrame, evaluation: Evaluation) -> None:
        casebook.planned(campaign, members, links, evaluation, engine)

    return observe


def _classes(engine: Engine) -> list[dict[str, Any]]:
    """Avro WeakClass rows over all accounts that are known, by what their openings said."""
    accounts = engine.state.profiles.accounts.rows(["account", "party", "requests", "opened_code"])
    inside = engine.tracker.members.filter("flagged")["account"]
    if accounts.is_empty() or inside.is_empty():
        return []
    known = accounts.select(
        pl.col("account").is_in(inside.implode()).alias("campaign"), "party", "requests", *opened_attributes()
    ).with_columns(pl.col("plan").cast(pl.String))
    known = known.with_columns(
        pl.when(pl.col("plan").is_in(PROGRAMMES)).then("plan").alias("programme"),
        *(pl.col(name).cast(pl.String).replace("UNKNOWN", None) for name in ("plan", "mail_class", "address_class")),
    )
    found = weak.classes(known).filter(pl.col("campaign_accounts") > 0).with_columns(weak.recommendation())
    return found.head(CLASSES_MAX).to_dicts()


def _key(kind: str, name: str) -> bytes:
    return CASE + f"{kind}/{name}".encode()


def _name(key: bytes) -> str:
    return key.split(b"/", 2)[2].decode()


def evidence_key(account: int) -> bytes:
    """Key of an account's MemberEvidence."""
    return CASE + f"evidence/{account:016x}".encode()


def _timed(values: Any, name: str = "") -> Any:
    """With microseconds as datetimes, where the field is a time."""
    if isinstance(values, Mapping):
        return {key: _timed(value, key) for key, value in values.items()}
    if isinstance(values, list):
        return [_timed(one) for one in values]
    return at(values) if name in _TIMES and isinstance(values, int) else values


def _signature(record: str, values: Mapping[str, Any]) -> int:
    """What decides whether a record is written again. Kept by key for as long as the record stands, so a number.

    Of times only those that happen once count, and of numbers their size: whatever a member does moves its last event and its requests.
    """
    if record != "MemberEvidence":
        return hash(repr(_plain({name: value for name, value in values.items() if name != "at"})))
    pieces = [(one["code"], round(one["weight"] * 2), one["parties"]) for one in values["pieces"]]
    shares = [(one["kind"], one["identifiers"], one["members"], one["others"]) for one in values["shares"]]
    once = [_plain(values[name]) for name in ("campaign_id", "lost_at", "plan", "verified", "established", "reseller")]
    volume = [round(math.log2(1 + values[name])) for name in ("requests", "requests_per_day")]
    return hash(repr((round(values["score"], 1), sorted(pieces), shares, once, volume)))


def _plain(values: Any) -> Any:
    """One form of a value before it was written and after it was read back: times as microseconds, mappings sorted."""
    if isinstance(values, Mapping):
        return sorted((name, _plain(one)) for name, one in values.items())
    if isinstance(values, list):
        return [_plain(one) for one in values]
    if isinstance(values, datetime):
        return float(micros(values))
    return float(values) if isinstance(values, (int, float)) and not isinstance(values, bool) else values
