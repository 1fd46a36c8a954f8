"""Coarse classes of addresses, computed where the raw value is, from lists that the party brings. Without a list everything is UNKNOWN.

hints = Hints(networks={AddressClass.TOR: tor_exits, AddressClass.HOSTING: cloud_ranges}, domains={MailClass.DISPOSABLE: disposable})
client.build(AccountOpened, address_class=hints.address_class("192.0.2.7"), mail_class=hints.mail_class("a@example.org"), ...)
"""

import ipaddress
from collections.abc import Iterable, Mapping

from weaklink.errors import ConfigurationError
from weaklink.partner import normalise
from weaklink.partner.symbols import AddressClass, MailClass


class Hints:
    """Classes by network and by mail domain. Raises ConfigurationError for an entry that is neither an address nor a network.

    The most specific network decides; of equal ones the class that comes first in `networks`. A mail domain covers its subdomains.
    """

    def __init__(
        self,
        networks: Mapping[AddressClass, Iterable[str]] | None = None,
        domains: Mapping[MailClass, Iterable[str]] | None = None,
    ) -> None:
        # (version, prefix length) -> network bits -> class: a lookup costs one probe per length that occurs, not one per network.
        self._networks: dict[tuple[int, int], dict[int, AddressClass]] = {}
        for address_class, entries in (networks or {}).items():
            for entry in entries:
                try:
                    network = ipaddress.ip_network(entry.strip(), strict=False)
                except ValueError as error:
                    raise ConfigurationError(
                        f"{entry!r} in the list of {address_class} is no address or network"
                    ) from error
                bits = int(network.network_address) >> (network.max_prefixlen - network.prefixlen)
                self._networks.setdefault((network.version, network.prefixlen), {}).setdefault(bits, address_class)
        self._lengths = sorted(self._networks, reverse=True)
        self._domains: dict[str, MailClass] = {}
        for mail_class, names in (domains or {}).items():
            for name in names:
                self._domains.setdefault(name.strip().lower().encode("idna").decode("ascii"), mail_class)

    def address_class(self, address: str) -> AddressClass:
        """The class of the most specific network that holds an address. Raises RecordError when it is not one."""
        canonical = normalise.ip(address)
        # The token's form of IPv6 is cut to /64; lists may be finer, so the address itself is looked up.
        given = ipaddress.ip_address(address.strip().strip("[]").partition("%")[0] if "/" in canonical else canonical)
        for version, length in self._lengths:
            if version == given.version:
                found = self._networks[version, length].get(int(given) >> (given.max_prefixlen - length))
                if found is not None:
                    return found
        return AddressClass.UNKNOWN

    def mail_class(self, address: str) -> MailClass:
        """The class of the longest listed domain that an e-mail address lies in. Raises RecordError when it is not one."""
        domain = normalise.email(address).rpartition("@")[2]
        while domain:
            if domain in self._domains:
                return self._domains[domain]
            domain = domain.partition(".")[2]
        return MailClass.UNKNOWN
