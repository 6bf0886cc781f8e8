"""Postern's entrypoint: from environment variables to a checked, supervised mail daemon."""

__version__ = "0.1.0"
