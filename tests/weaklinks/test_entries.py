"""By which doors accounts came in, and what a party's scorecard says."""

from typing import Any

import polars as pl
import pytest

from weaklink import frames
from weaklink.account_keys import account_key
from weaklink.records.identifiers import IdentifierKind
from weaklink.weaklinks.entries import ENTRIES, entries
from weaklink.weaklinks.scorecard import SCORECARDS, scorecards

HOUR_US = 3_600_000_000
KINDS = pl.DataFrame(
    {"party": ["lab-a", "lab-b", "pay-a", "cloud-a"], "party_kind": ["lab", "lab", "payment", "cloud"]}
)


def activity(*rows: dict[str, Any]) -> pl.DataFrame:
    zero = {name: 0 for name, dtype in frames.ACTIVITY.items() if dtype.is_numeric()}
    filled = [
        zero | {"account": account_key(row["party"], row["account_name"]), "hour": 1, "events": 1, "windows": 1} | row
        for row in rows
    ]
    return pl.DataFrame(filled, schema=frames.ACTIVITY)


def links(kind: IdentifierKind, identifier: int, *holders: tuple[str, str]) -> pl.DataFrame:
    zero = dict.fromkeys(frames.SHARED.names(), 0)
    rows = [
        zero | {"identifier": identifier, "kind": int(kind), "account": account_key(party, name)}
        for party, name in holders
    ]
    return pl.DataFrame(rows, schema=frames.SHARED)


def opened(party: str, name: str, **rest: Any) -> dict[str, Any]:
    return {"party": party, "account_name": name, "record": "AccountOpened", "mail_class": "UNKNOWN"} | rest


def used(party: str, name: str, requests: int, address_class: str = "UNKNOWN") -> dict[str, Any]:
    return {"party": party, "account_name": name, "record": "ApiUsage", "requests": requests, "address_class": address_class}  # fmt: skip


def paid(name: str, instrument: str, events: int = 1) -> dict[str, Any]:
    return {"party": "pay-a", "account_name": name, "record": "PaymentAttempt", "instrument": instrument, "events": events}  # fmt: skip


def test_an_account_is_classed_by_its_opening_its_usage_and_what_pays_for_it() -> None:
    rows = activity(
        opened("lab-a", "one", plan="EDUCATION", verified="EMAIL", address_class="RESIDENTIAL", last_seen_us=1),
        used("lab-a", "one", 10, "HOSTING"),
        used("lab-a", "one", 3, "RESIDENTIAL"),
        opened("lab-b", "two", plan="PAID", verified="CARD", address_class="MOBILE"),
        paid("payer", "CREDIT"),
        paid("payer", "PREPAID", events=3),
    )
    card = links(IdentifierKind.CARD, 7, ("pay-a", "payer"), ("lab-b", "two"))
    found = {row["account"]: row for row in entries(rows, card, KINDS).iter_rows(named=True)}
    one, two = found[account_key("lab-a", "one")], found[account_key("lab-b", "two")]
    assert (one["plan"], one["programme"], one["verified"]) == ("EDUCATION", "EDUCATION", "EMAIL")
    assert (one["address_class"], one["requests"], one["instrument"], one["mail_class"]) == ("HOSTING", 13, None, None)
    assert (two["plan"], two["programme"], two["address_class"]) == ("PAID", "NONE", "MOBILE")
    assert two["instrument"] == found[account_key("pay-a", "payer")]["instrument"] == "PREPAID"


def test_the_newest_opening_counts_and_order_changes_nothing() -> None:
    rows = activity(
        opened("lab-a", "one", plan="PAID", last_seen_us=5), opened("lab-a", "one", plan="TRIAL", last_seen_us=9)
    )
    none = pl.DataFrame(schema=frames.SHARED)
    assert entries(rows, none, KINDS)["plan"].to_list() == ["TRIAL"]
    assert entries(rows.reverse(), none, KINDS).equals(entries(rows, none, KINDS))
    assert entries(rows.clear(), none, KINDS).schema == ENTRIES


