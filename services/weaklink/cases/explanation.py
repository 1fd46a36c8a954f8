"""Why an account is in a campaign, and what would change that: from its published evidence and the settings that judge it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from weaklink.campaigns.config import CampaignsConfig
from weaklink.cases.words import code_words, kind_words
from weaklink.enforce.config import EnforceConfig


@dataclass(frozen=True, slots=True)
class Explanation:
    """One account. pieces: Avro Piece with `words`; shares: Avro SharedKind with `words`; changes: sentences."""

    party: str
    account: str
    campaign_id: str
    score: float
    belief: float
    prior: float
    pieces: list[dict[str, Any]]
    shares: list[dict[str, Any]]
    changes: list[str]
    evidence: Mapping[str, Any]


def explain(evidence: Mapping[str, Any], campaigns: CampaignsConfig, enforce: EnforceConfig) -> Explanation:
    """`evidence`: a MemberEvidence record."""
    pieces = [dict(one) | {"words": code_words(one["code"])} for one in evidence["pieces"]]
    shares = [dict(one) | {"words": _shared(one)} for one in evidence["shares"]]
    return Explanation(
        evidence["party"],
        evidence["account"],
        evidence["campaign_id"],
        evidence["score"],
        evidence["belief"],
        evidence["prior"],
        pieces,
        shares,
        what_would_change(evidence, campaigns, enforce),
        evidence,
    )


def _shared(one: Mapping[str, Any]) -> str:
    """`parties` None: for a party, whose own accounts alone are counted."""
    what = f"{one['identifiers']:,} {kind_words(one['kind'], one['identifiers'])}"
    if one["parties"] is None:
        own = (
            f", up to {one['members']:,} more accounts of your own in the campaign's picture among them"
            if one["members"]
            else ""
        )
        return f"{what} that other members hold too{own}"
    more = f", and up to {one['others']:,} accounts outside the campaign" if one["others"] else ""
    return f"{what} with up to {one['members']:,} other members at {one['parties']} parties{more}"


def what_would_change(evidence: Mapping[str, Any], campaigns: CampaignsConfig, enforce: EnforceConfig) -> list[str]:
    """Sentences, the strongest first. They say what the rules say, and no more than the published evidence carries."""
    said = [
        "If its own party disputes it, its sharing and its company count for nothing, and it leaves the campaign at once.",
        *_without_pieces(evidence, campaigns.cluster.hot),
        *_without_shares(evidence["shares"], campaigns),
    ]
    if evidence["established"]:
        said.append(
            "It is established (old, or an organisation's): it is not suspended, whatever else speaks against it."
        )
    elif not evidence["hard_identifier"]:
        said.append(
            f"It is not suspended, but challenged, until identifiers that strangers hardly share join it to "
            f"{campaigns.cluster.suspend_persons_min} persons of the campaign."
        )
    elif evidence["supporting_parties"] < enforce.suspend_supporting_parties_min and not evidence["own_finding"]:
        said.append(
            f"It is not suspended until evidence of {enforce.suspend_supporting_parties_min} independent parties supports that, or its own party finds it out."
        )
    return said


def _without_pieces(evidence: Mapping[str, Any], hot: float) -> list[str]:
    """Which pieces, taken away, would leave too little to suspect it."""
    limit, left, taken = math.log(hot / (1 - hot)), evidence["belief"], []
    for one in evidence["pieces"]:
        if one["weight"] <= 0:
            continue
        taken.append(one)
        left -= one["weight"]
        if left <= limit:
            break
    if left > limit:
        return ["It was taken in for the accounts that it is with: its own belief rests on more than these pieces."]
    names = " and ".join(f"{one['code']} ({one['weight']:+.1f})" for one in taken)
    if len(taken) == 1:
        return [
            f"Without {names} it would not be suspected: belief {evidence['belief']:.1f} would fall to {left:.1f}, and {limit:.1f} are needed."
        ]
    first = taken[0]
    return [
        f"No single piece decides: without {first['code']} belief would still be {evidence['belief'] - first['weight']:.1f}, and {limit:.1f} are needed.",
        f"Without {names} together it would not be suspected.",
    ]  # fmt: skip


def _without_shares(shares: Sequence[Mapping[str, Any]], campaigns: CampaignsConfig) -> list[str]:
    kinds, identifiers = len(shares), sum(one["identifiers"] for one in shares)
    rules = campaigns.cluster
    told = f"It shares {identifiers} identifiers of {kinds} kinds with other members"
    need = f"fewer than {rules.member_kinds} kinds and {rules.member_identifiers} identifiers hold no account in a campaign by themselves"
    return [f"{told}; {need}."]
