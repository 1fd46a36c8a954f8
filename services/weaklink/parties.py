"""Parties: who they are, what their kind may publish, and the topics that are theirs."""

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, field_validator

from weaklink.errors import PartyError

PARTY_ID: Final = re.compile(r"[a-z0-9-]{2,40}")
# Of PARTY_ID, so that what matches has a party: whoever may create topics may create `party.x.events`, too.
EVENTS_TOPICS: Final = rf"^party\.{PARTY_ID.pattern}\.events$"
ACTIONS_TOPICS: Final = rf"^party\.{PARTY_ID.pattern}\.actions$"


class PartyKind(StrEnum):
    """What a party does for a living."""

    LAB = "lab"
    ROUTER = "router"
    CLOUD = "cloud"
    PAYMENT = "payment"


_ALL = frozenset(PartyKind)
MAY_PUBLISH: Final[dict[str, frozenset[PartyKind]]] = {
    "AccountOpened": _ALL,
    "ApiUsage": frozenset({PartyKind.ROUTER, PartyKind.LAB}),
    "AddressLease": frozenset({PartyKind.CLOUD}),
    "PaymentAttempt": frozenset({PartyKind.PAYMENT}),
    "AccountClosed": _ALL,
    "ModelReleased": frozenset({PartyKind.LAB}),
    "ActionReceipt": _ALL,
}
"""Record name -> kinds of party that may publish it (docs: reference, Records)."""


class Party(BaseModel):
    """A member of the consortium, as the registry (topic `weaklink.parties`) keeps it."""

    model_config = ConfigDict(frozen=True)

    id: str
    kind: PartyKind
    name: str = ""
    added_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    events_partitions: int = Field(default=2, ge=1, le=1024)
    suspended_at: datetime | None = None
    """Since when it is kept out; None: it is not."""

    @field_validator("id")
    @classmethod
    def _well_formed(cls, value: str) -> str:
        if not PARTY_ID.fullmatch(value):
            raise ValueError(
                f"{value!r} is not a party id: 2 to 40 of a-z, 0-9 and '-' (no dot, so that no id is a prefix of another's topics)"
            )
        return value

    @property
    def principal(self) -> str:
        """Its name at the brokers (`User:` before it in ACLs)."""
        return self.principal_of(self.id)

    @staticmethod
    def principal_of(party_id: str) -> str:
        """The principal of the party with this id."""
        return f"party.{party_id}"

    @property
    def events_topic(self) -> str:
        """The one topic that the party writes."""
        return f"party.{self.id}.events"

    @property
    def rejects_topic(self) -> str:
        """Where its bad events come back with their reasons."""
        return f"party.{self.id}.rejects"

    @property
    def actions_topic(self) -> str:
        """Where it is told what to do."""
        return f"party.{self.id}.actions"


def party_of_topic(topic: str) -> str:
    """The party id in `party.<id>.events|rejects|actions`. Raises PartyError for any other topic."""
    parts = topic.split(".")
    if (
        len(parts) != 3
        or parts[0] != "party"
        or parts[2] not in ("events", "rejects", "actions")
        or not PARTY_ID.fullmatch(parts[1])
    ):
        raise PartyError(f"{topic!r} is not a party's topic (party.<id>.events, .rejects or .actions)")
    return parts[1]
