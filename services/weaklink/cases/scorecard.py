"""How a party does against the others: how much came in by it, how soon it acts, what it disputes, and what comes back at it.

The others are told as their median and how many of them do better; never by name, and not at all when they are so few that a median
would name one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from statistics import median
from typing import Any, Final

from weaklink.cases.store import Cases

HOUR_US: Final = 3_600_000_000
OTHERS_MIN: Final = 3
"""Fewer others than these are not told of."""
_NOTHING: Final = {"actions": 0, "answered": 0, "ending": 0, "overdue": 0, "wait_us": None}
LESS_IS_BETTER: Final = (
    "volume_entered_share", "hours_to_act", "disputed_share", "requests_after_share", "overdue_share",
)  # fmt: skip
"""Figures that are compared with the others'."""
WORDS: Final = {
    "volume_entered_share": "share of campaigns' volume that came in by it",
    "hours_to_act": "hours from a measure to the receipt that obeys it (median)",
    "disputed_share": "share of its receipts that dispute or refuse",
    "requests_after_share": "share of its campaign accounts' requests made by accounts first seen after its first measure",
    "overdue_share": "share of its actions whose receipt is overdue",
}


@dataclass(frozen=True, slots=True)
class Card:
    """One party. Shares 0 to 1; None where there is nothing to measure. accounts: of campaigns at it."""

    party: str
    accounts: int
    requests_entered: int
    volume_entered_share: float | None
    actions: int
    answered: int
    hours_to_act: float | None
    disputed_share: float | None
    overdue_share: float | None
    accounts_after: int
    requests_after_share: float | None

    def json(self) -> dict[str, Any]:
        """As a dict."""
        return {one.name: getattr(self, one.name) for one in fields(self)}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure of a party beside the others': their median, and the share of them that is better (less is better in each)."""

    figure: str
    words: str
    own: float | None
    others: int
    others_median: float | None
    others_better_share: float | None


def scorecards(cases: Cases, answers: Iterable[Mapping[str, Any]], parties: Iterable[str] = ()) -> dict[str, Card]:
    """Every party that campaigns touch, that was asked for anything, or of `parties`. `answers`: queries.answers rows."""
    doors: dict[str, dict[str, int]] = {}
    total = 0
    for course in cases.courses.values():
        total += course["requests"]
        for door in course["doors"]:
            row = doors.setdefault(door["party"], {})
            for name in ("accounts", "requests", "requests_entered", "accounts_after", "requests_after"):
                row[name] = row.get(name, 0) + door[name]
    asked = {one["party"]: one for one in answers}
    names = sorted({*doors, *asked, *parties})
    return {name: _card(name, doors.get(name, {}), asked.get(name, _NOTHING), total) for name in names}


def _card(party: str, door: Mapping[str, int], asked: Mapping[str, Any], total: int) -> Card:
    actions, answered, wait_us = asked["actions"], asked["answered"], asked["wait_us"]
    return Card(
        party,
        door.get("accounts", 0),
        door.get("requests_entered", 0),
        door.get("requests_entered", 0) / total if total else None,
        actions,
        answered,
        None if wait_us is None else wait_us / HOUR_US,
        asked["ending"] / answered if answered else None,
        asked["overdue"] / actions if actions else None,
        door.get("accounts_after", 0),
        door["requests_after"] / door["requests"] if door.get("requests") else None,
    )


def compare(party: str, cards: Mapping[str, Card]) -> list[Comparison]:
    """A party beside the others. Raises KeyError when it has no card."""
    own = cards[party]
    found = []
    for name in LESS_IS_BETTER:
        mine = getattr(own, name)
        values = [getattr(card, name) for other, card in cards.items() if other != party]
        others = [value for value in values if value is not None]
        if len(others) < OTHERS_MIN:
            found.append(Comparison(name, WORDS[name], mine, len(others), None, None))
            continue
        better = None if mine is None else sum(value < mine for value in others) / len(others)
        found.append(Comparison(name, WORDS[name], mine, len(others), median(others), better))
    return found
