"""The symbols of the enums in the schemas that a party meets (a test holds both together)."""

from enum import StrEnum


class AddressClass(StrEnum):
    """Coarse class of a network address."""

    RESIDENTIAL = "RESIDENTIAL"
    MOBILE = "MOBILE"
    HOSTING = "HOSTING"
    VPN = "VPN"
    TOR = "TOR"
    UNKNOWN = "UNKNOWN"


class MailClass(StrEnum):
    """Coarse class of an e-mail address."""

    BUSINESS = "BUSINESS"
    FREE = "FREE"
    DISPOSABLE = "DISPOSABLE"
    UNKNOWN = "UNKNOWN"


class Plan(StrEnum):
    """Commercial plan of an account."""

    FREE = "FREE"
    TRIAL = "TRIAL"
    PAID = "PAID"
    EDUCATION = "EDUCATION"
    STARTUP = "STARTUP"
    ENTERPRISE = "ENTERPRISE"
    UNKNOWN = "UNKNOWN"


class Verified(StrEnum):
    """Strongest verification that an account has passed."""

    NONE = "NONE"
    EMAIL = "EMAIL"
    PHONE = "PHONE"
    CARD = "CARD"
    ORGANISATION = "ORGANISATION"


class Task(StrEnum):
    """Coarse task of usage."""

    OTHER = "OTHER"
    REASONING_ELICITATION = "REASONING_ELICITATION"
    RUBRIC_GRADING = "RUBRIC_GRADING"
    SYNTHETIC_DATA = "SYNTHETIC_DATA"
    AGENTIC_CODING = "AGENTIC_CODING"
    TOOL_USE = "TOOL_USE"
    VISION = "VISION"


class Outcome(StrEnum):
    """What became of a payment."""

    APPROVED = "APPROVED"
    DECLINED = "DECLINED"
    CHARGEBACK = "CHARGEBACK"
    REFUNDED = "REFUNDED"


class Instrument(StrEnum):
    """Kind of payment instrument."""

    CREDIT = "CREDIT"
    DEBIT = "DEBIT"
    PREPAID = "PREPAID"
    VIRTUAL = "VIRTUAL"
    WALLET = "WALLET"
    BANK_TRANSFER = "BANK_TRANSFER"
    CRYPTO = "CRYPTO"


class CloseReason(StrEnum):
    """Why a party closed an account."""

    DISTILLATION = "DISTILLATION"
    FRAUD = "FRAUD"
    PAYMENT = "PAYMENT"
    TERMS = "TERMS"
    CUSTOMER_REQUEST = "CUSTOMER_REQUEST"


class ReceiptStatus(StrEnum):
    """A party's answer to an action."""

    ACCEPTED = "ACCEPTED"
    DONE = "DONE"
    PARTLY_DONE = "PARTLY_DONE"
    REFUSED = "REFUSED"
    DISPUTED = "DISPUTED"
    NOT_OURS = "NOT_OURS"


class ActionState(StrEnum):
    """Whether an action stands."""

    ACTIVE = "ACTIVE"
    WITHDRAWN = "WITHDRAWN"
    EXPIRED = "EXPIRED"


class Measure(StrEnum):
    """What an action asks for."""

    CHALLENGE = "CHALLENGE"
    THROTTLE = "THROTTLE"
    SUSPEND = "SUSPEND"
    BLOCK_IDENTIFIER = "BLOCK_IDENTIFIER"
    REVOKE_LEASE = "REVOKE_LEASE"
    REQUIRE_END_USER_IDS = "REQUIRE_END_USER_IDS"
    OBSERVE = "OBSERVE"


class Tlp(StrEnum):
    """Traffic Light Protocol 2.0: how far an action may be passed on."""

    RED = "RED"
    AMBER_STRICT = "AMBER_STRICT"
    AMBER = "AMBER"
    GREEN = "GREEN"
    CLEAR = "CLEAR"
