"""A campaign's timeline, and what measures did to it, in sentences: from its published records alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from weaklink.weaklinks.config import WeakLinksConfig
from weaklink.weaklinks.learning import learned


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that happened. kind: begin, release, move, loss, found, end."""

    at: datetime
    kind: str
    text: str


def story(campaign: Mapping[str, Any], course: Mapping[str, Any] | None) -> list[Entry]:
    """What happened, in order: first account, detection, releases and the moves after them, the first loss, the end."""
    found = [Entry(campaign["detected_at"], "found", "found")]
    if campaign["split_from"]:
        found[0] = Entry(campaign["detected_at"], "found", f"came out of {campaign['split_from']}")
    for pivot in campaign["pivots"]:
        told = f"{pivot['model']} released; {pivot['share']:.0%} of the accounts of that time moved to it, after {pivot['hours_median']:.1f} h (median)"
        found.append(Entry(pivot["released_at"], "release", told))
    if course is not None:
        first = next((day for day in course["days"] if day["accounts_new"]), None)
        if first is not None:
            found.append(Entry(first["day"], "begin", f"first accounts seen that day: {first['accounts_new']:,}"))
        if course["losses"] is not None:
            found.append(Entry(course["losses"]["first_at"], "loss", "first account lost to a measure or a closure"))
        found += [
            Entry(day["day"], "loss", f"{day['accounts_lost']:,} accounts lost, {day['accounts_new']:,} new")
            for day in course["days"]
            if day["accounts_lost"]
        ]
    if campaign["state"] == "MERGED":
        found.append(Entry(campaign["updated_at"], "end", f"became part of {campaign['merged_into']}"))
    elif campaign["state"] in ("DISSOLVED", "DORMANT"):
        found.append(Entry(campaign["updated_at"], "end", campaign["state"].lower()))
    return sorted(found, key=lambda one: (one.at, one.kind))


def effect_lines(course: Mapping[str, Any] | None, config: WeakLinksConfig) -> list[str]:
    """What measures did: volume cut, what came back and how fast, what it cost bystanders, and what the next plan makes of it.

    Empty: nothing has been carried out yet. `config`: the settings of campaigns.
    """
    if course is None:
        return []
    said = []
    learns = learned(config, course["measures"], course["losses"])
    for one in course["measures"]:
        told = f"{one['measure']}: {one['standing']:,} stand on members' accounts, {one['obeyed']:,} carried out"
        before, after = one["requests_per_day_before"], one["requests_per_day_after"]
        if one["measured"] and before > 0:
            told += (
                f"; the {one['measured']:,} that can be measured made {before:,.0f} requests a day before "
                f"and {after:,.0f} after ({1 - after / before:.0%} cut)"
            )
        elif one["obeyed"]:
            told += "; no whole day before and after yet, so that the cut cannot be measured"
        told += f"; benign accounts touched: {one['benign_accounts_touched']:,}"
        name = f"{one['measure'].lower()}_effect"
        if (now := getattr(learns, name, None)) is not None and now != (before := getattr(config, name)):
            told += f"; the next plan counts on {now:.0%} that stays cut, not on {before:.0%}"
        said.append(told)
    if course["losses"] is not None:
        said += _losses(course["losses"])
    return said


def token_lines(
    asked: Sequence[Mapping[str, Any]], graph: Mapping[str, Any] | None, config: WeakLinksConfig
) -> list[str]:
    """What measures on identifiers came to, as far as it can be told: `asked` are queries.on_tokens rows, `graph` a CampaignGraph.

    Which volume they cut is not told apart from what measures on the same members' accounts cut; what still comes by them is.
    """
    said = []
    for one in asked:
        effect = getattr(config, f"{one['measure'].lower()}_effect", None)
        told = f"{one['measure']}: {one['standing']:,} stand on identifiers, {one['obeyed']:,} carried out"
        told += f", {one['refused']:,} refused or disputed" if one["refused"] else ""
        told += f"; meant to cut {one['expected_cut']:,.0f} requests a day; benign accounts touched: {one['benign_accounts_touched']:,}"
        if effect is not None:
            told += f"; the next plan counts on {effect:.0%} that stays cut, as set: what they cut is not told apart from measures on the same accounts"
        said.append(told)
    if asked and graph is not None:
        under = {place for place, one in enumerate(graph["identifiers"]) if one["measures"]}
        fed = [one for one in graph["accounts"] if under.intersection(one["holds"])]
        volume = sum(one["requests_per_day"] for one in fed if one["requests_per_day"] > 0)
        active = sum(one["requests_per_day"] > 0 for one in fed)
        said.append(
            f"of {len(fed):,} accounts on the picture with an identifier under a measure, {active:,} still make requests: "
            f"{volume:,.0f} a day as of the last plan"
        )
    return said


def _losses(losses: Mapping[str, Any]) -> list[str]:
    before, after = losses["requests_per_day_before"], losses["requests_per_day_after"]
    volume = f"{before:,.0f} requests a day before the first loss"
    if after is None:
        volume += "; no whole day is over since"
    else:
        volume += f", {after:,.0f} on the last whole day"
        volume += f" ({1 - after / before:.0%} less)" if before > 0 else ""
    back = f"{losses['returned_accounts']:,} accounts came after it, {losses['returned_elsewhere']:,} of them in place of one at another party"
    if losses["returned_requests_per_day"] is not None:
        back += f"; they make {losses['returned_requests_per_day']:,.0f} requests a day"
    if losses["hours_to_return_median"] is not None:
        back += f"; a lost account is replaced after {losses['hours_to_return_median']:.1f} h (median)"
    return [
        f"{losses['accounts']:,} accounts lost: {volume}",
        back,
        f"disputed by their own parties: {losses['disputed_accounts']:,} accounts",
    ]
