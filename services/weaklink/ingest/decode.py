"""Whole record batches to frames of events."""
