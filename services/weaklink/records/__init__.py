"""Schemas, framing and the single-record codec."""
