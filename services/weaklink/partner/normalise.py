"""Raw identifiers to one written form each, so that parties that write them differently still meet.

The form is what is hashed. Changing a rule changes tokens: it needs a new key epoch, like a new key.
Every function raises RecordError (BAD_IDENTIFIER) when the value cannot be one of its kind.
"""

import ipaddress
import re
import unicodedata
import uuid
from dataclasses import dataclass
from typing import Final

from weaklink.errors import RecordError
from weaklink.records import reasons
from weaklink.records.identifiers import IdentifierKind

_VALUE_CHARACTERS_MAX: Final = 4096
FORM_CHARACTERS_MAX: Final = 4096
"""Some forms are longer than their value: a mark before it, and characters that stand for many (U+FDFA for eighteen)."""


@dataclass(frozen=True, slots=True)
class MailRules:
    """What a provider ignores in the part before the @."""

    domain: str
    ignored: str = ""
    tag: str = "+"


def _same(domain: str, names: tuple[str, ...], ignored: str = "") -> dict[str, MailRules]:
    return {name: MailRules(domain, ignored) for name in names}


# Only what the providers document: elsewhere dots matter and "+" may begin another person's name.
_MAIL_RULES: Final[dict[str, MailRules]] = {
    **_same("gmail.com", ("gmail.com", "googlemail.com"), "."),  # "Dots don't matter in Gmail addresses"
    **_same("proton.me", ("proton.me", "protonmail.com", "pm.me"), ".-_"),  # one mailbox under all three domains
    **{name: MailRules(name) for name in ("outlook.com", "hotmail.com", "live.com", "icloud.com", "me.com", "fastmail.com")},
}  # fmt: skip

_EXTENSION: Final = re.compile(r"(?:;\s*ext\s*=|\bext\.?|\bextension|\bx|#)\s*\d+\s*$", re.IGNORECASE)
_IBAN: Final = re.compile(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}")


def refuse(kind: IdentifierKind, detail: str) -> RecordError:
    """What to raise of a value that cannot be one of its kind."""
    # Never with the value: messages end in logs, and raw values stay at the party.
    return RecordError(reasons.BAD_IDENTIFIER, f"not a usable {kind.name}: {detail}", "identifiers")


def _stripped(kind: IdentifierKind, value: str) -> str:
    text = unicodedata.normalize("NFC", value).strip()
    if not text:
        raise refuse(kind, "it is empty")
    if len(text) > _VALUE_CHARACTERS_MAX:
        raise refuse(kind, f"it is longer than {_VALUE_CHARACTERS_MAX} characters")
    try:
        text.encode()
    except UnicodeEncodeError:
        # JSON can say half of a surrogate pair ("\ud83d"): software that cuts texts leaves it of an emoji. There are no bytes for it.
        raise refuse(kind, "it holds half of a character, as a text that was cut does") from None
    return text


def ip(value: str) -> str:
    """IPv4 in dotted form; IPv6 cut to its /64, since one subscriber or host has at least that and changes the rest at will (RFC 6177, RFC 8981)."""
    text = _stripped(IdentifierKind.IP, value).strip("[]").partition("%")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        raise refuse(IdentifierKind.IP, "neither IPv4 nor IPv6") from None
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.IPv6Network((address, 64), strict=False))
    return str(address)


def email(value: str) -> str:
    """Lower case, domain in IDNA (Punycode), and without what the large providers ignore: one mailbox gives one form."""
    local, at, domain = _stripped(IdentifierKind.EMAIL, value).rpartition("@")
    if not at or not local or not domain or any(character.isspace() for character in local + domain):
        raise refuse(IdentifierKind.EMAIL, "no local part, @ and domain")
    try:
        domain = domain.rstrip(".").encode("idna").decode("ascii").lower()
    except UnicodeError:
        raise refuse(IdentifierKind.EMAIL, "its domain is not a domain name") from None
    if not domain:
        raise refuse(IdentifierKind.EMAIL, "no local part, @ and domain")
    # RFC 5321 lets servers tell case apart in the local part; none of any size does.
    local = local.casefold()
    rules = _MAIL_RULES.get(domain)
    if rules:
        plain = local.partition(rules.tag)[0].translate(dict.fromkeys(map(ord, rules.ignored)))
        local, domain = plain or local, rules.domain
    return f"{local}@{domain}"


