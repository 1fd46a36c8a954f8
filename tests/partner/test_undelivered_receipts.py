"""Receipts that a real broker refuses: their actions are not handled, and come again; nothing else does."""

import random
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from tests.partner.conftest import Member
from tests.waiting import wait_until

from weaklink.kafka_options import KafkaConfig
from weaklink.ops.topics import Topic
from weaklink.ops.topics_admin import apply, plan_topics
from weaklink.parties import Party, PartyKind
from weaklink.partner import DeliveryError, PartnerConfig, ReceivedAction, WeaklinkClient
from weaklink.partner.actions import ActionSubscription, HandledActions

pytestmark = pytest.mark.kafka
LONG_NOTE = random.Random(7).randbytes(128).hex()
"""Hard to compress, and with it a receipt is larger than `SHORT_ONLY_BYTES`."""
NO_BYTES, SHORT_ONLY_BYTES, MANY_BYTES = 64, 350, 1 << 20


def accept_at_most(member: Member, message_bytes: int) -> None:
    """From now on the broker refuses larger batches of the party's events."""
    topic = Topic(
        member.party.events_topic, 2, member.kafka.replication_factor, {"max.message.bytes": str(message_bytes)}
    )
    apply(member.kafka, plan_topics(member.kafka, [topic]))


@contextmanager
def refusing(member: Member) -> Iterator[None]:
    accept_at_most(member, NO_BYTES)
    yield
    accept_at_most(member, MANY_BYTES)


def answer_while_refused(member: Member, actions: ActionSubscription) -> Iterator[None]:
    """A party's loop, whose receipts are refused from its first action on."""
    for received in actions:
        accept_at_most(member, NO_BYTES)
        received.done()
        yield


def covers(client: WeaklinkClient, action_id: str, revision: int) -> bool:
    memory = HandledActions(client.state_file)
    try:
        return memory.covers(action_id, revision)
    finally:
        memory.close()


def answered(member: Member, idle_seconds: float = 0.0) -> list[tuple[str, int]]:
    """What a new subscription hands out, and answers."""
    seen = []
    with member.client() as client, client.actions(idle_seconds=idle_seconds) as actions:
        for received in actions:
            seen.append((received.action.action_id, received.action.revision))
            received.done()
    return seen


def test_an_action_whose_answer_was_not_delivered_comes_again_to_the_next_subscription(member: Member) -> None:
    """Leaving the subscription after the failure must not take the action for handled: its answer would never be heard."""
    member.issue(("a1", 1))
    with member.client() as client:
        with pytest.raises(DeliveryError), client.actions() as actions:
            list(answer_while_refused(member, actions))
        assert not covers(client, "a1", 1)
    accept_at_most(member, MANY_BYTES)
    assert answered(member) == [("a1", 1)]
    assert member.receipts()[-1] == ("a1", 1, "DONE")


def test_an_action_that_could_not_be_accepted_comes_with_the_next_poll(member: Member) -> None:
    """The caller never had it: the next poll must not take it for handled, or the measure would never be carried out."""
    member.issue(("a1", 1))
    with member.client() as client, client.actions() as actions:
        with refusing(member), pytest.raises(DeliveryError):
            wait_until(lambda: bool(actions.poll()))
        (received,) = actions.poll()
        assert not covers(client, "a1", 1)
        received.done()
        assert actions.poll(0) == []
        assert covers(client, "a1", 1)
    assert member.receipts() == [("a1", 1, "ACCEPTED"), ("a1", 1, "DONE")]


def test_an_action_that_could_not_be_accepted_comes_again_to_the_next_subscription(member: Member) -> None:
    member.issue(("a1", 1))
    with member.client() as client:
        with refusing(member), pytest.raises(DeliveryError), client.actions() as actions:
            list(actions)
        assert not covers(client, "a1", 1)
    assert answered(member) == [("a1", 1)]


