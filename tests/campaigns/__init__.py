"""Tests of weaklink.campaigns."""
