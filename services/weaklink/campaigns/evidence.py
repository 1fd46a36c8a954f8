"""Conduct and structure of accounts."""
