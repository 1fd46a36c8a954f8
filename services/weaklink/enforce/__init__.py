"""Stage: decisions and receipts to actions, through the ledger (Faust)."""
