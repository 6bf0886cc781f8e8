"""What all unit tests share."""

from __future__ import annotations

from hypothesis import settings

# Machines that run tests are busy: how long one example takes says nothing. pytest's own limit ends what hangs.
settings.register_profile("postern", deadline=None)
settings.load_profile("postern")
