"""Kinds of identifiers, and the layout of a token: kind byte, key epoch byte, 15 bytes of HMAC-SHA-256."""

from enum import IntEnum
from typing import Final

TOKEN_BYTES: Final = 17
IDENTIFIERS_MAX: Final = 32
ACCOUNT_CHARACTERS_MAX: Final = 128


class IdentifierKind(IntEnum):
    """The first byte of a token."""

    IP = 1
    DEVICE = 2
    TLS = 3
    CARD = 4
    BANK_ACCOUNT = 5
    EMAIL = 6
    PHONE = 7
    API_KEY = 8
    PROMPT = 9
    ORGANISATION = 10
    REFERRAL = 11
    END_USER = 12


HARD_KINDS: Final = frozenset(
    {
        IdentifierKind.DEVICE,
        IdentifierKind.PHONE,
        IdentifierKind.CARD,
        IdentifierKind.BANK_ACCOUNT,
        IdentifierKind.API_KEY,
    }
)
"""Kinds that strangers hardly ever share: they carry structure evidence and may justify SUSPEND (DETECTION.md, step 3)."""
