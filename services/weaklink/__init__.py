"""Weaklink: pool what each party sees of model-extraction campaigns, and act on the weak links."""

__version__ = "0.1.0"
