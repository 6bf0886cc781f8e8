"""What all unit tests share."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import settings

from tests.unit.authority import Authority
from tests.unit.installation import Installation

# Machines that run tests are busy: how long one example takes says nothing. pytest's own limit ends what hangs.
settings.register_profile("postern", deadline=None)
settings.load_profile("postern")


@pytest.fixture(scope="session")
def installations_authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("installation") / "authority")


@pytest.fixture
def installation(tmp_path: Path, installations_authority: Authority) -> Installation:
    """A host with settings that are good for all services of the usual profiles.

    Its certificate is one of the containers' own, which the host does not see: to look at one takes openssl a while.
    """
    made = Installation(tmp_path, installations_authority)
    made.env |= {"TLS_CERTIFICATE": "/etc/own/fullchain.pem", "TLS_KEY": "/etc/own/key.pem"}
    return made


@pytest.fixture
def with_certificate(tmp_path: Path, installations_authority: Authority) -> Installation:
    """The same, with certificate and key on the host, as it is usual."""
    return Installation(tmp_path, installations_authority)
