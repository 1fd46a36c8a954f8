"""Alembic migrations of the ledger. Inside the package, so that the wheel carries them."""
