"""Campaign identities over time."""
