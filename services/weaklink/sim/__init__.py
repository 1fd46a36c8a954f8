"""Simulated worlds, parties and adversaries in a closed loop."""
