"""Webhook events of a payment processor in Stripe's form to PaymentAttempt; amounts are never read.

Form: Stripe API, "The Event object" and the Charge and Dispute objects that its `data.object` holds. A webhook's dispute names its charge by id;
what it was made with is known from the charge's own event, when that came before it in the same import.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from weaklink.errors import RecordError
from weaklink.partner.connectors.lines import Fields, address, at, event_id, microseconds, raw
from weaklink.records import reasons

_OUTCOMES: Final = {
    "charge.succeeded": "APPROVED",
    "charge.failed": "DECLINED",
    "charge.refunded": "REFUNDED",
    "charge.dispute.created": "CHARGEBACK",
}
_FUNDING: Final = {"credit": "CREDIT", "debit": "DEBIT", "prepaid": "PREPAID", "unknown": "CREDIT"}
_INSTRUMENTS: Final = {
    **dict.fromkeys(("us_bank_account", "ach_debit", "ach_credit_transfer", "sepa_debit", "bacs_debit", "au_becs_debit", "customer_balance",
                     "ideal", "bancontact", "eps", "p24", "sofort", "pay_by_bank", "pix"), "BANK_TRANSFER"),
    **dict.fromkeys(("paypal", "alipay", "wechat_pay", "cashapp", "link", "amazon_pay", "revolut_pay", "grabpay", "kakao_pay"), "WALLET"),
    "crypto": "CRYPTO",
}  # fmt: skip
_USUAL: Final = {
    "account": ("customer.id", "customer"),
    "merchant": ("metadata.weaklink_merchant",),
    "ip": ("metadata.client_ip", "metadata.ip_address", "metadata.ip"),
    "device": ("metadata.device_id",),
    "email": ("billing_details.email", "receipt_email"),
    "phone": ("billing_details.phone",),
}


_PAID_MAX: Final = 1_000_000
"""Charges that are remembered for disputes to come, some 500 bytes each; the oldest are forgotten."""

_UNKNOWN_CHARGE: Final = "the dispute names a charge whose charge.succeeded did not come before it: give the earlier files first, in the same command"


class PaymentWebhooks:
    """See the module, and `connectors.Connector`. Fields are those of the charge."""

    def __init__(self, own: Mapping[str, str]) -> None:
        self._fields = Fields(_USUAL, own)
        self._paid: dict[str, str] = {}

    def parts(self, line: Mapping[str, Any]) -> Iterable[Mapping[str, Any]]:
        """The line; a list object of events (`GET /v1/events`) gives each of them."""
        events = line.get("data")
        return events if line.get("object") == "list" and isinstance(events, list) else (line,)

    def rows(self, part: Mapping[str, Any]) -> list[dict[str, Any]] | None:
        """One attempt an event that tells of a charge."""
        outcome = _OUTCOMES.get(str(part.get("type")))
        if outcome is None:
            return None
        row = {
            "event_type": "PaymentAttempt",
            "event_id": event_id("stripe", part.get("id") or _lacks("id")),
            "occurred_at": microseconds(part.get("created") or _lacks("created"), "created"),
            "outcome": outcome,
        }
        charge = _charge(part)
        if isinstance(charge, str):
            known = self._paid.get(charge)
            if known is None:
                raise RecordError(reasons.BAD_ACCOUNT, _UNKNOWN_CHARGE, "charge")
            return [row | json.loads(known)]
        paid = self._paid_with(charge)
        if outcome == "APPROVED" and charge.get("id"):
            self._paid[str(charge["id"])] = json.dumps(paid, default=str)
            if len(self._paid) > _PAID_MAX:
                del self._paid[next(iter(self._paid))]
        return [row | paid]

    def _paid_with(self, charge: Mapping[str, Any]) -> dict[str, Any]:
        """Fields of the attempt that follow from the charge itself."""
        details = charge.get("payment_method_details") or {}
        card = details.get("card") or {}
        bank: Mapping[str, Any] = next(
            (details[name] for name in ("us_bank_account", "sepa_debit") if details.get(name)), {}
        )
        get = self._fields.get
        return {
            "account": str(self._fields.need(charge, "account", reasons.BAD_ACCOUNT)),
            "merchant": get(charge, "merchant"),
            "instrument": _instrument(details),
            "identifiers": [
                *raw("CARD", card.get("fingerprint")),
                *raw("BANK_ACCOUNT", bank.get("fingerprint")),
                *raw("EMAIL", get(charge, "email")),
                *raw("PHONE", get(charge, "phone")),
                *raw("IP", address(get(charge, "ip"))),
                *raw("DEVICE", get(charge, "device")),
            ],
        }

    def finish(self) -> list[dict[str, Any]]:
        """Nothing is gathered."""
        return []


def _charge(event: Mapping[str, Any]) -> Mapping[str, Any] | str:
    """The charge that an event is about; of a dispute the charge in it, or its id."""
    found = at(event, "data.object")
    if not isinstance(found, Mapping):
        raise RecordError(reasons.MALFORMED, "no Stripe event: it has no data.object", "data.object")
    if found.get("object") == "dispute":
        charge = found.get("charge")
        return dict(charge) if isinstance(charge, Mapping) else str(charge)
    return found


def _instrument(details: Mapping[str, Any]) -> str:
    kind = str(details.get("type"))
    if kind in ("card", "card_present"):
        card = details.get(kind) or {}
        return "WALLET" if card.get("wallet") else _FUNDING.get(str(card.get("funding")), "CREDIT")
    if kind not in _INSTRUMENTS:
        raise RecordError(reasons.MALFORMED, f"no known instrument: {kind}", "payment_method_details.type")
    return _INSTRUMENTS[kind]


def _lacks(name: str) -> Any:
    raise RecordError(reasons.MALFORMED, f"no Stripe event: it has no {name}", name)
