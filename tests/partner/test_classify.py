"""Coarse classes come from the party's own lists, and from nothing else."""

import pytest

from weaklink.errors import ConfigurationError, RecordError
from weaklink.partner.classify import Hints
from weaklink.partner.symbols import AddressClass, MailClass

HINTS = Hints(
    networks={
        AddressClass.TOR: ["192.0.2.7", "2001:db8::7"],
        AddressClass.HOSTING: ["192.0.2.0/24", "2001:db8::/32", "198.51.100.0/25"],
        AddressClass.VPN: ["198.51.100.0/25"],
    },
    domains={MailClass.DISPOSABLE: ["throwaway.example"], MailClass.FREE: ["gmail.com", "bücher.example"]},
)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.7", AddressClass.TOR),
        ("::ffff:192.0.2.7", AddressClass.TOR),
        ("192.0.2.8", AddressClass.HOSTING),
        ("198.51.100.127", AddressClass.HOSTING),
        ("198.51.100.128", AddressClass.UNKNOWN),
        ("2001:db8::7", AddressClass.TOR),
        ("2001:db8::8", AddressClass.HOSTING),
        ("2001:db9::8", AddressClass.UNKNOWN),
        ("[2001:db8::7]", AddressClass.TOR),
    ],
)
def test_the_most_specific_network_decides(address: str, expected: AddressClass) -> None:
    assert HINTS.address_class(address) is expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("x@throwaway.example", MailClass.DISPOSABLE),
        ("x@a.b.throwaway.example", MailClass.DISPOSABLE),
        ("x@notthrowaway.example", MailClass.UNKNOWN),
        ("x@googlemail.com", MailClass.FREE),
        ("x@BÜCHER.example", MailClass.FREE),
    ],
)
def test_a_listed_mail_domain_covers_its_subdomains(address: str, expected: MailClass) -> None:
    assert HINTS.mail_class(address) is expected


def test_without_lists_everything_is_unknown() -> None:
    assert Hints().address_class("192.0.2.7") is AddressClass.UNKNOWN
    assert Hints().mail_class("x@gmail.com") is MailClass.UNKNOWN


def test_what_is_no_address_or_network_is_told() -> None:
    with pytest.raises(RecordError):
        HINTS.address_class("nowhere")
    with pytest.raises(ConfigurationError, match="list of TOR"):
        Hints(networks={AddressClass.TOR: ["192.0.2.0/99"]})
