"""The fault laboratory: real services on a real broker and database, broken on purpose, and counted by a verifier of its own. See docs/chaos.md."""
