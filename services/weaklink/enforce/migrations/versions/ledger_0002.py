"""History of an action goes with its action, once that has been removed; while the action is there, it stays append-only. Indexes for pruning."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_SQLITE = (
    "DROP TRIGGER action_history_no_delete",
    "CREATE TRIGGER action_history_no_delete BEFORE DELETE ON action_history "
    "WHEN EXISTS (SELECT 1 FROM actions WHERE actions.action_id = OLD.action_id) "
    "BEGIN SELECT RAISE(ABORT, 'action_history is append-only'); END",
)
_POSTGRESQL = (
    "DROP TRIGGER action_history_append_only ON action_history",
    "CREATE TRIGGER action_history_append_only BEFORE UPDATE OR TRUNCATE ON action_history "
    "FOR EACH STATEMENT EXECUTE FUNCTION action_history_append_only()",
    "CREATE FUNCTION action_history_no_delete() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN IF EXISTS (SELECT 1 FROM actions WHERE actions.action_id = OLD.action_id) "
    "THEN RAISE EXCEPTION 'action_history is append-only'; END IF; RETURN OLD; END $$",
    "CREATE TRIGGER action_history_no_delete BEFORE DELETE ON action_history "
    "FOR EACH ROW EXECUTE FUNCTION action_history_no_delete()",
)


def upgrade() -> None:
    """Replace the trigger against deletion; add the indexes."""
    for statement in _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL:
        op.execute(statement)
    op.create_index("ix_decisions_handled", "decisions", ["handled_wall_us"], unique=False)
    op.create_index("ix_receipts_handled", "receipts", ["handled_wall_us"], unique=False)


_SQLITE_BACK = (
    "DROP TRIGGER action_history_no_delete",
    "CREATE TRIGGER action_history_no_delete BEFORE DELETE ON action_history "
    "BEGIN SELECT RAISE(ABORT, 'action_history is append-only'); END",
)
_POSTGRESQL_BACK = (
    "DROP TRIGGER action_history_no_delete ON action_history",
    "DROP FUNCTION action_history_no_delete()",
    "DROP TRIGGER action_history_append_only ON action_history",
    "CREATE TRIGGER action_history_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON action_history "
    "FOR EACH STATEMENT EXECUTE FUNCTION action_history_append_only()",
)


def downgrade() -> None:
    """The trigger as it was, which lets nothing be deleted; no row is lost."""
    op.drop_index("ix_receipts_handled", table_name="receipts")
    op.drop_index("ix_decisions_handled", table_name="decisions")
    for statement in _SQLITE_BACK if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL_BACK:
        op.execute(statement)
