"""Run by Alembic: migrates on the connection, and in the transaction, that `weaklink.enforce.database` hands over."""

from alembic import context

from weaklink.enforce.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
