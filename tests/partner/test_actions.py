"""Actions on a real broker: each handled once, answered, and remembered across restarts and crashes."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from tests.partner.conftest import SUSPEND, Member

from weaklink.errors import BrokerError
from weaklink.partner import WeaklinkClient
from weaklink.partner.actions import HandledActions
from weaklink.partner.reading import read_actions
from weaklink.partner.symbols import ReceiptStatus
from weaklink.records.codec import encode

pytestmark = pytest.mark.kafka
IDLE_SECONDS = 0.0  # as soon as nothing waits


class Crash(BaseException):
    """The process dies here."""


def handle(member: Member, answers: dict[str, str] | None = None, crash_at: str | None = None) -> list[tuple[str, int]]:
    """Run a party's loop until no action comes; returns the actions that its own code was given."""
    seen: list[tuple[str, int]] = []
    with member.client() as client, client.actions(idle_seconds=IDLE_SECONDS) as actions:
        for received in actions:
            action = received.action
            seen.append((action.action_id, action.revision))
            if action.action_id == crash_at:
                raise Crash
            received.answer(ReceiptStatus((answers or {}).get(action.action_id, "DONE")))
    return seen


def test_an_action_is_accepted_on_receipt_and_answered_by_the_handler(member: Member) -> None:
    member.issue(("a1", 1), ("a2", 1), ("a3", 1))
    assert handle(member, {"a2": "REFUSED", "a3": "DISPUTED"}) == [("a1", 1), ("a2", 1), ("a3", 1)]
    receipts = member.receipts()
    for action_id, answer in (("a1", "DONE"), ("a2", "REFUSED"), ("a3", "DISPUTED")):
        assert [status for one, _, status in receipts if one == action_id] == ["ACCEPTED", answer]


def test_an_action_published_twice_is_handled_once_and_a_new_revision_again(member: Member) -> None:
    member.issue(("a1", 1), ("a1", 1))
    assert handle(member) == [("a1", 1)]
    member.issue(("a1", 2), ("a1", 1), ("a1", 3), ("a2", 1))
    assert handle(member) == [("a1", 3), ("a2", 1)]
    assert ("a1", 2, "ACCEPTED") not in member.receipts()


def test_what_ended_while_its_party_was_away_is_not_handed_out(member: Member) -> None:
    """Days later it would suspend the account for a moment, and have said that it accepts. That it has ended comes, for whoever did carry it out."""
    ends = {"issued_at": SUSPEND["issued_at"], "expires_at": SUSPEND["issued_at"] + timedelta(seconds=1)}
    over = [encode("EnforcementAction", SUSPEND | ends | {"action_id": f"a{n}", "revision": 1}) for n in (1, 2)]
    ended = encode("EnforcementAction", SUSPEND | ends | {"action_id": "a2", "revision": 2, "state": "EXPIRED"})
    member.issue(*over, ended, ("a3", 1))
    time.sleep(1.1)
    assert handle(member) == [("a2", 2), ("a3", 1)]
    assert {one[:2] for one in member.receipts()} == {("a2", 2), ("a3", 1)}


def test_after_a_restart_nothing_comes_again(member: Member) -> None:
    member.issue(("a1", 1), ("a2", 1))
    assert len(handle(member)) == 2
    assert handle(member) == []
    assert len(member.receipts()) == 4


def test_after_a_crash_the_action_in_hand_comes_again_and_those_answered_do_not(member: Member) -> None:
    """Sequence: a1 is answered, the process dies while it handles a2; a3 was fetched and not handed out."""
    member.issue(("a1", 1), ("a2", 1), ("a3", 1))
    with pytest.raises(Crash):
        handle(member, crash_at="a2")
    assert handle(member) == [("a2", 1), ("a3", 1)]


def test_an_action_that_is_remembered_is_dropped_even_when_its_offset_was_never_committed(member: Member) -> None:
    """Sequence: handled and remembered, then killed before the commit: the broker hands it out again."""
    member.issue(("a1", 1), ("a2", 1))
    memory = HandledActions(member.config.state_folder / f"{member.party.id}.sqlite3")
    memory.remember([("a1", 1)])
    memory.close()
    assert handle(member) == [("a2", 1)]


def test_processes_of_a_party_may_open_its_memory_at_once(tmp_path: Path) -> None:
    """Each that begins waits for the others, also when the file is new: none is turned away with a locked database."""
    for attempt in range(20):
        together = threading.Barrier(6)

        def open_and_remember(number: int, together: threading.Barrier = together, attempt: int = attempt) -> bool:
            together.wait()
            memory = HandledActions(tmp_path / f"{attempt}.sqlite3")
            memory.remember([(f"a{number}", 1)])
            covered = memory.covers(f"a{number}", 1)
            memory.close()
            return covered

        with ThreadPoolExecutor(6) as processes:
            assert all(processes.map(open_and_remember, range(6)))


def test_a_receipt_that_is_sent_again_counts_once(member: Member) -> None:
    """Its event id follows from its content, so that ingest drops the repeat; another answer has another id."""
    with member.client() as client:
        for status in (ReceiptStatus.DONE, ReceiptStatus.DONE, ReceiptStatus.DISPUTED):
            client.receipt("a1", 1, status)
    ids = [values["event_id"] for _, _, values in member.published()]
    assert len(ids) == 3
    assert len(set(ids)) == 2


def test_an_action_that_is_passed_over_stays_accepted_and_can_be_answered_later(member: Member) -> None:
    member.issue(("a1", 1))
    with member.client() as client:
        with client.actions(idle_seconds=IDLE_SECONDS) as actions:
            assert [received.action.action_id for received in actions] == ["a1"]
        client.receipt("a1", 1, ReceiptStatus.DONE, note="took a week")
    assert member.receipts() == [("a1", 1, "ACCEPTED"), ("a1", 1, "DONE")]
    assert handle(member) == []


def test_polling_hands_out_batches_and_settles_them_at_the_next_poll(member: Member) -> None:
    member.issue(*((f"a{number}", 1) for number in range(20)))
    seen: list[str] = []
    with member.client() as client, client.actions() as actions:
        while len(seen) < 20:
            for received in actions.poll():
                seen.append(received.action.action_id)
                received.done()
    assert sorted(seen) == sorted(f"a{number}" for number in range(20))
    assert handle(member) == []


def test_a_message_that_cannot_be_read_does_not_stop_the_others(member: Member) -> None:
    member.issue(b"\xc3\x01from-the-future", ("a1", 1))
    assert handle(member) == [("a1", 1)]


def test_a_party_that_was_never_added_is_told_so(member: Member) -> None:
    with (
        WeaklinkClient("nobody-at-all", member.kafka, member.config) as client,
        pytest.raises(BrokerError, match="is the party added"),
    ):
        client.actions()


def test_looking_at_actions_takes_nothing_away(member: Member) -> None:
    member.issue(("a1", 1), ("a1", 2))
    looked = [(action.action_id, action.revision) for action in read_actions(member.kafka, member.party.id)]
    assert looked == [("a1", 1), ("a1", 2)]
    assert handle(member) == looked[1:]  # the latest alone is to be carried out