def members(*rows: tuple[str, str, int, int]) -> pl.DataFrame:
    return pl.DataFrame(
        [(account_key(party, name), party, requests, hours * HOUR_US) for party, name, requests, hours in rows],
        schema={"account": pl.UInt64, "party": pl.String, "requests": pl.Int64, "first_seen_us": pl.Int64},
        orient="row",
    )


def actions(*rows: tuple[str, int, str | None, int | None]) -> pl.DataFrame:
    return pl.DataFrame(
        [(p, issued * HOUR_US, answer, None if at is None else at * HOUR_US) for p, issued, answer, at in rows],
        schema={"party": pl.String, "issued_at_us": pl.Int64, "answer": pl.String, "answered_at_us": pl.Int64},
        orient="row",
    )


def test_a_scorecard_tells_what_came_in_how_fast_the_party_acts_and_what_came_back() -> None:
    campaign = members(("lab-a", "one", 60, 0), ("lab-a", "two", 20, 9), ("lab-b", "three", 20, 0), ("pay-a", "payer", 0, 0))  # fmt: skip
    card = links(IdentifierKind.CARD, 7, ("pay-a", "payer"), ("lab-a", "one"), ("lab-b", "three"))
    asked = actions(("lab-a", 4, "DONE", 6), ("lab-a", 4, "DISPUTED", 30), ("lab-a", 5, "ACCEPTED", 9), ("pay-a", 1, None, None))  # fmt: skip
    owners = campaign.select("account", "party")
    found = {row["party"]: row for row in scorecards(campaign, card, owners, asked, KINDS).iter_rows(named=True)}
    lab, pay = found["lab-a"], found["pay-a"]
    assert (lab["accounts"], lab["requests_entered"], lab["volume_entered_share"]) == (2, 80, 0.8)
    assert (lab["answered"], lab["hours_to_act"]) == (3, 3.0)
    assert lab["disputed_share"] == pytest.approx(1 / 3)
    assert (lab["accounts_after"], lab["requests_after_share"]) == (1, 0.25)
    assert (pay["party_kind"], pay["requests_entered"], pay["volume_entered_share"]) == ("payment", 80, 0.8)
    assert (pay["actions"], pay["answered"], pay["hours_to_act"], pay["disputed_share"]) == (1, 0, None, None)
    assert found["lab-b"]["actions"] == 0


def test_a_party_is_a_door_by_what_it_provides_at_the_time() -> None:
    """An address at which a payer was seen is not the payment party's to give, a card that a lessee pays with not the cloud's; and an address that the
    cloud leases to somebody months later let nobody in."""
    campaign = members(("lab-a", "one", 60, 0), ("lab-b", "two", 40, 0))
    one, two, payer, lessee = ("lab-a", "one"), ("lab-b", "two"), ("pay-a", "payer"), ("cloud-a", "lessee")
    owners = pl.DataFrame(
        [(account_key(*who), who[0]) for who in (one, two, payer, lessee)],
        schema={"account": pl.UInt64, "party": pl.String},
        orient="row",
    )
    holders = {
        "a payer's address": links(IdentifierKind.IP, 1, payer, one),
        "a lessee's card": links(IdentifierKind.CARD, 2, lessee, one),
        "leased to another later": pl.concat([links(IdentifierKind.IP, 3, one), links(IdentifierKind.IP, 3, lessee).with_columns(slot=pl.lit(9, pl.UInt16))]),
        "leased": links(IdentifierKind.IP, 4, lessee, two),
    }  # fmt: skip
    found = scorecards(campaign, pl.concat(holders.values()), owners, actions(), KINDS)
    entered = dict(found.select("party", "requests_entered").rows())
    assert entered == {"lab-a": 60, "lab-b": 40, "cloud-a": 40}


def test_without_campaigns_there_are_no_scorecards() -> None:
    none = scorecards(members(), pl.DataFrame(schema=frames.SHARED), members(), actions(), KINDS)
    assert none.is_empty()
    assert none.schema == SCORECARDS
