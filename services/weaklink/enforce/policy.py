"""Graduated measures: which proposals become actions."""