def test_of_a_batch_only_the_actions_whose_answers_failed_come_again(member: Member) -> None:
    """Another thread's flush does not tell of these failures: the subscription would take the action for handled."""
    member.issue(("a1", 1), ("a2", 1))
    with member.client() as client, client.actions() as actions:
        batch = batch_of(2, actions)
        accept_at_most(member, SHORT_ONLY_BYTES)
        for received in batch:
            received.done(LONG_NOTE if received.action.action_id == "a2" else None)
            client.flush()
        with pytest.raises(DeliveryError, match="1 events"):
            actions.poll()
        assert (covers(client, "a1", 1), covers(client, "a2", 1)) == (True, False)
        (again,) = actions.poll()
        assert again.action.action_id == "a2"
        again.done()
    assert answered(member) == []


def test_a_revision_does_not_come_again_once_a_later_one_has_come(member: Member) -> None:
    """The first asks for a measure, the second takes it back: the other way round the measure would stay."""
    member.issue(("a1", 1))
    with member.client() as client, client.actions() as actions:
        (first,) = batch_of(1, actions)
        accept_at_most(member, SHORT_ONLY_BYTES)
        first.done(LONG_NOTE)
        with pytest.raises(DeliveryError, match="1 events"):
            actions.poll()
        member.issue(("a1", 2))
        wait_until(lambda: [one.action.revision for one in actions.poll()] == [2])
        assert actions.poll(0) == []
        first.done(LONG_NOTE)
        with pytest.raises(DeliveryError):  # a late answer is told of as any other event
            client.flush()
    assert answered(member) == []


def test_what_another_process_of_the_party_took_over_is_not_given_here_again(
    kafka: KafkaConfig, tmp_path: Path
) -> None:
    """Sequence: the broker is away until receipts fail; the group's sessions end, and another process gets one of the two partitions."""
    # Not registered: to `provision` two partitions of actions would be a conflict.
    party = Party(id=f"t-{uuid.uuid4().hex[:12]}", kind=PartyKind.LAB)
    topics = [Topic(topic, 2, kafka.replication_factor, {}) for topic in (party.events_topic, party.actions_topic)]
    apply(kafka, plan_topics(kafka, topics))
    member, other = (Member(party, kafka, PartnerConfig(state_folder=tmp_path / name)) for name in ("one", "other"))
    member.issue(*((f"a{number}", 1) for number in range(20)))
    seen: list[str] = []
    with ThreadPoolExecutor(1) as process, member.client() as client, other.client() as other_client:
        others = process.submit(other_client.actions).result()
        with client.actions() as actions:

            def both_have_one() -> bool:
                reading = process.submit(read_on, others)
                read_on(actions)
                reading.result()
                return all(len(one._consumer.assignment()) == 1 for one in (actions, others))

            def all_seen() -> bool:
                batches = [actions.poll(), process.submit(others.poll).result()]
                seen.extend(received.action.action_id for batch in batches for received in batch)
                return len(seen) >= 20

            with refusing(member):
                with pytest.raises(DeliveryError):
                    wait_until(lambda: bool(actions.poll()))
                wait_until(both_have_one)
            wait_until(all_seen)
        process.submit(others.close).result()
    assert sorted(seen) == sorted(f"a{number}" for number in range(20))


def test_what_was_not_reached_when_a_loop_was_left_comes_in_the_next_loop(member: Member) -> None:
    """The rest of the batch was never handed out: it would be lost if it counted as handled."""
    member.issue(("a1", 1), ("a2", 1), ("a3", 1))
    seen: list[str] = []
    with member.client() as client, client.actions(idle_seconds=0) as actions:
        for _ in range(4):
            for received in actions:
                seen.append(received.action.action_id)
                break
    assert seen == ["a1", "a2", "a3"]


def batch_of(size: int, actions: ActionSubscription) -> list[ReceivedAction]:
    while not (batch := actions.poll()):
        pass
    assert len(batch) == size
    return batch


def read_on(actions: ActionSubscription) -> None:
    with suppress(DeliveryError):
        actions.poll()
