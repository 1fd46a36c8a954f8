"""The crowd of parties: events that ingest takes, habits that differ, waits that are told of the right party."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from bench.load import plants, ragged_figures
from bench.load.crowd import REGISTERED, Habit, Voice, crowd, moments, waits
from bench.load.ragged import Plan, write_script

from tests.bench.test_load import read_script
from weaklink.parties import MAY_PUBLISH
from weaklink.records.codec import decode, decode_body
from weaklink.records.schemas import latest

_NOW_US = 1_795_000_000_000_000


def test_everybody_says_only_what_its_kind_may_in_the_framings_of_its_habit() -> None:
    """Single-object encoding everywhere; mixed parties write some values of a batch in the Confluent format, and several records."""
    ids: set[bytes] = set()
    many = 0
    for number, member in enumerate(crowd(60)):
        rows = Voice(number, member).batch(60, _NOW_US)
        records, framings = Counter[str](), Counter[int]()
        for key, value in rows:
            framings[value[0]] += 1
            if value[0] == 0:
                record = REGISTERED[int.from_bytes(value[1:5], "big") - 1]
                event = decode_body(latest(record), value[5:])
            else:
                record, event = decode(value)
            records[record] += 1
            assert member.party.kind in MAY_PUBLISH[record]
            assert event["account"].encode() == key
            ids.add(event["event_id"])
            many += 1
        assert (len(framings) == 2) == (member.habit is Habit.MIXED) == (len(records) > 1)
    assert len(ids) == many


def test_a_crowd_has_all_habits_and_most_of_it_single_events() -> None:
    """At 500 parties: one that floods, three heavy ones, fifty idle ones, and more single ones than all others."""
    habits = Counter(member.habit for member in crowd(500))
    assert habits[Habit.FLOOD] == 1
    assert habits[Habit.HEAVY] == 3
    assert habits[Habit.IDLE] >= 40
    assert habits[Habit.SINGLE] > 250
    assert len({member.party.id for member in crowd(500)}) == 500


def test_habits_are_told_apart_by_when_and_how_much_they_send() -> None:
    """Single: an event each; idle: one in all; flood: everything at half-time, in large batches."""
    random = np.random.default_rng(1)
    sent = {habit: moments(habit, 30.0, 2.0, 12_000, random) for habit in Habit}
    assert {events for _, events in sent[Habit.SINGLE]} == {1}
    assert len(sent[Habit.SINGLE]) == pytest.approx(60, abs=30)
    assert [events for _, events in sent[Habit.IDLE]] == [1]
    assert {due for due, _ in sent[Habit.FLOOD]} == {15_000_000}
    assert sum(events for _, events in sent[Habit.FLOOD]) == 12_000
    assert all(2 <= events <= 20 for _, events in sent[Habit.MIXED])
    assert all(0 <= due < 30_000_000 for each in sent.values() for due, _ in each)


def test_a_script_of_the_crowd_names_the_topic_of_each_request(tmp_path: Path) -> None:
    """Requests, their topics and what is planted come as they were written."""
    plan = Plan(25, 1.0, 1.0, 500, tmp_path)
    members = crowd(plan.parties)
    planted = plants.schedule(15.0, 5.0, 1.0, 5.0)
    script, topics = write_script(tmp_path / "s", members, plan, planted, _NOW_US)
    requests = read_script(tmp_path / "s")
    assert [topic for _, _, topic, _ in requests] == topics
    assert sum(len(rows) for *_, batches in requests for rows in batches.values()) == script.events
    assert [plant for number in sorted(script.plants) for plant in script.plants[number]] == planted


def test_waits_are_counted_until_a_batch_was_read_with_its_last_event() -> None:
    """A batch that ingest reads in two parts has waited until the second; one that was never read is not passed over."""
    read = [("a", 0, 5, 10.0), ("a", 5, 9, 12.0), ("b", 0, 3, 11.0)]
    written = [("a", 0, 5, 9.0), ("a", 5, 1, 9.5), ("a", 6, 3, 9.5), ("b", 0, 3, 9.0)]
    assert waits(iter(written), read) == {"a": [(1.0, 9.0, 5), (2.5, 9.5, 1), (2.5, 9.5, 3)], "b": [(2.0, 9.0, 3)]}
    with pytest.raises(ValueError, match="a: offset 9 was never read"):
        waits(iter([("a", 9, 1, 9.0)]), read)
    split = [("a", 0, 2, 10.0), ("a", 2, 4, 13.0)]
    assert waits(iter([("a", 0, 4, 9.0)]), split) == {"a": [(4.0, 9.0, 4)]}


def test_a_party_that_waits_for_another_one_shows() -> None:
    """The longest wait is that of the party that was kept waiting, never that of the one that floods; and Jain's index falls."""
    members = crowd(40)
    topics = {member.party.events_topic: member.habit for member in members}
    fair = {topic: [(0.5, 100.0, 1), (0.5, 130.0, 1)] for topic in topics}
    unfair = fair | {members[3].party.events_topic: [(0.5, 100.0, 1), (30.0, 130.0, 1)]}
    unfair[members[-1].party.events_topic] = [(60.0, 130.0, 5_000)]
    even, uneven = (ragged_figures.party_waits(members, one, 90.0, 130.0) for one in (fair, unfair))
    assert even["longest_seconds"] == 0.5
    assert even["jain_of_mean_waits"] == 1.0
    assert (uneven["longest_seconds"], uneven["longest_party"]) == (30.0, members[3].party.id)
    assert uneven["jain_of_mean_waits"] < 0.5
    assert uneven["by_habit"]["single"]["while_one_floods"]["max_seconds"] == 30.0
    assert uneven["by_habit"]["single"]["quiet"]["max_seconds"] == 0.5
