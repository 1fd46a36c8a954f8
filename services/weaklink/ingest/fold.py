"""Frames of events to links and activity."""
