"""Indicators of others as listed identifiers: only what a list can hold, with source and expiry, and never a raw value."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import stix2

from tests.formats.actions import action
from weaklink.errors import ConfigurationError
from weaklink.formats.indicators import Listed, Unused, read_indicators
from weaklink.formats.stix import actions_bundle
from weaklink.partner.tokens import LocalTokeniser
from weaklink.records.identifiers import IdentifierKind

TOKENISER = LocalTokeniser.throwaway()
NOW = datetime(2026, 3, 5, tzinfo=UTC)


def read(path: Path) -> tuple[list[Listed], list[Unused]]:
    found = list(read_indicators(path, TOKENISER.tokens, NOW))
    return [one for one in found if isinstance(one, Listed)], [one for one in found if isinstance(one, Unused)]


def bundle(tmp_path: Path, *patterns: str, **fields: Any) -> Path:
    who = stix2.Identity(name="Example CERT", identity_class="organization")
    valid = {"valid_from": "2026-03-01T00:00:00Z", "valid_until": "2026-04-01T00:00:00Z", "confidence": 80}
    made = [
        stix2.Indicator(pattern=one, pattern_type="stix", name=f"n{number}", created_by_ref=who.id, indicator_types=["malicious-activity"], **(valid | fields))
        for number, one in enumerate(patterns)
    ]  # fmt: skip
    path = tmp_path / "feed.json"
    path.write_text(stix2.Bundle(who, *made).serialize())
    return path


def test_addresses_and_mail_of_a_bundle_are_listed_as_tokens_with_source_and_expiry(tmp_path: Path) -> None:
    path = bundle(
        tmp_path,
        "[ipv4-addr:value = '203.0.113.7' OR ipv4-addr:value = '203.0.113.8']",
        "[email-addr:value = 'A@x.org'] OR [ipv6-addr:value = '2001:db8::1']",
    )
    listed, unused = read(path)
    assert unused == []
    assert {one.token for one in listed} == {
        TOKENISER.newest(kind, value)
        for kind, value in [
            (IdentifierKind.IP, "203.0.113.7"), (IdentifierKind.IP, "203.0.113.8"), (IdentifierKind.EMAIL, "a@x.org"), (IdentifierKind.IP, "2001:db8::1"),
        ]
    }  # fmt: skip
    assert {
        (one.source, one.expires_at, one.confidence, one.benign) for one in listed if one.source.endswith("n0")
    } == {("Example CERT: n0", datetime(2026, 4, 1, tzinfo=UTC), 0.8, False)}
    assert "203.0.113" not in json.dumps([one.row() for one in listed])


@pytest.mark.parametrize(
    ("pattern", "fields", "why"),
    [
        ("[ipv4-addr:value = '203.0.113.7' AND ipv4-addr:x_seen = 'often']", {}, "more than equal values"),
        ("[ipv4-addr:value != '203.0.113.7']", {}, "more than equal values"),
        ("[ipv4-addr:value ISSUBSET '203.0.113.0/24']", {}, "more than equal values"),
        ("[domain-name:value = 'x.org']", {}, "no identifier that parties share"),
        ("[ipv4-addr:value = 'not an address']", {}, "neither IPv4 nor IPv6"),
        ("[x-weaklink-token:value = '0102']", {}, "no token"),
        ("[ipv4-addr:value = '203.0.113.7']", {"revoked": True}, "revoked"),
        ("[ipv4-addr:value = '203.0.113.7']", {"valid_until": "2026-03-04T00:00:00Z"}, "expired 2026-03-04"),
    ],
)
def test_what_a_list_cannot_hold_is_told_and_not_guessed_at(
    tmp_path: Path, pattern: str, fields: dict[str, Any], why: str
) -> None:
    listed, (unused,) = read(bundle(tmp_path, pattern, **fields))
    assert listed == []
    assert why in unused.why


def test_a_bundle_of_our_own_comes_back_as_its_tokens(tmp_path: Path) -> None:
    block = action("block-card-withdrawn", state="ACTIVE", action_id="2" * 32)
    path = tmp_path / "ours.json"
    path.write_text(json.dumps(actions_bundle([block, action(party=block.party)])))
    listed, (account,) = read(path)
    assert [one.token for one in listed] == [block.target_token]
    assert "user-account:user_id" in account.why


def test_csv_has_columns_for_the_same_and_a_bad_line_is_told_by_number(tmp_path: Path) -> None:
    path = tmp_path / "feed.csv"
    path.write_text(
        "kind,value,source,expires_at,confidence,benign\n"
        "IP,192.0.2.1,campus gateway,2027-01-01,0.9,true\n"
        "CARRIER_PIGEON,x,y,,,\nEMAIL,no mail,y,,,\nIP,192.0.2.2,y,soon,,\n"
    )
    (listed,), unused = read(path)
    assert (listed.source, listed.benign, listed.confidence) == ("campus gateway", True, 0.9)
    assert [one.name for one in unused] == ["line 3", "line 4", "line 5"]


def test_files_that_are_neither_are_refused(tmp_path: Path) -> None:
    for name, text in (("a.json", "{}"), ("b.json", "["), ("c.json", "[]")):
        (tmp_path / name).write_text(text)
        with pytest.raises(ConfigurationError, match="STIX bundle"):
            read(tmp_path / name)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read(tmp_path / "missing.csv")
