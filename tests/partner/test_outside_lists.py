"""Classes by the installed lists: applied where the raw value is, UNKNOWN without a list, and only the class leaves."""

from datetime import UTC, datetime
from importlib import import_module
from types import ModuleType

import pytest
from structlog.testing import capture_logs

from weaklink.errors import RecordError
from weaklink.partner import outside_lists
from weaklink.partner.builder import EventBuilder
from weaklink.partner.classify import Hints
from weaklink.partner.models import AccountOpened, ApiUsage, PaymentAttempt
from weaklink.partner.outside_lists import OutsideLists
from weaklink.partner.rows import event_of
from weaklink.partner.symbols import AddressClass, MailClass
from weaklink.partner.tokens import LocalTokeniser
from weaklink.records.codec import encode

LISTS = OutsideLists()
AWS = "52.95.110.1"


def test_ranges_that_providers_publish_are_hosting_and_what_no_list_has_is_unknown() -> None:
    assert LISTS.address_class(AWS) is AddressClass.HOSTING
    assert LISTS.address_class(f"::ffff:{AWS}") is AddressClass.HOSTING
    assert LISTS.address_class("192.0.2.7") is AddressClass.UNKNOWN
    assert set(LISTS.versions) == {"iporigin", "disposable-email-domains"}


def test_disposable_domains_and_their_subdomains_are_told_from_others() -> None:
    assert LISTS.mail_class("someone@mailinator.com") is MailClass.DISPOSABLE
    assert LISTS.mail_class("someone@eu.Mailinator.com") is MailClass.DISPOSABLE
    assert LISTS.mail_class("someone@example.org") is MailClass.UNKNOWN


def test_what_the_party_knows_itself_counts_first() -> None:
    own = OutsideLists(Hints({AddressClass.VPN: [AWS]}, {MailClass.BUSINESS: ["mailinator.com"]}))
    assert own.address_class(AWS) is AddressClass.VPN
    assert own.mail_class("a@mailinator.com") is MailClass.BUSINESS


def test_a_missing_list_is_unknown_and_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_iporigin(name: str) -> ModuleType:
        if name == "iporigin":
            raise ImportError(name)
        return import_module(name)

    monkeypatch.setattr(outside_lists, "import_module", no_iporigin)
    with capture_logs() as said:
        lists = OutsideLists()
        assert [lists.address_class(AWS) for _ in range(3)] == [AddressClass.UNKNOWN] * 3
    assert [(one["log_level"], one["package"]) for one in said] == [("warning", "iporigin")]
    assert lists.mail_class("a@mailinator.com") is MailClass.DISPOSABLE


def test_events_get_the_classes_of_their_raw_identifiers_and_nothing_raw() -> None:
    """An opening gets both, usage that of its address; what the caller says stays; other records have no such field."""
    builder = EventBuilder(LocalTokeniser.throwaway(), LISTS)
    at = datetime(2026, 3, 2, tzinfo=UTC)
    raw = [("IP", AWS), ("EMAIL", "someone@mailinator.com")]
    opened = builder.build(AccountOpened, account="c", occurred_at=at, identifiers=raw, verified="EMAIL")
    assert (opened.address_class, opened.mail_class) == (AddressClass.HOSTING, MailClass.DISPOSABLE)
    message = encode("AccountOpened", opened.model_dump())
    assert AWS.encode() not in message
    assert b"mailinator" not in message
    said = builder.build(AccountOpened, account="c", occurred_at=at, identifiers=raw, verified="EMAIL", address_class="VPN")  # fmt: skip
    assert said.address_class is AddressClass.VPN
    usage = {"event_type": "ApiUsage", "occurred_at": "2026-03-02T00:00:00Z", "account": "c", "model": "m"}
    event = event_of(usage | {"identifiers": [{"kind": "ip", "value": AWS}]}, builder, 1)
    assert isinstance(event, ApiUsage)
    assert event.address_class is AddressClass.HOSTING
    paid = builder.build(PaymentAttempt, account="c", occurred_at=at, identifiers=raw, outcome="APPROVED", instrument="CREDIT")  # fmt: skip
    assert "address_class" not in paid.model_dump()
    with pytest.raises(RecordError):
        builder.build(AccountOpened, account="c", occurred_at=at, identifiers=[("IP", "no address")], verified="EMAIL")
