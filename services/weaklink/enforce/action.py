"""What an action is: its identity, its states, and one change of it. Plain values, shared by policy, receipts and ledger."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from weaklink.enforce.config import EnforceConfig

HOUR_US: Final = 3_600_000_000


class State(StrEnum):
    """Where an action stands. Parties only ever see ACTIVE, WITHDRAWN and EXPIRED."""

    WAITING = "WAITING"  # for a person
    ACTIVE = "ACTIVE"
    WITHDRAWN = "WITHDRAWN"
    EXPIRED = "EXPIRED"
    DECLINED = "DECLINED"  # by a person; the party never saw it


LIVE: Final = frozenset({State.WAITING, State.ACTIVE})


class Cause(StrEnum):
    """Why an action changed: one row of its history each."""

    ISSUED = "ISSUED"
    RENEWED = "RENEWED"
    HELD_FOR_PERSON = "HELD_FOR_PERSON"
    APPROVED = "APPROVED"
    DECLINED = "DECLINED"
    PERSON_WITHDREW = "PERSON_WITHDREW"
    CAMPAIGNS_WITHDREW = "CAMPAIGNS_WITHDREW"
    REPLACED = "REPLACED"  # another measure on the same target stands in its place
    RECEIPT = "RECEIPT"
    RECEIPT_OVERDUE = "RECEIPT_OVERDUE"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class Target:
    """What a measure is taken on, at which party: an account or a token, and possibly only a slice of its usage."""

    party: str
    account: str | None = None
    token: bytes | None = None
    slice_model: str | None = None
    slice_end_user: bytes | None = None

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> "Target":
        """From a ProposedMeasure, an EnforcementAction or a row of the ledger."""
        return cls(
            values["party"],
            values["target_account"],
            values["target_token"],
            values["slice_model"],
            values["slice_end_user"],
        )

    @property
    def name(self) -> str:
        """The account, or the token in hex."""
        return self.account if self.account is not None else (self.token or b"").hex()

    @property
    def slice(self) -> str:
        """Model and end user in hex with a slash between; empty when all usage is meant."""
        if self.slice_model is None and self.slice_end_user is None:
            return ""
        return f"{self.slice_model or ''}/{(self.slice_end_user or b'').hex()}"

    @property
    def key(self) -> str:
        """32 hex digits that stand for the target, whatever the campaign and the measure."""
        kind = "account" if self.account is not None else "token"
        return _digest(f"{self.party}|{kind}|{self.name}|{self.slice}")


def action_id(campaign_id: str, target: Target, measure: str) -> str:
    """First 32 hex digits of SHA-256 over campaign_id|party|account or hex token|measure|slice."""
    return _digest(f"{campaign_id}|{target.party}|{target.name}|{measure}|{target.slice}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Action:
    """One action as the ledger holds it. Times are microseconds since 1970 by enforce's clock."""

    action_id: str
    campaign_id: str
    measure: str
    target: Target
    state: State
    revision: int  # what the party has seen; 0: nothing yet
    change: int  # counts every change, also those that the party does not see
    opened_at_us: int  # when it last came to life
    issued_at_us: int  # when the present revision was
    expires_at_us: int
    respond_by_us: int
    evidence_at_us: int
    confidence: float
    reasons: tuple[tuple[str, float, int], ...]  # code, nats, parties
    expected_cut: float
    benign_accounts_touched: int
    answer: str | None = None  # status of the newest receipt
    answered_at_us: int | None = None  # its append time
    overdue: bool = False
    held_until_us: int = 0  # disputed or declined: nothing new on this target before


@dataclass(frozen=True, slots=True)
class Change:
    """One change of an action: the action as it then is, why, and what follows from it."""

    action: Action
    cause: Cause
    at_us: int
    publish: bool = False  # a new revision for the party's topic
    verdict: str | None = None  # feedback to campaigns
    waits_because: str | None = None  # a person is asked
    actor: str | None = None  # the person or the party; None: Weaklink itself
    note: str | None = None


def changed(
    action: Action,
    cause: Cause,
    now_us: int,
    *,
    publish: bool = False,
    verdict: str | None = None,
    waits_because: str | None = None,
    actor: str | None = None,
    note: str | None = None,
    **fields: Any,
) -> Change:
    """A change that sets `fields`; a published one counts the revision on and is issued now."""
    if publish:
        fields |= {"revision": action.revision + 1, "issued_at_us": now_us}
    after = replace(action, change=action.change + 1, **fields)
    return Change(after, cause, now_us, publish, verdict, waits_because, actor, note)


def withdrawn(action: Action, cause: Cause, now_us: int, *, state: State = State.WITHDRAWN, **rest: Any) -> Change:
    """The action ends. The party hears of it only if it ever heard of the action."""
    return changed(action, cause, now_us, publish=action.state is State.ACTIVE, state=state, **rest)


def term(measure: str, now_us: int, config: EnforceConfig) -> dict[str, Any]:
    """`expires_at_us` and `respond_by_us` of an action that is issued now."""
    lifetime_us = config.expires_after_hours.get(measure, 14 * 24) * HOUR_US  # type: ignore[call-overload]  # str key
    return {"expires_at_us": now_us + lifetime_us, "respond_by_us": now_us + int(config.respond_within_hours * HOUR_US)}


def micros(value: datetime | int) -> int:
    """A timestamp-micros as fastavro gives it (an aware datetime), or an int as it is."""
    if isinstance(value, int):
        return value
    return (value - _EPOCH) // timedelta(microseconds=1)


_EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