def phone(value: str, country_code: str | None = None, trunk_prefix: str = "0") -> str:
    """E.164: +, country code, number. A national number takes the default country code, without its trunk prefix."""
    text = _EXTENSION.sub("", _stripped(IdentifierKind.PHONE, value).removeprefix("tel:")).replace("(0)", "")
    international = text.lstrip("( ").startswith("+")
    digits = "".join(str(unicodedata.digit(character)) for character in text if character.isdigit())
    if not international and digits.startswith("00"):
        international, digits = True, digits[2:]
    if not international:
        if country_code is None:
            raise refuse(IdentifierKind.PHONE, "no country code, and WEAKLINK_PARTNER__PHONE_COUNTRY_CODE is not set")
        digits = country_code + (digits.removeprefix(trunk_prefix) if trunk_prefix else digits)
    # E.164 allows 15 digits; shorter than 8 is a short code, which is nobody's own.
    if not 8 <= len(digits) <= 15 or digits.startswith("0"):
        raise refuse(IdentifierKind.PHONE, f"{len(digits)} digits where E.164 has 8 to 15")
    return f"+{digits}"


def passes_luhn(digits: str) -> bool:
    """The check digit of card numbers (ISO/IEC 7812-1, annex B)."""
    doubled = (int(digit) * (1 + position % 2) for position, digit in enumerate(reversed(digits)))
    return sum(digit // 10 + digit % 10 for digit in doubled) % 10 == 0


def card(value: str) -> str:
    """A card number (12 to 19 digits that pass Luhn's check) as `pan:` digits; anything else is a processor's own fingerprint, as it is.

    Fingerprints of different processors do not meet each other, nor card numbers: only the number itself joins across processors.
    """
    text = _stripped(IdentifierKind.CARD, value)
    digits = re.sub(r"[ -]", "", text)
    if digits.isascii() and digits.isdigit() and 12 <= len(digits) <= 19 and passes_luhn(digits):
        return f"pan:{digits}"
    return f"fingerprint:{text}"


def bank_account(value: str) -> str:
    """An IBAN (ISO 13616, its check digits right) without spaces in capitals; anything else as it is."""
    text = _stripped(IdentifierKind.BANK_ACCOUNT, value)
    compact = re.sub(r"[\s-]", "", text).upper()
    if _IBAN.fullmatch(compact):
        digits = "".join(str(int(character, 36)) for character in compact[4:] + compact[:4])
        if int(digits) % 97 == 1:
            return f"iban:{compact}"
    return f"account:{text}"


def device(value: str) -> str:
    """A UUID in its canonical form whatever its case and braces; anything else as it is."""
    text = _stripped(IdentifierKind.DEVICE, value)
    try:
        return str(uuid.UUID(text))
    except ValueError:
        return text


def organisation(value: str) -> str:
    """Case, width, punctuation and spacing removed: registries and forms differ in them."""
    folded = unicodedata.normalize("NFKC", _stripped(IdentifierKind.ORGANISATION, value)).casefold()
    words = " ".join(re.findall(r"\w+", folded))
    if not words:
        raise refuse(IdentifierKind.ORGANISATION, "it has no letters and no digits")
    return words


def caseless(kind: IdentifierKind, value: str) -> str:
    """TLS fingerprints (hexadecimal) and referral codes: typed and printed in either case."""
    return _stripped(kind, value).casefold()


def exact(kind: IdentifierKind, value: str) -> str:
    """Keys and the parties' own ids: every character counts, but for white space around them."""
    return _stripped(kind, value)
