"""The command `weaklink`: one module per command group."""
