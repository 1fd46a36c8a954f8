"""Classes of addresses by the lists of installed packages: offline, each with its version, nothing of the raw value kept or sent.

`pip install 'weaklink[partner-lists]'` brings iporigin (hosting, VPN and Tor ranges) and disposable-email-domains. A list that is missing
gives UNKNOWN, and one warning when the lists are loaded. What a party knows better (`Hints`) counts first.
"""

import ipaddress
from importlib import import_module
from importlib.metadata import version
from typing import Any, Final, Protocol

import structlog

from weaklink.partner import normalise
from weaklink.partner.classify import Hints
from weaklink.partner.symbols import AddressClass, MailClass

_ADDRESSES: Final = "iporigin"
_MAIL: Final = "disposable-email-domains"
_EXTRA: Final = "pip install 'weaklink[partner-lists]'"
_CLASS_OF_ORIGIN: Final = {
    "hosting": AddressClass.HOSTING,
    "cdn": AddressClass.HOSTING,
    "vpn": AddressClass.VPN,
    "tor": AddressClass.TOR,
}
"""Declared crawlers and reserved ranges tell nothing; "unknown" is no word for a home connection."""
_log = structlog.get_logger()


class Classes(Protocol):
    """Gives the coarse classes of raw addresses; `Hints` and `OutsideLists` do. Raises RecordError for what is no address."""

    def address_class(self, address: str) -> AddressClass:
        """Class of a network address."""
        ...

    def mail_class(self, address: str) -> MailClass:
        """Class of an e-mail address."""
        ...


class OutsideLists:
    """See the module. `versions` names the lists in use."""

    def __init__(self, own: Hints | None = None) -> None:
        self._own: Final = own or Hints()
        self.versions: Final[dict[str, str]] = {}
        self._origins = self._load(_ADDRESSES)
        self._disposable: frozenset[str] = frozenset(getattr(self._load(_MAIL), "blocklist", ()))

    def _load(self, package: str) -> Any:
        try:
            module = import_module(package.replace("-", "_"))
        except ImportError:
            _log.warning("outside_list_missing", package=package, classes="UNKNOWN", install=_EXTRA)
            return None
        self.versions[package] = version(package)
        return module

    def address_class(self, address: str) -> AddressClass:
        """See `Classes.address_class`."""
        known = self._own.address_class(address)
        if known is not AddressClass.UNKNOWN or self._origins is None:
            return known
        given = ipaddress.ip_address(address.strip().strip("[]").partition("%")[0])
        mapped = given.ipv4_mapped if isinstance(given, ipaddress.IPv6Address) else None
        origin = self._origins.classify(mapped or given)
        return _CLASS_OF_ORIGIN.get(origin.kind, AddressClass.UNKNOWN)

    def mail_class(self, address: str) -> MailClass:
        """See `Classes.mail_class`. A listed domain covers its subdomains."""
        known = self._own.mail_class(address)
        if known is not MailClass.UNKNOWN:
            return known
        domain = normalise.email(address).rpartition("@")[2]
        while domain:
            if domain in self._disposable:
                return MailClass.DISPOSABLE
            domain = domain.partition(".")[2]
        return MailClass.UNKNOWN
