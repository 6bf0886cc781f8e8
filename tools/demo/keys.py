"""Keys and certificates for the demo and for tests: those of `entrypoint init`."""

from __future__ import annotations

from entrypoint.keys import make_authority, make_certificate, make_dkim_key

__all__ = ["make_authority", "make_certificate", "make_dkim_key"]
