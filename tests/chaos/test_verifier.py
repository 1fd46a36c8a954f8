"""The verifier finds what is planted, and finds nothing where nothing is."""

import hashlib
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from chaos.decisions import message as decision_message
from chaos.traffic import PARTIES, Traffic
from chaos.verifier.actions import Actions
from chaos.verifier.avro import Unreadable, read
from chaos.verifier.events import Expected
from chaos.verifier.findings import Findings

from chaos import verifier
from tests.chaos.planted import Message, Topics
from weaklink.parties import MAY_PUBLISH
from weaklink.records.codec import decode, encode


@pytest.fixture
def topics() -> Topics:
    made = Topics()
    for event in made.traffic.events(0, 120):
        made.publish(event)
    for event in made.traffic.ring(1)[:30]:
        made.publish(event)
    return made


def test_it_shares_no_code_with_what_it_judges() -> None:
    """Whatever it imports, and whatever that imports: of Weaklink, where the schema files lie and how to connect, and nothing else."""
    modules = [f"chaos.verifier.{path.stem}" for path in Path(verifier.__file__).parent.glob("*.py")]
    code = f"import sys, importlib\nfor one in {modules!r}: importlib.import_module(one)\nprint(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name for name in run.stdout.split() if name.startswith("weaklink.")}
    assert "chaos.verifier.columns" in run.stdout
    assert loaded == {
        "weaklink.errors", "weaklink.kafka_options", "weaklink.records", "weaklink.records.schemas",
    }  # fmt: skip


def counts(found: Findings) -> tuple[int, int, int]:
    return found.lost, found.duplicate_effects, found.rejected_wrongly


def test_what_is_whole_is_clean(topics: Topics) -> None:
    """Also with an event that its sender published twice: it is on the topic twice, and counts once."""
    topics.events.append(Message(topics.events[0].topic, 0, 10_000, topics.events[0].value))
    found = topics.judge(published={topics.traffic.event_id(number) for number in range(120)})
    assert found.clean, found.sentences


def test_a_lost_event_is_found(topics: Topics) -> None:
    """In activity, and each of its links."""
    several = [row for row in topics.activity if sum(row["account"] == one["account"] for one in topics.activity) > 1]
    topics.activity.remove(several[0])
    assert counts(topics.judge()) == (1, 0, 0)
    topics.links.pop(5)
    assert counts(topics.judge(shared=topics.shared())) == (2, 0, 0)


def test_an_event_that_counts_twice_is_found(topics: Topics) -> None:
    """In activity, and in links."""
    topics.activity.append(topics.activity[5])
    topics.links.append(next(row for row in topics.links if row["requests"]))
    assert counts(topics.judge()) == (0, 2, 0)


def test_a_loss_that_a_repetition_hides_in_the_count_is_found(topics: Topics) -> None:
    """The sums tell: one event of an account is gone, another one of it is there twice."""
    usage = [row for row in topics.activity if row["record"] == "ApiUsage"]
    first, second = next(
        (a, b) for a in usage for b in usage
        if a is not b and a["account"] == b["account"] and a["input_tokens"] != b["input_tokens"]
    )  # fmt: skip
    topics.activity.remove(first)
    topics.activity.append(second)
    assert counts(topics.judge()) == (1, 1, 0)


def test_a_shared_identifier_that_is_missing_or_said_twice_is_found(topics: Topics) -> None:
    """Each holder is said once."""
    shared = topics.shared()
    assert counts(topics.judge(shared=shared[1:])) == (1, 0, 0)
    assert counts(topics.judge(shared=[*shared, shared[0]])) == (0, 1, 0)


def test_rejects_are_held_against_what_is_malformed(topics: Topics) -> None:
    """A bad event must come back once; a good one never."""
    at = sum(one.topic == "party.lab-a.events" for one in topics.events)
    topics.events.append(Message("party.lab-a.events", 0, at, b"\xc3\x01 no event"))
    assert counts(topics.judge()) == (1, 0, 0)
    topics.reject(at)
    assert counts(topics.judge()) == (0, 0, 0)
    topics.reject(at)
    assert counts(topics.judge()) == (0, 1, 0)
    topics.reject(0)
    assert counts(topics.judge()) == (0, 1, 1)


def test_an_acknowledged_event_that_no_topic_has_is_lost(topics: Topics) -> None:
    """The broker said that it had it."""
    assert topics.judge(published={b"0" * 16}).lost == 1


def test_traffic_is_what_its_parties_may_publish_and_the_same_again() -> None:
    """Every number gives one event, which the codec reads; the verifier's own reader agrees with it."""
    kinds = {party.id: party.kind for party in PARTIES}
    traffic = Traffic(3, start_us=1_790_000_000_000_000)
    events = [*traffic.events(0, 300), *traffic.ring(2)]
    again = Traffic(3, start_us=1_790_000_000_000_000)
    assert [event.encoded() for event in events] == [
        event.encoded() for event in [*again.events(0, 300), *again.ring(2)]
    ]
    assert len({event.event_id for event in events}) == len(events)
    for event in events:
        assert kinds[event.party] in MAY_PUBLISH[event.record]
        assert read(event.encoded())[0] == decode(event.encoded())[0] == event.record
    with pytest.raises(Unreadable):
        read(events[0].encoded() + b"\x00")


DECISION, ANOTHER = decision_message("chaos-c", "lab-a", 1, 1), decision_message("chaos-c", "lab-a", 1, 2)


