"""doctor ldap climbs to the directory of the settings. What each rung says is the ladder's."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from entrypoint import cli
from tests.unit.authority import Authority
from tests.unit.servers import Directory, Server, silence

# ldap3 2.9.1 still uses two names that pyasn1 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:(tagMap|typeMap) is deprecated:DeprecationWarning")

Climb = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


@pytest.fixture
def climb(tmp_path: Path, authority: Authority, capsys: pytest.CaptureFixture[str]) -> Climb:
    """The exit code, and the rungs by their names, for a directory on a port here."""

    def run(port: int, *more: str, ca: str = "") -> tuple[int, dict[str, Any]]:
        (tmp_path / "env").write_text(
            f"DOMAIN=example.org\nLDAP_HOSTS=ldaps://ldap.example.org:{port}\nLDAP_IP=127.0.0.1\n"
            f"LDAP_USER=cn=mail,dc=example,dc=org\nLDAP_PASSWORD=secret\nLDAP_BASE=dc=example,dc=org\n"
            f"LDAP_GROUP=cn=m,dc=example,dc=org\nLDAP_CA=/run/secrets/ca\nTLS_CA_FILE={ca or authority.ca_file}\n"
        )
        code = cli.main(["doctor", "ldap", "--env-file", str(tmp_path / "env"), "--json", *more])
        shown, said = capsys.readouterr()
        assert shown, said
        return code, {rung["name"]: rung for rung in json.loads(shown)}

    return run


def test_the_name_that_only_the_stack_knows_is_found_and_its_certificate_verified(
    climb: Climb, authority: Authority
) -> None:
    with Server(Directory(), authority.server("DNS:ldap.example.org")) as server:
        _, rungs = climb(server.port)
    assert [rungs[name]["result"] for name in ("name", "tcp", "tls", "bind", "base")] == ["ok"] * 5


def test_another_authority_is_not_believed(climb: Climb, authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other")
    with Server(Directory(), authority.server("DNS:ldap.example.org")) as server:
        code, rungs = climb(server.port, ca=str(other.ca_file))
    assert code == 1
    assert (rungs["tcp"]["result"], rungs["tls"]["result"], rungs["bind"]["result"]) == ("ok", "failed", "skipped")
    assert "LDAP_CA" in rungs["tls"]["cure"]


def test_a_directory_that_is_away_breaks_the_second_rung(climb: Climb) -> None:
    with Server(silence) as server:
        port = server.port
    code, rungs = climb(port)
    assert (code, rungs["name"]["result"], rungs["tcp"]["result"]) == (1, "ok", "failed")


def test_an_authority_that_only_containers_have_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "env").write_text(
        "DOMAIN=example.org\nLDAP_HOSTS=ldap.example.org\nLDAP_USER=cn=mail,dc=example,dc=org\nLDAP_PASSWORD=x\n"
        "LDAP_BASE=dc=example,dc=org\nLDAP_GROUP=cn=m,dc=example,dc=org\nLDAP_CA=/run/secrets/ca\n"
    )
    assert cli.main(["doctor", "ldap", "--env-file", str(tmp_path / "env")]) == 78
    assert "set TLS_CA_FILE to the one on the host" in capsys.readouterr().err
