"""Tokens: the written form of each kind, the keyed hash of it, and epochs that overlap."""

import hashlib
import hmac
import ipaddress
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from weaklink.errors import ConfigurationError, RecordError
from weaklink.partner import normalise
from weaklink.partner.config import PartnerConfig
from weaklink.partner.keys import Key, load_keys, new_keys, rotated, save_keys
from weaklink.partner.tokens import LocalTokeniser
from weaklink.records.identifiers import TOKEN_BYTES, IdentifierKind

START = datetime(2026, 1, 1, tzinfo=UTC)


def tokeniser(keys: list[Key] | None = None, now: datetime = START, **config: object) -> LocalTokeniser:
    return LocalTokeniser(keys or new_keys(START), PartnerConfig.model_validate(config), clock=now.timestamp)


@pytest.mark.parametrize(
    ("raw", "form"),
    [
        ("Jane.Doe+news@GMail.com", "janedoe@gmail.com"),
        ("janedoe@googlemail.com", "janedoe@gmail.com"),
        ("Jane.Doe+news@example.org", "jane.doe+news@example.org"),
        ("j-a.n_e@protonmail.com", "jane@proton.me"),
        ("jane+x@outlook.com", "jane@outlook.com"),
        ("jane@bücher.example", "jane@xn--bcher-kva.example"),
        ("jane@BÜCHER.example.", "jane@xn--bcher-kva.example"),
        (" jane@example.org ", "jane@example.org"),
        ('"odd@local"@example.org', '"odd@local"@example.org'),
        ("+++@gmail.com", "+++@gmail.com"),
    ],
)
def test_an_email_address_has_one_form_per_mailbox(raw: str, form: str) -> None:
    assert normalise.email(raw) == form


@pytest.mark.parametrize("raw", ["", "jane", "@example.org", "jane@", "ja ne@example.org", "jane@" + "x" * 64 + ".org"])
def test_what_is_no_email_address_is_refused_without_quoting_it(raw: str) -> None:
    with pytest.raises(RecordError) as caught:
        normalise.email(raw)
    assert caught.value.reason == "BAD_IDENTIFIER"
    assert not raw or raw not in str(caught.value)


