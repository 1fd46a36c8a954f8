"""Tests of weaklink.enforce."""
