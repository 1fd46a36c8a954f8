"""One sample of lag, put together for those who look: per reader and per party, as JSON. `weaklink lag`, the exporter and the console all show this."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from weaklink import topology
from weaklink.ops.lag import Outlook, ReaderLag
from weaklink.ops.verdict import Verdict, worst
from weaklink.parties import party_of_topic

Row = tuple[ReaderLag, Outlook]
_EVENTS: Final = ".events"
_ACTIONS: Final = ".actions"


@dataclass(frozen=True, slots=True)
class PartyLag:
    """One party from both sides: its events that wait for ingest, and its actions that wait for it.

    `silent_seconds`: since the broker took its last event; None: its topic holds none. Of several groups that read its actions the
    best one counts: a second reader that was given up is no reason to call a party deaf.
    """

    party: str
    events_waiting: int
    events_seconds: float
    events_verdict: Verdict
    actions_unread: int
    actions_seconds: float
    actions_verdict: Verdict
    silent_seconds: float | None


@dataclass(frozen=True, slots=True)
class LagReport:
    """Everything about lag at one time. `last_event_us`: append time of each party's newest event."""

    at_us: int
    rows: Sequence[Row]
    last_event_us: Mapping[str, int] = field(default_factory=dict)

    @property
    def parties(self) -> list[PartyLag]:
        """Every party that has topics, by id."""
        return [self._party(party) for party in _parties_of(self.rows)]

    def _party(self, party: str) -> PartyLag:
        events = [
            (one, ahead.verdicts[one.topic, one.partition])
            for lag, ahead in self.rows
            for one in lag.partitions
            if lag.group == _INGEST and one.topic == f"party.{party}{_EVENTS}"
        ]
        unread = [(lag, ahead) for lag, ahead in self.rows if lag.reader == f"party {party}"]
        nearest = min(unread, key=lambda row: (row[0].seconds, row[0].records), default=None)
        last_us = self.last_event_us.get(party)
        return PartyLag(
            party,
            events_waiting=sum(one.records for one, _ in events),
            events_seconds=max((one.seconds(self.at_us) for one, _ in events), default=0.0),
            events_verdict=worst(verdict for _, verdict in events),
            actions_unread=nearest[0].records if nearest else 0,
            actions_seconds=nearest[0].seconds if nearest else 0.0,
            actions_verdict=nearest[1].verdict if nearest else Verdict.OK,
            silent_seconds=None if last_us is None else max(0.0, (self.at_us - last_us) / 1e6),
        )

    def to_json(self) -> dict[str, Any]:
        """`at_us`; `readers`: totals, outlook, partitions; `parties`: `PartyLag`. Seconds and counts; null where there is no such number."""
        return {
            "at_us": self.at_us,
            "readers": [_reader_json(lag, ahead) for lag, ahead in self.rows],
            "parties": [_party_json(one) for one in self.parties],
        }


_INGEST: Final = topology.stage("ingest").group


def _parties_of(rows: Iterable[Row]) -> list[str]:
    topics = {one.topic for lag, _ in rows for one in lag.partitions}
    return sorted({party_of_topic(topic) for topic in topics if topic.startswith("party.")})


def _reader_json(lag: ReaderLag, ahead: Outlook) -> dict[str, Any]:
    return {
        "reader": lag.reader,
        "group": lag.group,
        "members": lag.members,
        "records": lag.records,
        "seconds": round(lag.seconds, 3),
        "verdict": ahead.verdict.value,
        "missing_topics": list(lag.missing),
        "trend": ahead.trend,
        "records_per_second": round(ahead.records_per_second, 3),
        "caught_up_seconds": None if ahead.caught_up_seconds is None else round(ahead.caught_up_seconds, 1),
        "skew": round(lag.skew, 3),
        "partitions": [
            {
                "topic": one.topic,
                "partition": one.partition,
                "committed": one.committed,
                "end": one.end,
                "records": one.records,
                "exact": one.exact,
                "seconds": round(one.seconds(lag.at_us), 3),
                "verdict": ahead.verdicts[one.topic, one.partition].value,
            }
            for one in lag.partitions
        ],
    }


def _party_json(one: PartyLag) -> dict[str, Any]:
    return {
        "party": one.party,
        "events_waiting": one.events_waiting,
        "events_seconds": round(one.events_seconds, 3),
        "events_verdict": one.events_verdict.value,
        "actions_unread": one.actions_unread,
        "actions_seconds": round(one.actions_seconds, 3),
        "actions_verdict": one.actions_verdict.value,
        "silent_seconds": None if one.silent_seconds is None else round(one.silent_seconds, 1),
    }
