"""What enforce made of decisions and receipts: the ledger in SQL, beside the messages on the topics."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from chaos.ledger import rows
from chaos.verifier.avro import read
from chaos.verifier.events import NOT_OF_INGEST, Expected
from chaos.verifier.findings import Findings

OF_THE_LABORATORY: Final = "chaos-"
"""Campaign ids of decisions that faults write themselves, for enforce (`chaos.decisions`): none of their measures may be refused."""
_TARGET: Final = ("campaign_id", "party", "target_account", "target_token", "slice_model", "slice_end_user")


@dataclass
class Actions:
    """Fed with decisions, receipts, and with all that enforce publishes."""

    decisions: Counter[str] = field(default_factory=Counter)
    asked: dict[str, list[Mapping[str, Any]]] = field(default_factory=dict)
    """By decision: the measures that it issues, each with its campaign."""
    receipts: Counter[tuple[str, bytes]] = field(default_factory=Counter)
    published: Counter[tuple[str, bytes, bytes]] = field(default_factory=Counter)
    revisions: dict[tuple[str, int], set[bytes]] = field(default_factory=lambda: defaultdict(set))
    newest: dict[str, dict[str, Any]] = field(default_factory=dict)

    def take_decision(self, record: Any) -> None:
        """One message of `weaklink.decisions`, as campaigns committed it."""
        decision_id = hashlib.sha256(record.value).hexdigest()[:32]
        self.decisions[decision_id] += 1
        _, decision = read(record.value)
        campaign = {"campaign_id": decision["campaign_id"]}
        self.asked[decision_id] = [campaign | one for one in decision["measures"] if one["op"] == "ISSUE"]

    def take_receipt(self, record: Any) -> None:
        """One message of `weaklink.receipts`."""
        _, fields = read(record.value)
        self.receipts[fields["party"], fields["event_id"]] += 1

    def take_published(self, record: Any) -> None:
        """One message of a topic that enforce writes."""
        self.published[record.topic, record.key or b"", hashlib.sha256(record.value or b"").digest()] += 1
        if record.topic.endswith(".actions"):
            _, action = read(record.value)
            self.revisions[action["action_id"], action["revision"]].add(record.value)
            before = self.newest.get(action["action_id"])
            if before is None or before["revision"] < action["revision"]:
                self.newest[action["action_id"]] = action

    def take_reject(self, record: Any) -> None:
        """One message of a rejects topic: those of receipts are enforce's."""
        if dict(record.headers).get("weaklink-reason", b"").decode() in NOT_OF_INGEST:
            self.take_published(record)

    def compare(self, expected: Expected, ledger_url: str, found: Findings) -> None:
        """Each decision and receipt once in the ledger; each published change once at its party; no two live actions of one effect."""
        self._compare_decisions(ledger_url, found)
        self._compare_measures(ledger_url, found)
        self._compare_receipts(expected, ledger_url, found)
        self._compare_outbox(ledger_url, found)
        self._compare_actions(ledger_url, found)
        found.counted["redelivered"] = sum(self.published.values()) - len(self.published)

    def _compare_decisions(self, ledger_url: str, found: Findings) -> None:
        handled = {row["decision_id"] for row in rows(ledger_url, "SELECT decision_id FROM decisions")}
        if dead := rows(ledger_url, "SELECT error FROM dead_letters"):
            found.loss(len(dead), f"messages that enforce set aside as dead letters, e.g. {dead[0]['error']}")
        if missing := self.decisions.keys() - handled:
            found.loss(len(missing), f"decisions that the ledger does not have, e.g. {min(missing)}")
        if invented := handled - self.decisions.keys():
            found.duplicate(len(invented), f"decisions in the ledger that nobody committed, e.g. {min(invented)}")
        if repeated := {one: times for one, times in self.decisions.items() if times > 1}:
            found.duplicate(sum(repeated.values()) - len(repeated), f"decisions committed more than once: {list(repeated)[:3]}")  # fmt: skip
        found.counted["decisions"] = len(self.decisions)

    def _compare_measures(self, ledger_url: str, found: Findings) -> None:
        """Each measure that a decision issues is an action, published or waiting for a person, or the ledger says that it was refused. Which measure an
        action has is enforce's to say: it may grant a milder one."""
        names = ", ".join(_TARGET)
        acted = {_target(row) for row in rows(ledger_url, f"SELECT {names} FROM actions")}
        acted |= {_target(action) for action in self.newest.values()}
        for row in rows(ledger_url, "SELECT decision_id, refused FROM decisions"):
            missing = [one for one in self.asked.get(row["decision_id"], ()) if _target(one) not in acted]
            refused = json.loads(row["refused"]) if isinstance(row["refused"], str) else row["refused"]
            excused = Counter((one["party"], one["measure"]) for one in refused)
            for one in missing:
                kind = one["party"], one["measure"]
                if one["campaign_id"].startswith(OF_THE_LABORATORY) or excused[kind] <= 0:
                    found.loss(1, f"a measure that was decided on and is no action: {one['measure']} for {one['party']}, {_target(one)}")  # fmt: skip
                excused[kind] -= 1
        found.counted["measures_asked"] = sum(map(len, self.asked.values()))

    def _compare_receipts(self, expected: Expected, ledger_url: str, found: Findings) -> None:
        for key in expected.receipts.keys() | self.receipts.keys():
            found.compare("receipts", key, [int(key in expected.receipts)], [self.receipts[key]])
        handled = {(row["party"], bytes(row["event_id"])) for row in rows(ledger_url, "SELECT party, event_id FROM receipts")}  # fmt: skip
        if missing := self.receipts.keys() - handled:
            found.loss(len(missing), f"receipts that the ledger does not have, e.g. {next(iter(missing))}")
        found.counted["receipts"] = len(self.receipts)

    def _compare_outbox(self, ledger_url: str, found: Findings) -> None:
        """What the ledger says that it published is on its topic, and nothing else is."""
        wanted: set[tuple[str, bytes, bytes]] = set()
        for row in rows(ledger_url, "SELECT topic, key, value, closed_wall_us, error FROM outbox"):
            effect = (row["topic"], bytes(row["key"]), hashlib.sha256(bytes(row["value"])).digest())
            wanted.add(effect)
            if row["error"] is None and effect not in self.published:
                state = "waits" if row["closed_wall_us"] is None else "is closed"
                found.loss(1, f"a message for {row['topic']} {state} in the outbox, and is not on the topic")
        if invented := self.published.keys() - wanted:
            found.duplicate(len(invented), f"messages that the outbox never had, e.g. on {next(iter(invented))[0]}")

    def _compare_actions(self, ledger_url: str, found: Findings) -> None:
        history = rows(ledger_url, "SELECT action_id, revision, published FROM action_history")
        told = {(row["action_id"], row["revision"]) for row in history if row["published"]}
        if missing := told - self.revisions.keys():
            found.loss(len(missing), f"revisions that their party never got, e.g. {min(missing)}")
        if invented := self.revisions.keys() - told:
            found.duplicate(len(invented), f"revisions that the ledger does not have, e.g. {min(invented)}")
        if differing := [key for key, contents in self.revisions.items() if len(contents) > 1]:
            found.duplicate(len(differing), f"revisions with two contents, e.g. {differing[0]}")
        live = Counter(_effect(action) for action in self.newest.values() if action["state"] == "ACTIVE")
        if several := {effect: times for effect, times in live.items() if times > 1}:
            found.duplicate(sum(several.values()) - len(several), f"live actions of one effect: {list(several)[:3]}")
        found.counted["actions"] = len(self.newest)


def _target(one: Mapping[str, Any]) -> tuple[object, ...]:
    """On what a campaign's measure or action is taken, and at which party."""
    return tuple(one[name] for name in _TARGET)


def _effect(action: Mapping[str, Any]) -> tuple[object, ...]:
    """Of this there may be one live action at a time."""
    return *_target(action), action["measure"]
