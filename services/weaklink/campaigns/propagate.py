"""Belief, at first hand and across parties."""
