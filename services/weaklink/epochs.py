"""Epochs of keys that are over: every token of theirs stops working, and what was derived from it is forgotten.

The topic `weaklink.epochs` is list and history at once: a record says from when on an epoch, and all before it, is over, who said so and
why. Records only ever add: what has expired stays expired. Epochs that nobody expired are in force.
"""

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

FIRST: Final = 1
"""The oldest epoch that there can be: as long as nothing expired, it is the oldest in force."""


class Expiry(BaseModel):
    """Epoch `epoch` and all before it are over from `expires_at` on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    epoch: int = Field(ge=1, le=254)
    expires_at: datetime
    reason: str = Field(min_length=1, max_length=500)
    by: str = Field(min_length=1, max_length=200)
    recorded_at: datetime

    @field_validator("expires_at", "recorded_at")
    @classmethod
    def _zoned(cls, at: datetime) -> datetime:
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at

    @model_validator(mode="after")
    def _not_in_the_past(self) -> Self:
        if self.expires_at < self.recorded_at:
            raise ValueError("an epoch cannot expire before it was said to")
        return self

    def to_json(self) -> bytes:
        """The value on the topic."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True).encode()


def oldest_in_force(expiries: Iterable[Expiry], now: datetime) -> int:
    """The oldest epoch whose tokens work at that time."""
    return max((one.epoch + 1 for one in expiries if one.expires_at <= now), default=FIRST)
