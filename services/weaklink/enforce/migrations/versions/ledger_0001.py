"""The ledger as it begins.

Revision ID: 0001
Revises: nothing
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# The history is append-only: the database itself refuses to change or to remove a row of it.
_SQLITE_TRIGGERS = [
    f"CREATE TRIGGER action_history_no_{verb.lower()} BEFORE {verb} ON action_history "
    "BEGIN SELECT RAISE(ABORT, 'action_history is append-only'); END"
    for verb in ("UPDATE", "DELETE")
]
_POSTGRESQL_TRIGGERS = [
    "CREATE FUNCTION action_history_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN RAISE EXCEPTION 'action_history is append-only'; END $$",
    "CREATE TRIGGER action_history_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON action_history "
    "FOR EACH STATEMENT EXECUTE FUNCTION action_history_append_only()",
]


def upgrade() -> None:
    """Create every table, and the triggers that keep the history append-only."""
    _create_actions()
    _create_action_history()
    _create_approvals()
    _create_proposals()
    _create_decisions()
    _create_receipts()
    _create_outbox()
    _create_dead_letters()
    _create_clock()
    for statement in _SQLITE_TRIGGERS if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL_TRIGGERS:
        op.execute(statement)


def downgrade() -> None:
    """Refused: the history of actions is not to be thrown away."""
    raise NotImplementedError("the ledger's first version has nothing before it: drop the database instead")


def _create_actions() -> None:
    op.create_table(
        "actions",
        sa.Column("action_id", sa.String(length=32), nullable=False),
        sa.Column("campaign_id", sa.String(length=64), nullable=False),
        sa.Column("party", sa.String(length=40), nullable=False),
        sa.Column("measure", sa.String(length=32), nullable=False),
        sa.Column("target_account", sa.Text(), nullable=True),
        sa.Column("target_token", sa.LargeBinary(), nullable=True),
        sa.Column("slice_model", sa.Text(), nullable=True),
        sa.Column("slice_end_user", sa.LargeBinary(), nullable=True),
        sa.Column("target_key", sa.String(length=32), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("change", sa.Integer(), nullable=False),
        sa.Column("opened_at_us", sa.BigInteger(), nullable=False),
        sa.Column("issued_at_us", sa.BigInteger(), nullable=False),
        sa.Column("expires_at_us", sa.BigInteger(), nullable=False),
        sa.Column("respond_by_us", sa.BigInteger(), nullable=False),
        sa.Column("evidence_at_us", sa.BigInteger(), nullable=False),
        sa.Column("confidence", sa.Float(precision=53), nullable=False),
        sa.Column("reasons", sa.JSON(), nullable=False),
        sa.Column("expected_cut", sa.Float(precision=53), nullable=False),
        sa.Column("benign_accounts_touched", sa.Integer(), nullable=False),
        sa.Column("answer", sa.String(length=16), nullable=True),
        sa.Column("answered_at_us", sa.BigInteger(), nullable=True),
        sa.Column("overdue", sa.Boolean(), nullable=False),
        sa.Column("held_until_us", sa.BigInteger(), nullable=False),
        sa.CheckConstraint(
            "(state = 'ACTIVE' AND revision >= 1) OR state <> 'ACTIVE'", name="ck_actions_active_is_published"
        ),
        sa.CheckConstraint(
            "state IN ('WAITING', 'ACTIVE', 'WITHDRAWN', 'EXPIRED', 'DECLINED')", name="ck_actions_state"
        ),
        sa.CheckConstraint("(target_account IS NULL) <> (target_token IS NULL)", name="ck_actions_one_target"),
        sa.CheckConstraint("revision >= 0 AND change >= 1 AND revision <= change", name="ck_actions_counters"),
        sa.PrimaryKeyConstraint("action_id"),
        sa.UniqueConstraint("campaign_id", "target_key", "measure", name="uq_actions_one_per_campaign_target_measure"),
    )
    op.create_index("ix_actions_campaign_opened", "actions", ["campaign_id", "opened_at_us"], unique=False)
    op.create_index("ix_actions_state_expires", "actions", ["state", "expires_at_us"], unique=False)
    op.create_index("ix_actions_state_respond", "actions", ["state", "respond_by_us"], unique=False)
    op.create_index("ix_actions_target_key", "actions", ["target_key"], unique=False)


def _create_action_history() -> None:
    op.create_table(
        "action_history",
        sa.Column("action_id", sa.String(length=32), nullable=False),
        sa.Column("change", sa.Integer(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("cause", sa.String(length=32), nullable=False),
        sa.Column("published", sa.Boolean(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("recorded_wall_us", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=True),
        sa.Column("actor", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("action", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["action_id"], ["actions.action_id"], initially="DEFERRED", deferrable=True),
        sa.PrimaryKeyConstraint("action_id", "change"),
    )


def _create_approvals() -> None:
    op.create_table(
        "approvals",
        sa.Column("action_id", sa.String(length=32), nullable=False),
        sa.Column("change", sa.Integer(), nullable=False),
        sa.Column("asked_at_us", sa.BigInteger(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=True),
        sa.Column("decided_by", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("decided_at_us", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "verdict IS NULL OR verdict IN ('APPROVED', 'DECLINED', 'LAPSED')", name="ck_approvals_verdict"
        ),
        sa.ForeignKeyConstraint(["action_id"], ["actions.action_id"], initially="DEFERRED", deferrable=True),
        sa.PrimaryKeyConstraint("action_id", "change"),
    )


def _create_proposals() -> None:
    op.create_table(
        "proposals",
        sa.Column("proposal_id", sa.String(length=32), nullable=False),
        sa.Column("campaign_id", sa.String(length=64), nullable=False),
        sa.Column("party", sa.String(length=40), nullable=False),
        sa.Column("measure", sa.String(length=32), nullable=False),
        sa.Column("target_account", sa.Text(), nullable=True),
        sa.Column("target_token", sa.LargeBinary(), nullable=True),
        sa.Column("slice_model", sa.Text(), nullable=True),
        sa.Column("slice_end_user", sa.LargeBinary(), nullable=True),
        sa.Column("target_key", sa.String(length=32), nullable=False),
        sa.Column("standing", sa.Boolean(), nullable=False),
        sa.Column("decided_at_us", sa.BigInteger(), nullable=False),
        sa.Column("verdict", sa.String(length=16), nullable=False),
        sa.Column("action_id", sa.String(length=32), nullable=True),
        sa.PrimaryKeyConstraint("proposal_id"),
    )
    op.create_index("ix_proposals_target_key", "proposals", ["target_key"], unique=False)


def _create_decisions() -> None:
    op.create_table(
        "decisions",
        sa.Column("decision_id", sa.String(length=32), nullable=False),
        sa.Column("campaign_id", sa.String(length=64), nullable=False),
        sa.Column("decided_at_us", sa.BigInteger(), nullable=False),
        sa.Column("evidence_at_us", sa.BigInteger(), nullable=False),
        sa.Column("measures", sa.Integer(), nullable=False),
        sa.Column("changes", sa.Integer(), nullable=False),
        sa.Column("refused", sa.JSON(), nullable=False),
        sa.Column("handled_wall_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("decision_id"),
    )
    op.create_index("ix_decisions_campaign", "decisions", ["campaign_id", "decided_at_us"], unique=False)


def _create_receipts() -> None:
    op.create_table(
        "receipts",
        sa.Column("party", sa.String(length=40), nullable=False),
        sa.Column("event_id", sa.LargeBinary(length=16), nullable=False),
        sa.Column("action_id", sa.Text(), nullable=False),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("note", sa.Text(), nullable=True),
        sa.Column("occurred_at_us", sa.BigInteger(), nullable=False),
        sa.Column("appended_at_us", sa.BigInteger(), nullable=False),
        sa.Column("source_partition", sa.Integer(), nullable=False),
        sa.Column("source_offset", sa.BigInteger(), nullable=False),
        sa.Column("outcome", sa.String(length=24), nullable=False),
        sa.Column("handled_wall_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("party", "event_id"),
    )
    op.create_index("ix_receipts_action", "receipts", ["action_id"], unique=False)


def _create_outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), autoincrement=True, nullable=False),
        sa.Column("once", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("created_wall_us", sa.BigInteger(), nullable=False),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("claimed_until_wall_us", sa.BigInteger(), nullable=False),
        sa.Column("closed_wall_us", sa.BigInteger(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("once"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_outbox_unsent",
        "outbox",
        ["id"],
        unique=False,
        sqlite_where=sa.text("closed_wall_us IS NULL"),
        postgresql_where=sa.text("closed_wall_us IS NULL"),
    )


def _create_dead_letters() -> None:
    op.create_table(
        "dead_letters",
        sa.Column("topic", sa.String(length=249), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=True),
        sa.Column("value", sa.LargeBinary(), nullable=True),
        sa.Column("error", sa.Text(), nullable=False),
        sa.Column("recorded_wall_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", "offset"),
    )


def _create_clock() -> None:
    op.create_table(
        "clock",
        sa.Column("name", sa.String(length=16), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
