"""Rules that every event must keep."""
