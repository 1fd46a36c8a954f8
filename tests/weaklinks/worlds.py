"""Small campaigns for the tests of weak links, written as who holds what."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import polars as pl

from weaklink.account_keys import account_key
from weaklink.frames import SHARED
from weaklink.parties import PartyKind
from weaklink.records.identifiers import IdentifierKind

PARTIES = {
    "lab-a": PartyKind.LAB,
    "lab-b": PartyKind.LAB,
    "router-a": PartyKind.ROUTER,
    "cloud-a": PartyKind.CLOUD,
    "pay-a": PartyKind.PAYMENT,
    "pay-b": PartyKind.PAYMENT,
}
DAY_US = 86_400_000_000


@dataclass
class Campaign:
    """Rows for `plan_campaign`, filled by `member` and `holds`."""

    members: list[dict[str, Any]] = field(default_factory=list)
    links: list[dict[str, Any]] = field(default_factory=list)
    verified: set[tuple[str, str]] = field(default_factory=set)
    outside: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)

    def member(self, party: str, name: str, **changes: Any) -> "Campaign":
        row = {
            "account": account_key(party, name),
            "party": party,
            "account_name": name,
            "score": 0.99,
            "requests_per_day": 100.0 if PARTIES.get(party) in (PartyKind.LAB, PartyKind.ROUTER) else 0.0,
            "established": False,
            "organisation_verified": False,
            "own_finding": False,
            "supporting_parties": 2,
            "hard_identifier": True,
            "reseller": False,
        }
        self.members.append(row | changes)
        return self

    def stranger(self, party: str, name: str, score: float = 0.01, requests_per_day: float = 10.0) -> "Campaign":
        self.outside[party, name] = (score, requests_per_day)
        return self

    def holds(
        self,
        kind: IdentifierKind,
        identifier: int,
        holders: Sequence[tuple[str, str]],
        *,
        slot: int = 0,
        requests: int = 0,
        counted: int | None = None,
        last_seen_us: int = 10 * DAY_US,
    ) -> "Campaign":
        known = {
            (m["party"], m["account_name"]): (m["score"], m["requests_per_day"]) for m in self.members
        } | self.outside
        for party, name in holders:
            score, per_day = known[party, name]
            self.links.append(
                {
                    "identifier": identifier,
                    "tail": identifier * 256 + 7,
                    "kind": int(kind),
                    "epoch": 0,
                    "slot": slot,
                    "account": account_key(party, name),
                    "first_seen_us": 0,
                    "last_seen_us": last_seen_us,
                    "appended_at_us": last_seen_us,
                    "mentions": 1,
                    "requests": requests,
                    "holders": len(holders) if counted is None else counted,
                    "party": party,
                    "account_name": name,
                    "score": score,
                    "requests_per_day": per_day,
                    "organisation_verified": (party, name) in self.verified,
                }
            )
        return self

    def frames(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        members = pl.DataFrame(self.members).with_columns(
            pl.col("account").cast(pl.UInt64), pl.col("supporting_parties").cast(pl.Int32)
        )
        joined = {
            "party": pl.String,
            "account_name": pl.String,
            "score": pl.Float64,
            "requests_per_day": pl.Float64,
            "organisation_verified": pl.Boolean,
        }
        return members, pl.DataFrame(self.links, schema=pl.Schema([*SHARED.items(), *joined.items()]))


def carded(accounts: int = 20, strangers: int = 0) -> Campaign:
    """Accounts at two labs that all pay with one card, which a payment party sent too."""
    campaign = Campaign().member("pay-a", "payer")
    names = [("lab-a" if i % 2 else "lab-b", f"user-{i}") for i in range(accounts)]
    for party, name in names:
        campaign.member(party, name)
    others = [("lab-a", f"stranger-{i}") for i in range(strangers)]
    for party, name in others:
        campaign.stranger(party, name)
    return campaign.holds(IdentifierKind.CARD, 77, [("pay-a", "payer"), *names, *others])
