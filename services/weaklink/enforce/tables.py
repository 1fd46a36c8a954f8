"""Tables of the ledger. The migrations create them; a test holds the two together. All times are microseconds since 1970.

`*_at_us` are by enforce's clock (`weaklink.enforce.clock`), `*_wall_us` by the wall clock.
"""

from typing import Final

import sqlalchemy as sa

from weaklink.enforce.action import State

metadata: Final = sa.MetaData()

_ROW_ID: Final = sa.BigInteger().with_variant(sa.Integer, "sqlite")  # only INTEGER counts up by itself in SQLite
_STATES: Final = ", ".join(f"'{state}'" for state in State)


def _target() -> list[sa.Column[object]]:
    return [
        sa.Column("campaign_id", sa.String(64), nullable=False),
        sa.Column("party", sa.String(40), nullable=False),
        sa.Column("measure", sa.String(32), nullable=False),
        sa.Column("target_account", sa.Text),
        sa.Column("target_token", sa.LargeBinary),
        sa.Column("slice_model", sa.Text),
        sa.Column("slice_end_user", sa.LargeBinary),
        sa.Column("target_key", sa.String(32), nullable=False),
    ]


actions: Final = sa.Table(
    "actions",
    metadata,
    sa.Column("action_id", sa.String(32), primary_key=True),
    *_target(),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("change", sa.Integer, nullable=False),
    sa.Column("opened_at_us", sa.BigInteger, nullable=False),
    sa.Column("issued_at_us", sa.BigInteger, nullable=False),
    sa.Column("expires_at_us", sa.BigInteger, nullable=False),
    sa.Column("respond_by_us", sa.BigInteger, nullable=False),
    sa.Column("evidence_at_us", sa.BigInteger, nullable=False),
    sa.Column("confidence", sa.Float(53), nullable=False),
    sa.Column("reasons", sa.JSON, nullable=False),
    sa.Column("expected_cut", sa.Float(53), nullable=False),
    sa.Column("benign_accounts_touched", sa.Integer, nullable=False),
    sa.Column("answer", sa.String(16)),
    sa.Column("answered_at_us", sa.BigInteger),
    sa.Column("overdue", sa.Boolean, nullable=False),
    sa.Column("held_until_us", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("campaign_id", "target_key", "measure", name="uq_actions_one_per_campaign_target_measure"),
    sa.CheckConstraint(f"state IN ({_STATES})", name="ck_actions_state"),
    sa.CheckConstraint("revision >= 0 AND change >= 1 AND revision <= change", name="ck_actions_counters"),
    sa.CheckConstraint(
        "(state = 'ACTIVE' AND revision >= 1) OR state <> 'ACTIVE'", name="ck_actions_active_is_published"
    ),
    sa.CheckConstraint("(target_account IS NULL) <> (target_token IS NULL)", name="ck_actions_one_target"),
    sa.Index("ix_actions_target_key", "target_key"),
    sa.Index("ix_actions_campaign_opened", "campaign_id", "opened_at_us"),
    sa.Index("ix_actions_state_expires", "state", "expires_at_us"),
    sa.Index("ix_actions_party_issued", "party", "issued_at_us"),
    sa.Index("ix_actions_party_account", "party", "target_account", "issued_at_us"),
)
"""The present state of every action that ended less than `enforce.ended_actions_keep_days` ago, or has not ended."""
UNANSWERED: Final = sa.and_(
    actions.c.state == sa.literal_column("'ACTIVE'"), actions.c.answer.is_(None), actions.c.overdue.is_(False)
)
"""Actions that may become overdue. Word for word in the index and in the query, without parameters, or the databases see no use for the index."""
sa.Index(
    "ix_actions_unanswered",
    actions.c.state,  # the same in every row, but else SQLite prefers the index of all that is ACTIVE
    actions.c.respond_by_us,
    sqlite_where=UNANSWERED,
    postgresql_where=UNANSWERED,
)

action_history: Final = sa.Table(
    "action_history",
    metadata,
    sa.Column(
        "action_id",
        sa.String(32),
        sa.ForeignKey("actions.action_id", deferrable=True, initially="DEFERRED"),
        primary_key=True,
    ),
    sa.Column("change", sa.Integer, primary_key=True),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("cause", sa.String(32), nullable=False),
    sa.Column("published", sa.Boolean, nullable=False),
    sa.Column("at_us", sa.BigInteger, nullable=False),
    sa.Column("recorded_wall_us", sa.BigInteger, nullable=False),
    sa.Column("source", sa.Text),
    sa.Column("actor", sa.Text),
    sa.Column("note", sa.Text),
    sa.Column("action", sa.JSON, nullable=False),
)
"""Every change of every action, whole; triggers refuse UPDATE, and DELETE while the action is there. `source`: the decision or receipt that caused it."""

proposals: Final = sa.Table(
    "proposals",
    metadata,
    sa.Column("proposal_id", sa.String(32), primary_key=True),
    *_target(),
    sa.Column("standing", sa.Boolean, nullable=False),
    sa.Column("decided_at_us", sa.BigInteger, nullable=False),
    sa.Column("verdict", sa.String(16), nullable=False),
    sa.Column("action_id", sa.String(32)),
    sa.Index("ix_proposals_target_key", "target_key"),
    sa.Index("ix_proposals_action", "action_id"),
)
"""What campaigns last asked for, and what policy made of it."""

decisions: Final = sa.Table(
    "decisions",
    metadata,
    sa.Column("decision_id", sa.String(32), primary_key=True),
    sa.Column("campaign_id", sa.String(64), nullable=False),
    sa.Column("decided_at_us", sa.BigInteger, nullable=False),
    sa.Column("evidence_at_us", sa.BigInteger, nullable=False),
    sa.Column("measures", sa.Integer, nullable=False),
    sa.Column("changes", sa.Integer, nullable=False),
    sa.Column("refused", sa.JSON, nullable=False),
    sa.Column("handled_wall_us", sa.BigInteger, nullable=False),
    sa.Index("ix_decisions_campaign", "campaign_id", "decided_at_us"),
    sa.Index("ix_decisions_handled", "handled_wall_us"),
)
"""Decisions handled, by a hash of their bytes: one that comes again changes nothing."""

receipts: Final = sa.Table(
    "receipts",
    metadata,
    sa.Column("party", sa.String(40), primary_key=True),
    sa.Column("event_id", sa.LargeBinary(16), primary_key=True),
    sa.Column("action_id", sa.Text, nullable=False),
    sa.Column("revision", sa.Integer, nullable=False),
    sa.Column("status", sa.String(16), nullable=False),
    sa.Column("reason", sa.Text),
    sa.Column("note", sa.Text),
    sa.Column("occurred_at_us", sa.BigInteger, nullable=False),
    sa.Column("appended_at_us", sa.BigInteger, nullable=False),
    sa.Column("source_partition", sa.Integer, nullable=False),
    sa.Column("source_offset", sa.BigInteger, nullable=False),
    sa.Column("outcome", sa.String(24), nullable=False),
    sa.Column("handled_wall_us", sa.BigInteger, nullable=False),
    sa.Index("ix_receipts_action", "action_id"),
    sa.Index("ix_receipts_handled", "handled_wall_us"),
)
"""Every receipt, also of unknown actions and of other parties' (`outcome` says so)."""

approvals: Final = sa.Table(
    "approvals",
    metadata,
    sa.Column(
        "action_id",
        sa.String(32),
        sa.ForeignKey("actions.action_id", deferrable=True, initially="DEFERRED"),
        primary_key=True,
    ),
    sa.Column("change", sa.Integer, primary_key=True),
    sa.Column("asked_at_us", sa.BigInteger, nullable=False),
    sa.Column("why", sa.Text, nullable=False),
    sa.Column("verdict", sa.String(16)),
    sa.Column("decided_by", sa.Text),
    sa.Column("note", sa.Text),
    sa.Column("decided_at_us", sa.BigInteger),
    sa.CheckConstraint("verdict IS NULL OR verdict IN ('APPROVED', 'DECLINED', 'LAPSED')", name="ck_approvals_verdict"),
)
"""What waits, or waited, for a person. LAPSED: withdrawn or expired before anyone decided."""

outbox: Final = sa.Table(
    "outbox",
    metadata,
    sa.Column("id", _ROW_ID, primary_key=True, autoincrement=True),
    sa.Column("once", sa.Text, nullable=False, unique=True),
    sa.Column("topic", sa.Text, nullable=False),
    sa.Column("key", sa.LargeBinary, nullable=False),
    sa.Column("value", sa.LargeBinary, nullable=False),
    sa.Column("headers", sa.JSON, nullable=False),
    sa.Column("created_wall_us", sa.BigInteger, nullable=False),
    sa.Column("claimed_by", sa.Text),
    sa.Column("claimed_until_wall_us", sa.BigInteger, nullable=False),
    sa.Column("closed_wall_us", sa.BigInteger),
    sa.Column("error", sa.Text),
    sqlite_autoincrement=True,
)
sa.Index(
    "ix_outbox_unsent",
    outbox.c.id,
    sqlite_where=outbox.c.closed_wall_us.is_(None),
    postgresql_where=outbox.c.closed_wall_us.is_(None),
)
"""What is to be published, in order. `once` names the effect (e.g. action, id, revision), so that it is written at most once.
`closed_wall_us`: published, or given up, where `error` says why."""
PARTY_GONE: Final = "its party is not registered any more"
"""Why a row of the outbox was given up that a party which was removed cannot be sent."""

dead_letters: Final = sa.Table(
    "dead_letters",
    metadata,
    sa.Column("topic", sa.String(249), primary_key=True),
    sa.Column("partition", sa.Integer, primary_key=True),
    sa.Column("offset", sa.BigInteger, primary_key=True),
    sa.Column("key", sa.LargeBinary),
    sa.Column("value", sa.LargeBinary),
    sa.Column("error", sa.Text, nullable=False),
    sa.Column("recorded_wall_us", sa.BigInteger, nullable=False),
)
"""Messages of internal topics that could not be handled, with their bytes: only a defect puts one here."""

clock: Final = sa.Table(
    "clock",
    metadata,
    sa.Column("name", sa.String(16), primary_key=True),
    sa.Column("at_us", sa.BigInteger, nullable=False),
)
"""clock=event: `decided` and `now`, the newest decision and the furthest time seen; neither goes back."""
