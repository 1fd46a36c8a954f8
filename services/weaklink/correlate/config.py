"""Settings of links to shared identifiers. Every field has its unit in its name or its docstring."""

from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from weaklink.records.identifiers import IdentifierKind

_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR


class CorrelateConfig(BaseModel):
    """Environment: WEAKLINK_CORRELATE__<NAME>.

    `lifetime_seconds`, `lifetime_seconds_default`: how long a link lives after its last use; the same number is the gap across which two uses
     of an identifier still belong together.
    `time_cell_seconds`: lifetimes are counted in whole cells of event time of this length; expiry happens when the clock enters a new one.
    `share_accounts_min`: accounts that make an identifier a shared one.
    `hub_accounts_max`: above so many accounts, only a fixed sample of that size of an identifier's links is emitted.
    `refresh_seconds`: the last use that readers of `weaklink.shared` know of a link is never older than the true one by more than this.
    `merge_rows_per_add`: rows that one `add` may move between runs, at least; keeps a big merge from stalling a poll.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    lifetime_seconds: dict[IdentifierKind, int] = {
        IdentifierKind.IP: _DAY,
        IdentifierKind.PROMPT: 7 * _DAY,
        IdentifierKind.TLS: 7 * _DAY,
    }
    lifetime_seconds_default: int = Field(default=90 * _DAY, gt=0)
    time_cell_seconds: int = Field(default=_HOUR, gt=0)
    share_accounts_min: int = Field(default=2, ge=2)
    hub_accounts_max: int = Field(default=1000, ge=2)
    refresh_seconds: int = Field(default=6 * _HOUR, gt=0)
    merge_rows_per_add: int = Field(default=50_000, ge=1)