def action(action_id: str, **fields: Any) -> bytes:
    values = {
        "action_id": action_id, "revision": 1, "state": "ACTIVE", "party": "lab-a", "campaign_id": "chaos-c", "measure": "SUSPEND",
        "target_account": "chaos-c-0", "target_token": None, "slice_model": None, "slice_end_user": None, "issued_at": 1, "expires_at": 2,
        "respond_by": 2, "evidence_at": 1, "confidence": 0.95, "reasons": [], "expected_cut": 10.0, "benign_accounts_touched": 0,
        "tlp": "AMBER",
    }  # fmt: skip
    return encode("EnforcementAction", values | fields)


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    """A ledger with one decision, one action at revision 1, published, and one receipt."""
    path = tmp_path / "ledger.sqlite3"
    connection = sqlite3.connect(path)
    connection.executescript(
        """CREATE TABLE decisions (decision_id, refused);
        CREATE TABLE actions (campaign_id, party, target_account, target_token, slice_model, slice_end_user);
        CREATE TABLE dead_letters (error); CREATE TABLE receipts (party, event_id);
        CREATE TABLE outbox (topic, key, value, closed_wall_us, error); CREATE TABLE action_history (action_id, revision, published);"""
    )
    connection.execute("INSERT INTO decisions VALUES (?, '[]')", (hashlib.sha256(DECISION).hexdigest()[:32],))
    connection.execute("INSERT INTO receipts VALUES ('lab-a', ?)", (b"r" * 16,))
    connection.execute("INSERT INTO actions VALUES ('chaos-c', 'lab-a', 'chaos-c-0', NULL, NULL, NULL)")
    connection.execute("INSERT INTO action_history VALUES ('a', 1, 1)")
    connection.execute("INSERT INTO outbox VALUES ('party.lab-a.actions', ?, ?, 5, NULL)", (b"a", action("a")))
    connection.commit()
    connection.close()
    return f"sqlite:///{path}"


def published(*values: bytes, key: bytes = b"a") -> list[Message]:
    return [Message("party.lab-a.actions", 0, number, value, key) for number, value in enumerate(values)]


def judge_actions(ledger: str, messages: list[Message], *, decisions: tuple[bytes, ...] = (DECISION,), receipts: int = 1) -> Findings:  # fmt: skip
    found, expected, actions = Findings(), Expected(), Actions()
    expected.receipts["lab-a", b"r" * 16] = (0, 0)
    for value in decisions:
        actions.take_decision(Message("d", 0, 0, value))
    actions.receipts["lab-a", b"r" * 16] = receipts
    for message in messages:
        actions.take_published(message)
    actions.compare(expected, ledger, found)
    return found


def test_a_ledger_and_topics_that_agree_are_clean(ledger: str) -> None:
    """A revision that was delivered again is no second effect: the SDK drops it."""
    found = judge_actions(ledger, published(action("a"), action("a")))
    assert found.clean, found.sentences
    assert found.counted["redelivered"] == 1


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"decisions": (DECISION, ANOTHER)}, (1, 0)),
        ({"decisions": (DECISION, DECISION)}, (0, 1)),
        ({"receipts": 0}, (1, 0)),
        ({"receipts": 2}, (0, 1)),
    ],
    ids=str,
)
def test_decisions_and_receipts_count_once(ledger: str, wrong: dict[str, Any], expected: tuple[int, int]) -> None:
    """One that the ledger lacks is lost; one that comes twice is twice."""
    assert counts(judge_actions(ledger, published(action("a")), **wrong)) == (*expected, 0)


REFUSED = '[{"verdict": "STALE", "party": "lab-a", "measure": "SUSPEND", "target": "x"}]'


@pytest.mark.parametrize(
    ("campaign_id", "refused", "lost"),
    [("chaos-d", "[]", 2), ("chaos-d", REFUSED, 2), ("camp-d", "[]", 2), ("camp-d", REFUSED, 1)],
)
def test_a_measure_that_became_no_action_is_lost(ledger: str, campaign_id: str, refused: str, lost: int) -> None:
    """Though the ledger has its decision; of a campaign's own decision the ledger may say that it was refused. One that waits for a person is there."""
    decision = decision_message(campaign_id, "lab-a", 3, 1)
    with closing(sqlite3.connect(ledger.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("INSERT INTO decisions VALUES (?, ?)", (hashlib.sha256(decision).hexdigest()[:32], refused))
        connection.execute(
            "INSERT INTO actions VALUES (?, 'lab-a', ?, NULL, NULL, NULL)", (campaign_id, f"{campaign_id}-2")
        )
    found = judge_actions(ledger, published(action("a")), decisions=(DECISION, decision))
    assert counts(found) == (lost, 0, 0), found.sentences


def test_a_message_that_enforce_set_aside_is_lost(ledger: str) -> None:
    """Nobody will ever handle it."""
    with closing(sqlite3.connect(ledger.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("INSERT INTO dead_letters VALUES ('ValueError')")
    assert counts(judge_actions(ledger, published(action("a")))) == (1, 0, 0)


def test_an_action_that_its_party_never_got_is_lost(ledger: str) -> None:
    """Once as a message of the outbox, and once as a revision."""
    assert counts(judge_actions(ledger, [])) == (2, 0, 0)


def test_an_effect_that_the_ledger_does_not_have_is_one_too_many(ledger: str) -> None:
    """Another content under the same revision; an action that nobody decided, on a target that has one already."""
    other = judge_actions(ledger, published(action("a"), action("a", confidence=0.5)))
    assert other.duplicate_effects == 2  # not in the outbox, and two contents
    again = judge_actions(ledger, [*published(action("a")), *published(action("b"), key=b"b")])
    assert again.duplicate_effects == 3  # not in the outbox, not in the history, and two live actions of one effect