@pytest.mark.parametrize(
    ("raw", "form"),
    [
        ("192.0.2.7", "192.0.2.7"),
        (" 192.0.2.7\n", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:DB8::1", "2001:db8::/64"),
        ("2001:db8:0:0:ffff:1:2:3", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("[2001:db8::1]", "2001:db8::/64"),
    ],
)
def test_an_address_has_one_form_and_ipv6_is_cut_to_its_subscriber(raw: str, form: str) -> None:
    assert normalise.ip(raw) == form


@given(st.integers(1, 2**64 - 1), st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
@settings(deadline=None)
def test_hosts_of_one_ipv6_subscriber_are_one(subscriber: int, host: int, other: int) -> None:
    one, two = (ipaddress.IPv6Address(subscriber << 64 | suffix) for suffix in (host, other))
    assert normalise.ip(str(one)) == normalise.ip(two.exploded)


@pytest.mark.parametrize(
    ("raw", "country", "form"),
    [
        ("+49 (0)30 1234-5678", None, "+493012345678"),
        ("0049 30 12345678", None, "+493012345678"),
        ("030 12345678", "49", "+493012345678"),
        ("tel:+1-202-555-0143;ext=12", None, "+12025550143"),
        ("+1 202 555 0143 x9", None, "+12025550143"),
        ("202-555-0143", "1", "+12025550143"),
        ("٠٣٠١٢٣٤٥٦٧٨", "49", "+493012345678"),
    ],
)
def test_a_phone_number_becomes_international(raw: str, country: str | None, form: str) -> None:
    assert normalise.phone(raw, country) == form


@pytest.mark.parametrize("raw", ["030 12345678", "+12", "+1234567890123456", "+0301234567", "none"])
def test_a_phone_number_that_cannot_be_international_is_refused(raw: str) -> None:
    with pytest.raises(RecordError):
        normalise.phone(raw)


def test_a_card_number_is_told_from_a_processors_fingerprint_by_its_check_digit() -> None:
    assert normalise.card("4242 4242-4242 4242") == "pan:4242424242424242"
    assert normalise.card("4242424242424241") == "fingerprint:4242424242424241"
    assert normalise.card("Xt5EWLLDS7FJjR1c") == "fingerprint:Xt5EWLLDS7FJjR1c"


@given(st.text("0123456789", min_size=11, max_size=18))
@settings(deadline=None)
def test_exactly_one_check_digit_passes_luhn(digits: str) -> None:
    assert sum(normalise.passes_luhn(digits + check) for check in "0123456789") == 1


def test_an_iban_has_one_form_and_another_account_number_stays_as_it_is() -> None:
    assert normalise.bank_account("de89 3704 0044 0532 0130 00") == "iban:DE89370400440532013000"
    assert normalise.bank_account("DE88370400440532013000") == "account:DE88370400440532013000"
    assert normalise.bank_account("34ebb309") == "account:34ebb309"


def test_devices_and_organisations_and_codes_have_one_form() -> None:
    assert normalise.device("{F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6}") == "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"
    assert normalise.organisation("ＡＣＭＥ,  Inc.") == normalise.organisation("Acme Inc")
    assert normalise.caseless(IdentifierKind.REFERRAL, "Spring25") == "spring25"
    assert normalise.exact(IdentifierKind.API_KEY, " sk-aB ") == "sk-aB"


@given(st.sampled_from(list(IdentifierKind)), st.text(st.characters(), max_size=60))  # halves of surrogate pairs, too
@example(IdentifierKind.DEVICE, "phone \ud83d")
@example(IdentifierKind.END_USER, "\ud83d")
@settings(deadline=None)
def test_every_value_gives_well_formed_tokens_or_a_record_error(kind: IdentifierKind, value: str) -> None:
    try:
        tokens = SHARED.tokens(kind, value)
    except RecordError:
        return
    assert tokens
    assert all(len(token) == TOKEN_BYTES and token[0] == kind and token[1] == 1 for token in tokens)
    assert SHARED.tokens(kind, value) == tokens


SHARED = tokeniser(phone_country_code="49")


def test_a_token_is_kind_epoch_and_fifteen_bytes_of_the_hmac_of_the_form() -> None:
    keys = new_keys(START, epoch=7)
    secret = next(key.secret for key in keys if key.kind is IdentifierKind.IP)
    digest = hmac.new(secret, b"192.0.2.7", hashlib.sha256).digest()
    assert tokeniser(keys).tokens(IdentifierKind.IP, "::ffff:192.0.2.7") == (b"\x01\x07" + digest[:15],)


def test_the_same_value_under_two_kinds_or_two_keys_does_not_meet() -> None:
    one = tokeniser()
    assert one.newest(IdentifierKind.API_KEY, "x")[2:] != one.newest(IdentifierKind.END_USER, "x")[2:]
    assert one.newest(IdentifierKind.API_KEY, "x") != tokeniser().newest(IdentifierKind.API_KEY, "x")


def test_while_epochs_overlap_tokens_of_both_are_made_and_then_only_the_newer() -> None:
    keys = rotated(new_keys(START), START + timedelta(days=10), timedelta(days=30))
    now = [START.timestamp()]
    rotating = LocalTokeniser(keys, clock=lambda: now[0])

    def epochs() -> list[int]:
        return [token[1] for token in rotating.tokens(IdentifierKind.DEVICE, "d")]

    assert epochs() == [1]
    now[0] = (START + timedelta(days=10)).timestamp()
    assert epochs() == [1, 2]
    assert rotating.newest(IdentifierKind.DEVICE, "d")[1] == 2
    now[0] = (START + timedelta(days=40)).timestamp()
    assert epochs() == [2]


def test_a_third_epoch_must_wait_for_the_overlap_to_end() -> None:
    keys = rotated(new_keys(START), START, timedelta(days=30))
    with pytest.raises(ConfigurationError, match="overlap already"):
        rotated(keys, START + timedelta(days=29), timedelta(days=30))
    later = rotated(keys, START + timedelta(days=30), timedelta(days=30))
    assert {key.epoch for key in later} == {2, 3}


def test_after_a_leak_the_new_epoch_stands_alone_at_once_also_while_two_overlap() -> None:
    """Ingest refuses an event with any token of an epoch that was ended: what leaked must not be used beside the new one."""
    keys = rotated(new_keys(START), START, timedelta(days=30))
    later = START + timedelta(days=3)
    leaked = LocalTokeniser(rotated(keys, later, timedelta(0)), clock=later.timestamp)
    assert [token[1] for token in leaked.tokens(IdentifierKind.DEVICE, "d")] == [3]


def test_a_kind_without_a_key_in_use_is_an_error_of_configuration() -> None:
    with pytest.raises(ConfigurationError, match="no key for IP"):
        tokeniser(now=START - timedelta(days=1)).tokens(IdentifierKind.IP, "192.0.2.7")


def test_a_key_file_keeps_its_keys_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path, keys = tmp_path / "keys.json", new_keys(START)
    save_keys(path, keys)
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_keys(path) == keys
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        load_keys(path)


def test_a_key_file_is_never_overwritten_by_a_new_one_but_can_be_rotated(tmp_path: Path) -> None:
    path, keys = tmp_path / "keys.json", new_keys(START)
    save_keys(path, keys)
    with pytest.raises(ConfigurationError, match="exists"):
        save_keys(path, new_keys(START))
    save_keys(path, rotated(keys, START, timedelta(days=1)), replace=True)
    assert {key.epoch for key in load_keys(path)} == {1, 2}
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["keys.json"]


def test_a_rotated_key_file_stays_readable_for_whom_it_was(tmp_path: Path) -> None:
    """Root rotates; the tokeniser that runs as somebody else, or reads by its group, has to see the new keys."""
    path, keys = tmp_path / "keys.json", new_keys(START)
    save_keys(path, keys)
    path.chmod(0o640)
    if os.geteuid() == 0:
        os.chown(path, 10_001, 10_002)
    before = path.stat()
    save_keys(path, rotated(keys, START, timedelta(days=1)), replace=True)
    after = path.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino


@pytest.mark.parametrize("content", ["", "{}", '{"version":1,"keys":[{"kind":"IP"}]}', '{"version":2,"keys":[]}'])
def test_a_damaged_key_file_is_told_without_its_content(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.json"
    path.touch(mode=0o600)
    path.write_text(content)
    with pytest.raises(ConfigurationError, match="not a key file"):
        load_keys(path)


def test_a_missing_key_file_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="partner key new"):
        LocalTokeniser.load(tmp_path / "none.json")


def test_backtests_keys_are_the_same_in_every_process_and_differ_by_kind() -> None:
    """Two runs over the same history must be comparable to the row."""
    one, other = LocalTokeniser.reproducible(), LocalTokeniser.reproducible()
    assert one.tokens(IdentifierKind.DEVICE, "d-1") == other.tokens(IdentifierKind.DEVICE, "d-1")
    assert one.newest(IdentifierKind.DEVICE, "x1")[2:] != one.newest(IdentifierKind.API_KEY, "x1")[2:]
    assert one.newest(IdentifierKind.DEVICE, "x1").hex() == "0201d22c84c7fe5e8088abe4cc706d1558"
