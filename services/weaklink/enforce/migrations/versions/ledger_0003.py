"""Indexes for what is asked all the time: timers, pruning, and a party's pages. No row changes."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_UNANSWERED = {
    "sqlite": sa.text("state = 'ACTIVE' AND answer IS NULL AND overdue IS 0"),
    "postgresql": sa.text("state = 'ACTIVE' AND answer IS NULL AND overdue IS false"),
}


def upgrade() -> None:
    """An index of the actions that may become overdue takes the place of that of all by when a receipt is due."""
    op.drop_index("ix_actions_state_respond", table_name="actions")
    op.create_index(
        "ix_actions_unanswered",
        "actions",
        ["state", "respond_by_us"],
        unique=False,
        sqlite_where=_UNANSWERED["sqlite"],
        postgresql_where=_UNANSWERED["postgresql"],
    )
    op.create_index("ix_actions_party_issued", "actions", ["party", "issued_at_us"], unique=False)
    op.create_index("ix_actions_party_account", "actions", ["party", "target_account", "issued_at_us"], unique=False)
    op.create_index("ix_proposals_action", "proposals", ["action_id"], unique=False)


def downgrade() -> None:
    """The indexes as they were."""
    op.drop_index("ix_proposals_action", table_name="proposals")
    op.drop_index("ix_actions_party_account", table_name="actions")
    op.drop_index("ix_actions_party_issued", table_name="actions")
    op.drop_index("ix_actions_unanswered", table_name="actions")
    op.create_index("ix_actions_state_respond", "actions", ["state", "respond_by_us"], unique=False)
