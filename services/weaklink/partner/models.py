"""The records that a party publishes and receives, as frozen pydantic models with ingest's own rules.

What a model accepts, ingest accepts too, but for age limits, which depend on the time of arrival; what it refuses would come back as a reject.
A test holds the two sets of rules together.
"""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, ClassVar, Final, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from weaklink.partner.symbols import (
    ActionState,
    AddressClass,
    CloseReason,
    Instrument,
    MailClass,
    Measure,
    Outcome,
    Plan,
    ReceiptStatus,
    Task,
    Tlp,
    Verified,
)
from weaklink.records.identifiers import ACCOUNT_CHARACTERS_MAX, IDENTIFIERS_MAX, TOKEN_BYTES, IdentifierKind

TEXT_CHARACTERS_MAX: Final = 256
_KNOWN_KINDS: Final = frozenset(IdentifierKind)
_INT_MAX: Final = 2**31 - 1
_LONG_MAX: Final = 2**63 - 1
_TIME_MIN: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TIME_END: Final = _TIME_MIN + timedelta(days=2**16)


def _plain_text(value: str) -> str:
    if any(character < " " or "\x7f" <= character <= "\x9f" for character in value):
        raise ValueError("holds a control character")
    return value


def _token(value: bytes) -> bytes:
    if len(value) != TOKEN_BYTES or value[0] not in _KNOWN_KINDS:
        raise ValueError(f"is not a token of {TOKEN_BYTES} bytes that begins with a known kind byte")
    return value


def _end_user_token(value: bytes) -> bytes:
    if value[:1] != bytes((IdentifierKind.END_USER,)):
        raise ValueError("is not an END_USER token")
    return value


def _storable_time(value: datetime) -> datetime:
    # Ingest numbers the days of addresses in 16 bits.
    if value < _TIME_MIN:
        raise PydanticCustomError("too_old", "lies before 1970")
    if value >= _TIME_END:
        raise PydanticCustomError("in_the_future", "lies further ahead than can be kept")
    return value


Token = Annotated[bytes, AfterValidator(_token)]
EndUserToken = Annotated[Token, AfterValidator(_end_user_token)]
Text = Annotated[str, Field(min_length=1, max_length=TEXT_CHARACTERS_MAX), AfterValidator(_plain_text)]
OptionalText = Annotated[str, Field(max_length=TEXT_CHARACTERS_MAX), AfterValidator(_plain_text)]
Account = Annotated[str, Field(min_length=1, max_length=ACCOUNT_CHARACTERS_MAX), AfterValidator(_plain_text)]
Time = Annotated[AwareDatetime, AfterValidator(_storable_time)]
Int = Annotated[int, Field(ge=0, le=_INT_MAX)]
Long = Annotated[int, Field(ge=0, le=_LONG_MAX)]


class Event(BaseModel):
    """What every published record has. `event_id` and `occurred_at` default to a new id and to now."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    record: ClassVar[str]

    event_id: Annotated[bytes, Field(min_length=16, max_length=16)] = Field(default_factory=lambda: uuid.uuid4().bytes)
    occurred_at: Time = Field(default_factory=lambda: datetime.now(UTC))

    def values(self) -> dict[str, Any]:
        """The fields as plain values for the codec."""
        return dict(self)


class AccountEvent(Event):
    """What a record about an account has. `account` is the party's own opaque id."""

    account: Account
    identifiers: Annotated[tuple[Token, ...], Field(max_length=IDENTIFIERS_MAX)] = ()


class AccountOpened(AccountEvent):
    """A customer account was opened."""

    record: ClassVar[str] = "AccountOpened"

    plan: Plan = Plan.UNKNOWN
    verified: Verified
    mail_class: MailClass = MailClass.UNKNOWN
    address_class: AddressClass = AddressClass.UNKNOWN


class ApiUsage(AccountEvent):
    """Model usage by an account: one request (`window_seconds` 0), or a window of them."""

    record: ClassVar[str] = "ApiUsage"

    window_seconds: Int
    model: Text
    task: Task
    requests: Int
    input_tokens: Long
    output_tokens: Long
    end_user: EndUserToken | None = None
    address_class: AddressClass = AddressClass.UNKNOWN


class AddressLease(AccountEvent):
    """An account held the address identifiers from `occurred_at` until `released_at` (None: holds them still)."""

    record: ClassVar[str] = "AddressLease"

    released_at: Time | None = None

    @model_validator(mode="after")
    def _interval(self) -> Self:
        if self.released_at is not None and self.released_at < self.occurred_at:
            raise ValueError("released_at lies before occurred_at")
        return self


class PaymentAttempt(AccountEvent):
    """A payment was tried; never with an amount. `merchant` is a party id."""

    record: ClassVar[str] = "PaymentAttempt"

    merchant: OptionalText | None = None
    outcome: Outcome
    instrument: Instrument


class AccountClosed(AccountEvent):
    """The party closed an account by its own finding: a strong label."""

    record: ClassVar[str] = "AccountClosed"

    reason: CloseReason


class ModelReleased(Event):
    """A lab released a model."""

    record: ClassVar[str] = "ModelReleased"

    model: Text
    released_at: Time


class ActionReceipt(Event):
    """A party's answer to an action addressed to it."""

    record: ClassVar[str] = "ActionReceipt"

    action_id: Text
    revision: Annotated[int, Field(ge=1, le=_INT_MAX)]
    status: ReceiptStatus
    reason: OptionalText | None = None
    note: OptionalText | None = None


EVENT_MODELS: Final[dict[str, type[Event]]] = {
    model.record: model
    for model in (AccountOpened, ApiUsage, AddressLease, PaymentAttempt, AccountClosed, ModelReleased, ActionReceipt)
}
"""Record name -> model."""


class Reason(BaseModel):
    """One piece of evidence: what was seen, its weight in nats, and how many parties' events it rests on."""

    model_config = ConfigDict(frozen=True)

    code: str
    weight: float
    parties: int


class EnforcementAction(BaseModel):
    """What Weaklink asks this party to do. `target_account` or `target_token` names the target; a slice narrows it.

    Unknown fields are ignored, so that a newer Weaklink can tell more to an older SDK.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", ser_json_bytes="hex", val_json_bytes="hex")

    action_id: str
    revision: int
    state: ActionState
    party: str
    campaign_id: str
    measure: Measure
    target_account: str | None = None
    target_token: bytes | None = None
    slice_model: str | None = None
    slice_end_user: bytes | None = None
    issued_at: AwareDatetime
    expires_at: AwareDatetime
    respond_by: AwareDatetime
    evidence_at: AwareDatetime
    confidence: float
    reasons: tuple[Reason, ...] = ()
    expected_cut: float
    benign_accounts_touched: int
    tlp: Tlp
