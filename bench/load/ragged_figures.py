"""What a run with a crowd of parties says of waiting and fairness. Pure."""

from typing import Any, Final

import numpy as np

from bench.load import figures
from bench.load.crowd import Habit, Member

_FLOOD_SECONDS: Final = 15.0
"""From when the flood comes: batches of other parties that were published in this time are told apart."""
_WITHIN_SECONDS: Final = 5.0
"""A party that waits longer than this while another one floods is starved."""
_ALIKE: Final = 0.9


def party_waits(members: list[Member], by_topic: dict[str, list[tuple[float, float, int]]], since: float, flood_at: float) -> dict[str, Any]:  # fmt: skip
    """By habit the waits of its parties' batches, in quiet and while one floods; the worst wait of any party but the one that floods; fairness.

    Fairness is Jain's index over the mean waits of the parties with single events: 1 when all wait alike.
    """
    found: dict[str, Any] = {}
    means, worst = [], []
    for habit in Habit:
        quiet: list[float] = []
        flooded: list[float] = []
        for member in members:
            own = [one for one in by_topic.get(member.party.events_topic, []) if one[1] >= since]
            if member.habit is not habit or not own:
                continue
            for wait, appended, _ in own:
                (flooded if flood_at - 0.1 <= appended < flood_at + _FLOOD_SECONDS else quiet).append(wait)
            if habit is not Habit.FLOOD:
                worst.append((max(wait for wait, _, _ in own), member.party.id))
            if habit is Habit.SINGLE:
                means.append(float(np.mean([wait for wait, _, _ in own])))
        parties = sum(member.habit is habit for member in members)
        found[habit.value] = {
            "parties": parties,
            "quiet": figures.latency(quiet),
            "while_one_floods": figures.latency(flooded),
        }
    longest = max(worst, default=(0.0, ""))
    return {"by_habit": found, "jain_of_mean_waits": figures.jain(means), "longest_seconds": round(longest[0], 3), "longest_party": longest[1]}  # fmt: skip


def verdict(found: dict[str, Any]) -> dict[str, bool]:
    """What was to be shown, each yes or no."""
    tally = found["events_by_ingest"]
    return {
        "every_event_accepted": tally["consumed"] == tally["accepted"] == found["events"],
        "no_party_starved": found["waits"]["longest_seconds"] <= _WITHIN_SECONDS,
        "parties_wait_alike": (found["waits"]["jain_of_mean_waits"] or 0) >= _ALIKE,
        "every_planted_account_acted_on": not found["accounts_without_action"],
    }


def summary(found: dict[str, Any]) -> str:
    """A few lines for people."""
    waited, action = found["waits"], found["action_latency"]
    lines = [
        f"{found['parties']} parties, {found['batches']:,} batches, {found['events']:,} events, {found['events_per_second']:,} a second",
        "  seconds until ingest had taken a batch:",
    ]
    for habit, one in waited["by_habit"].items():
        said = (
            f"{name.replace('_', ' ')} {_said(one[name])}"
            for name in ("quiet", "while_one_floods")
            if one[name]["count"]
        )
        lines.append(f"    {habit:6} {one['parties']:4} parties: {'; '.join(said)}")
    lines += [
        f"  publication to action, {action['count']} accounts: {_said(action) if action['count'] else 'none'}",
        f"  longest wait of a party that does not flood: {waited['longest_seconds']:.2f} s ({waited['longest_party']})",
        f"  Jain's index of mean waits: {waited['jain_of_mean_waits']}",
        "  cores: " + ", ".join(f"{name} {cores:.2f}" for name, cores in found["cores"].items()),
        f"  load at most {found['load_process']['sent_late']['max_seconds']:.2f} s late",
        *(f"  {'yes' if kept else 'NO '} {name.replace('_', ' ')}" for name, kept in found["verdict"].items()),
    ]
    return "\n".join(lines)


def _said(one: dict[str, Any]) -> str:
    return ", ".join(f"{name} {one[f'{name}_seconds']:.2f}" for name in ("p50", "p99", "max"))
