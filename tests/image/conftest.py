"""What holds for all tests of this folder."""

from __future__ import annotations

import pytest

from tests.containers import remove_left_overs


@pytest.fixture(scope="session", autouse=True)
def clean_engine() -> None:
    """No container and no network of tests that were killed: it would hold an address that is needed."""
    remove_left_overs()
