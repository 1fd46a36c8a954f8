"""Settings of policy, timers, ledger. Every field has its unit in its name or its docstring."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Measure = Literal[
    "CHALLENGE", "THROTTLE", "SUSPEND", "BLOCK_IDENTIFIER", "REVOKE_LEASE", "REQUIRE_END_USER_IDS", "OBSERVE"
]


class EnforceConfig(BaseModel):
    """Environment: WEAKLINK_ENFORCE__<NAME>."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    # Policy (docs/detection.md, The method in short).
    challenge_confidence_min: float = Field(default=0.5, ge=0, le=1)
    """Below it a party is asked to OBSERVE only."""
    suspend_confidence_above: float = Field(default=0.9, ge=0, le=1)
    """SUSPEND asks for more than this."""
    suspend_supporting_parties_min: int = Field(default=2, ge=1)
    """SUSPEND asks for evidence of so many independent parties, unless the addressed party found it out itself."""

    # Blast radius: what exceeds it waits for a person.
    benign_accounts_touched_max: int = Field(default=20, ge=0)
    """Benign accounts that one action may touch."""
    benign_accounts_touched_by_decision_max: int = Field(default=200, ge=0)
    """Benign accounts that the new actions of one decision may touch together, counted for each action: what comes beyond waits."""
    actions_per_campaign_hour_max: dict[Measure, int] = {
        "CHALLENGE": 5_000,
        "THROTTLE": 5_000,
        "SUSPEND": 2_000,
        "BLOCK_IDENTIFIER": 500,
        "REVOKE_LEASE": 500,
        "REQUIRE_END_USER_IDS": 50,
    }
    """Actions of a kind per campaign and hour. The campaigns that were made public in 2026 ran some thousands of accounts each over
    months; a detector that runs away flags tens of thousands in minutes. A kind that is not named has no limit."""

    # Lifetimes, by enforce's clock.
    expires_after_hours: dict[Measure, int] = {
        "CHALLENGE": 14 * 24,
        "THROTTLE": 14 * 24,
        "SUSPEND": 90 * 24,
        "BLOCK_IDENTIFIER": 30 * 24,
        "REVOKE_LEASE": 14 * 24,
        "REQUIRE_END_USER_IDS": 90 * 24,
        "OBSERVE": 14 * 24,
    }
    """When an action lapses by itself."""
    renew_below_share: float = Field(default=0.5, ge=0, le=1)
    """A standing action that is proposed again is renewed when less than this share of its lifetime is left."""
    respond_within_hours: float = Field(default=24, gt=0)
    """When a receipt is due; a missing one is noted, nothing else."""
    hold_days: int = Field(default=30, ge=0)
    """A target that its party disputed, or a person declined, is left alone at that party for so long."""
    clock_lead_hours_max: float = Field(default=24, ge=0)
    """clock=event: how far receipts (the parties' clocks) may move enforce's clock beyond the newest decision."""
    tlp: Literal["RED", "AMBER_STRICT", "AMBER", "GREEN", "CLEAR"] = "AMBER_STRICT"
    """Traffic Light Protocol 2.0 label of every action."""

    # Ledger and outbox.
    ledger_url: str | None = Field(default=None, repr=False)
    """SQLAlchemy URL, e.g. postgresql://user:password@host/weaklink. None: SQLite in data_folder/enforce."""
    ledger_timeout_seconds: float = Field(default=30, gt=0)
    """A transaction of the ledger that takes longer is given up and tried again: the database, or the way to it, may be gone without a word.
    More than the largest decision needs (a few thousand measures take about a second)."""
    tick_seconds: float = Field(default=1, gt=0)
    """How often timers (expiry, overdue receipts) run, by the wall clock."""
    receipts_at_once_max: int = Field(default=200, ge=1, le=500)
    """Receipts that are waiting are handled in one transaction, up to this many."""
    outbox_poll_seconds: float = Field(default=0.5, gt=0)
    """How often the relay looks for rows of other processes (CLI, killed workers); its own wake it at once."""
    outbox_batch_rows: int = Field(default=500, ge=1)
    """Rows that the relay claims at a time."""
    outbox_lease_seconds: float = Field(default=15, gt=0)
    """After so long another worker takes over rows that a worker claimed and did not publish."""

    # Retention, by the wall clock: pruned every hour, in transactions of a few rows each.
    outbox_keep_days: int = Field(default=14, ge=1)
    """Published messages are kept for so long."""
    decisions_keep_days: int = Field(default=90, ge=15)
    """Decisions handled: longer than their topic keeps them, so that one that is read again is known."""
    receipts_keep_days: int = Field(default=400, ge=15)
    """Receipts handled, for the same reason; those of live actions stay in any case."""
    ended_actions_keep_days: int = Field(default=400, ge=61)
    """Actions that have ended, with their history, receipts and questions to people: longer than the partner SDK remembers the revisions
    that it has handled (60 days), because an action that is asked for again after this begins anew at revision 1."""
    dead_letters_keep_days: int = Field(default=30, ge=1)
    """Messages that could not be handled, with their bytes: long enough for a person to look at them and have the defect mended. Those
    that may name a token of an epoch of keys that is over go with it, or within an hour."""
    prune_rows: int = Field(default=500, ge=1)
    """Rows that one transaction of pruning removes at most."""
    retry_seconds_max: float = Field(default=10, gt=0)
    """Longest pause between attempts while the database or the broker does not answer."""
    dead_letters_per_hour_max: int = Field(default=100, ge=0)
    """Beyond it a worker stops handling rather than to drain a topic into dead letters: a defect, not the messages, is to blame."""
