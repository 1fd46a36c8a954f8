"""Stage: links to shared identifiers."""
