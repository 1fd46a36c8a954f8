"""What a viewer may see, as pure functions: a party its own accounts, tokens and actions, and of a campaign no more than its actions tell.

Every page takes its data from here, so that what is hidden from a party is not in the page at all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from weaklink.cases.store import Cases, Member
from weaklink.console.users import Viewer

_TOLD_TO_PARTIES: Final = ("campaign_id", "state", "detected_at", "updated_at", "confidence")


@dataclass(frozen=True, slots=True)
class Row:
    """A campaign in the list. `volume`: requests a day; `days`: exchanges by day; None where the viewer may not know."""

    campaign_id: str
    state: str
    detected_at: Any
    confidence: float
    accounts: int
    volume: float | None
    growth_per_hour: float | None
    severity: float | None
    parties: int | None
    cut_share: float | None
    days: list[float]


def may_see(viewer: Viewer, campaign: Mapping[str, Any]) -> bool:
    """Whether the campaign is the viewer's business."""
    return viewer.operator or viewer.party in campaign["parties"]


def campaigns(cases: Cases, viewer: Viewer, *, ended: bool = False) -> list[Row]:
    """The list, most volume first; for a party those that touch it, most of its accounts first."""
    found = cases.campaigns.values() if ended else cases.running()
    rows = [_row(cases, viewer, one) for one in found if may_see(viewer, one)]
    return sorted(rows, key=lambda row: (-(row.volume or 0.0), -row.accounts, row.campaign_id))


def _row(cases: Cases, viewer: Viewer, one: Mapping[str, Any]) -> Row:
    name = one["campaign_id"]
    same = (name, one["state"], one["detected_at"], one["confidence"])
    if not viewer.operator:
        own = cases.accounts_by_party(name).get(viewer.party or "", 0)
        return Row(*same, own, None, None, None, None, None, [])
    course = cases.courses.get(name)
    days = [float(day["requests"]) for day in course["days"]] if course else []
    return Row(
        *same,
        one["accounts"],
        one["requests_per_day"],
        one["growth_per_hour"],
        one["severity"],
        len(one["parties"]),
        one["plan"]["volume_cut_share"],
        days,
    )


def campaign(cases: Cases, viewer: Viewer, campaign_id: str) -> dict[str, Any] | None:
    """A campaign's record, for a party cut down to what its actions tell. None: there is none that the viewer may see."""
    one = cases.campaigns.get(campaign_id)
    if one is None or not may_see(viewer, one):
        return None
    return dict(one) if viewer.operator else {name: one[name] for name in _TOLD_TO_PARTIES}


def course(cases: Cases, viewer: Viewer, campaign_id: str) -> dict[str, Any] | None:
    """A campaign's course: of everybody's exchanges, so for operators only."""
    return cases.courses.get(campaign_id) if viewer.operator else None


def members(cases: Cases, viewer: Viewer, campaign_id: str) -> list[Member]:
    """Members that the viewer may see."""
    return cases.members(campaign_id, viewer.party)


def graph(
    cases: Cases, viewer: Viewer, campaign_id: str, sent: Mapping[str | None, str] | None = None
) -> dict[str, Any] | None:
    """A campaign's graph; for a party its own accounts, and the tokens that these hold, counted among its own accounts alone.

    `sent`: account -> measure of the actions that a party was sent. What is planned but waits for a person is none of its business yet.
    """
    whole = cases.graph(campaign_id)
    if whole is None or viewer.operator:
        return whole
    asked = sent or {}
    accounts = [
        one | {"measure": asked.get(one["account"])} for one in whole["accounts"] if one["party"] == viewer.party
    ]
    own_line = {"measures": len(asked), "expected_cut": 0.0}
    held = {place for one in accounts for place in one["holds"]}
    own_counts = {place: _own_identifier(whole["identifiers"][place], place, accounts) for place in held}
    # Anew by own members: the whole graph's order tells on which token more of others' accounts are.
    order = sorted(held, key=lambda place: (-own_counts[place]["members"], own_counts[place]["token"]))
    identifiers = [own_counts[place] for place in order]
    places = {place: number for number, place in enumerate(order)}
    own = cases.accounts_by_party(campaign_id).get(viewer.party or "", 0)
    return whole | {
        "accounts": [one | {"holds": sorted(places[place] for place in one["holds"])} for one in accounts],
        "identifiers": identifiers,
        "parties": [one | own_line for one in whole["parties"] if one["party"] == viewer.party],
        "accounts_total": max(own, len(accounts)),
        "identifiers_total": len(identifiers),
    }


def _own_identifier(one: Mapping[str, Any], place: int, accounts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    holders = [account for account in accounts if place in account["holds"]]
    volume = sum(account["requests_per_day"] for account in holders)
    # What stands on the token may be asked of another party: the viewer sees its own measures among its actions.
    counts = {"members": len(holders), "others": 0, "parties": 1, "requests_per_day": volume, "measures": 0}
    return {"token": one["token"], "kind": one["kind"], **counts}  # `last_at` is of any member's use


def evidence(cases: Cases, viewer: Viewer, party: str, account: str) -> dict[str, Any] | None:
    """Evidence of an account; None: there is none, or it is not the viewer's.

    What it shares is for a party counted among its own accounts alone, as in its graph: by its other members on the identifier of the kind
    that most of them hold. `parties` and `others` are None. Pieces stay whole: an action tells as much as its reasons.
    """
    if not viewer.operator and party != viewer.party:
        return None
    found = cases.evidence(party, account)
    if found is None or viewer.operator:
        return found
    company = _own_company(graph(cases, viewer, found["campaign_id"]), account)
    counted = [
        one | {"members": company.get(one["kind"], 0), "parties": None, "others": None} for one in found["shares"]
    ]
    return found | {"shares": sorted(counted, key=lambda one: (-one["members"], one["kind"]))}


def _own_company(own: Mapping[str, Any] | None, account: str) -> dict[str, int]:
    """By kind how many other accounts of a party's graph hold the identifier that `account` shares with most of them."""
    if own is None:
        return {}
    held = [own["identifiers"][place] for one in own["accounts"] if one["account"] == account for place in one["holds"]]
    most: dict[str, int] = {}
    for one in held:
        most[one["kind"]] = max(most.get(one["kind"], 0), one["members"] - 1)
    return most


def action(viewer: Viewer, shown: dict[str, Any], seen: dict[str, Any] | None) -> dict[str, Any] | None:
    """An action of the ledger (queries.show_action); None: not the viewer's. A party learns what it was sent (`seen`: queries.last_seen), not
    who decided, nor what has become of the action since and was never sent.
    """
    if viewer.operator:
        return shown
    if seen is None or seen["party"] != viewer.party:
        return None
    kept = ("change", "revision", "state", "cause", "at_us")
    history = [
        {name: one[name] for name in kept} | {"published": True, "actor": None, "note": None, "source": None}
        for one in shown["history"]
        if one["published"]
    ]
    receipts = [one for one in shown["receipts"] if one["party"] == viewer.party]
    return seen | {"history": history, "receipts": receipts, "approvals": [], "waits_because": None}


def lag(viewer: Viewer, report: Mapping[str, Any]) -> dict[str, Any]:
    """A report of lag (LagReport.to_json); for a party its own line."""
    if viewer.operator:
        return dict(report)
    return {
        "at_us": report["at_us"],
        "readers": [],
        "parties": [one for one in report["parties"] if one["party"] == viewer.party],
    }
