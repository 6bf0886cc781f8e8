"""The way to the directory: what each rung tells when it holds, when it breaks, and when it is not tried.

Who finds whom is asked of a real slapd in tests/image/test_check_online.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from entrypoint.ladder import Rung, as_text, climb
from entrypoint.service import find
from entrypoint.settings.reading import read
from tests.unit.authority import Authority
from tests.unit.servers import Directory, Server, closes, says, silence

# ldap3 2.9.1 still uses two names that pyasn1 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:(tagMap|typeMap) is deprecated:DeprecationWarning")

HOST = "ldap.example.org"
ALICE = "alice@example.org"
ENTRY = {"mail": [ALICE], "gosaMailAlternateAddress": ["a@example.org"], "gosaMailQuota": ["500"]}
LOWER = ("name", "tcp", "tls", "bind", "base")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ladder") / "authority")


@pytest.fixture(scope="module")
def directory(authority: Authority) -> Directory:
    """One that has alice."""
    tls = authority.server(f"DNS:{HOST}")
    return Directory(tls=tls, find=lambda _question: {"uid=alice,dc=example,dc=org": ENTRY})


def settings(authority: Authority, *urls: str, service: str = "imap", **changes: str) -> Any:
    """The settings of a service that asks these servers."""
    known = Directory()
    env = {
        "DOMAIN": "example.org",
        "LDAP_HOSTS": " ".join(urls),
        "LDAP_USER": known.user,
        "LDAP_PASSWORD": known.password.decode(),
        "LDAP_BASE": known.base,
        "LDAP_GROUP": "cn=mail,dc=example,dc=org",
        "LDAP_CA": str(authority.ca_file),
    }
    return read(env | changes, find(service).settings).settings


def climbed(server: Server, authority: Authority, user: str = ALICE, **changes: str) -> dict[str, Rung]:
    """The rungs of this server by name."""
    return {
        rung.name: rung
        for rung in climb(settings(authority, f"{HOST}:{server.port}", **changes), user, known={HOST: "127.0.0.1"})
    }


def broken(rungs: Mapping[str, Rung]) -> Rung:
    """The one rung that broke."""
    (one,) = (rung for rung in rungs.values() if rung.ok is False)
    return one


class TestLowerRungs:
    def test_all_hold(self, directory: Directory, authority: Authority) -> None:
        with Server(directory) as server:
            rungs = climbed(server, authority)
        assert [(name, rung.ok) for name, rung in rungs.items()] == [
            (name, True) for name in (*LOWER, "members", "user", "attributes")
        ]
        assert all(0 <= rung.after_s < 10 for rung in rungs.values())
        assert rungs["name"].told == f"{HOST} is 127.0.0.1, as these settings say"
        assert rungs["tls"].told.startswith(f"the certificate is trusted, and for {HOST}; it ends in ")
        assert rungs["user"].told == "uid=alice,dc=example,dc=org (LDAP_USER_FILTER, LDAP_PASS_FILTER)"
        assert rungs["attributes"].told == f"mail {ALICE}, gosaMailAlternateAddress a@example.org, gosaMailQuota 500 MB"

    def test_with_tls_from_the_first_byte(self, directory: Directory, authority: Authority) -> None:
        assert directory.tls
        with Server(replace(directory, tls=None), tls=directory.tls) as server:
            rungs = climb(settings(authority, f"ldaps://{HOST}:{server.port}"), known={HOST: "127.0.0.1"})
        assert [rung.name for rung in rungs if rung.ok] == [*LOWER, "members"]

    def test_an_unknown_name(self, authority: Authority) -> None:
        rungs = climb(settings(authority, "ldap.nowhere.invalid"), ALICE)
        assert [rung.ok for rung in rungs] == [False] + [None] * 7
        assert rungs[0].told.startswith("ldap.nowhere.invalid is not known")
        assert "LDAP_IP" in rungs[0].cure
        assert {rung.told for rung in rungs[1:]} == {"name has to be mended first"}

    def test_a_closed_port(self, authority: Authority) -> None:
        with Server(silence) as server:
            port = server.port
        rungs = climb(settings(authority, f"127.0.0.1:{port}"))
        assert [rung.ok for rung in rungs[:3]] == [True, False, None]
        assert rungs[1].told == "connection refused"

    @pytest.mark.parametrize(("converse", "told"), [(closes, "closed the connection"), (says(b"220 hi\r\n"), "LDAP")])
    def test_what_is_no_directory(self, converse: Callable[..., None], told: str, authority: Authority) -> None:
        with Server(converse) as server:
            rung = broken(climbed(server, authority))
        assert rung.name == "tls"
        assert told in rung.told

    def test_an_authority_that_is_not_trusted(self, directory: Directory, authority: Authority, tmp_path: Path) -> None:
        stranger = Authority(tmp_path / "stranger")
        with Server(directory) as server:
            rung = broken(climbed(server, authority, LDAP_CA=str(stranger.ca_file)))
        assert (rung.name, rung.told) == (
            "tls",
            f"the certificate of {HOST} is not signed by an authority in {stranger.ca_file}",
        )
        assert "LDAP_CA" in rung.cure

    def test_a_certificate_that_ends_soon_is_advice(self, directory: Directory, authority: Authority) -> None:
        end = datetime.now(UTC) + timedelta(days=5, minutes=5)
        tls = authority.server(f"DNS:{HOST}", ends=end.strftime("%Y%m%d%H%M%SZ"))
        with Server(replace(directory, tls=tls)) as server:
            rung = climbed(server, authority)["tls"]
        assert (rung.ok, rung.cure) == (True, "renew the directory's certificate")
        assert rung.told.endswith("it ends in 5 days")

    def test_a_wrong_password_is_not_shown(self, directory: Directory, authority: Authority) -> None:
        with Server(directory) as server:
            rung = broken(climbed(server, authority, LDAP_PASSWORD="s3cr3t"))
        assert (rung.name, rung.cure) == ("bind", "check LDAP_USER and LDAP_PASSWORD")
        assert "the bind DN or its password is wrong" in rung.told
        assert "s3cr3t" not in repr(rung)

    def test_an_unknown_base(self, directory: Directory, authority: Authority) -> None:
        with Server(directory) as server:
            rung = broken(climbed(server, authority, LDAP_BASE="ou=none,dc=example,dc=org"))
        assert (rung.name, rung.told.partition(",")[0]) == ("base", "base ou=none")

    def test_every_server_is_climbed(self, directory: Directory, authority: Authority) -> None:
        with Server(directory) as server:
            urls = ("ldap.nowhere.invalid", f"{HOST}:{server.port}")
            rungs = climb(settings(authority, *urls), ALICE, known={HOST: "127.0.0.1"})
        assert list(dict.fromkeys(rung.server for rung in rungs)) == [
            "ldap://ldap.nowhere.invalid:389",
            f"ldap://{HOST}:{server.port}",
        ]
        assert [rung.ok for rung in rungs].count(True) == 8


class TestPeople:
    def test_without_a_user_the_upper_rungs_are_skipped(self, directory: Directory, authority: Authority) -> None:
        with Server(directory) as server:
            rungs = climbed(server, authority, user="")
        assert (rungs["members"].ok, rungs["user"].ok, rungs["attributes"].ok) == (True, None, None)
        assert rungs["user"].told == "no probe user is named (--probe-user ADDRESS)"

    def test_nobody_is_found_at_all(self, directory: Directory, authority: Authority) -> None:
        with Server(replace(directory, find=lambda _question: {})) as server:
            rungs = climbed(server, authority)
        assert [rungs[name].ok for name in ("members", "user", "attributes")] == [False, False, None]
        assert rungs["members"].told.startswith("LDAP_ITERATE_FILTER finds nobody: (&(memberOf=cn=mail,")
        assert rungs["user"].told == (
            f"LDAP_USER_FILTER and LDAP_PASS_FILTER find nobody for {ALICE}: no entry below dc=example,dc=org has this "
            "mail or gosaMailAlternateAddress"
        )

    def test_an_address_that_two_have(self, directory: Directory, authority: Authority) -> None:
        two = {"uid=a,dc=x": ENTRY, "uid=b,dc=x": ENTRY}
        with Server(replace(directory, find=lambda _question: two)) as server:
            rungs = climbed(server, authority)
        assert rungs["user"].told == (
            f"LDAP_USER_FILTER and LDAP_PASS_FILTER find several entries for {ALICE}: uid=a,dc=x and uid=b,dc=x"
        )
        assert rungs["attributes"].ok is None

    def test_one_whom_only_some_filters_find(self, directory: Directory, authority: Authority) -> None:
        own = "(&(objectClass=person)(mail=%u))"
        entry = {"uid=alice,dc=x": ENTRY}
        picky = replace(directory, find=lambda question: {} if b"person" in question else entry)
        with Server(picky) as server:
            rungs = climb(
                settings(authority, f"{HOST}:{server.port}", LDAP_PASS_FILTER=own), ALICE, known={HOST: "127.0.0.1"}
            )
        first, second = (rung for rung in rungs if rung.name == "user")
        assert (first.ok, first.told) == (True, "uid=alice,dc=x (LDAP_USER_FILTER)")
        assert second.ok is False
        assert second.told == (
            f"LDAP_PASS_FILTER finds nobody for {ALICE}, though uid=alice,dc=x has the address; "
            "it has no memberOf that cn=mail,dc=example,dc=org may see"
        )
        assert second.cure == f"put it into the group, or check the filter: (&(objectClass=person)(mail={ALICE}))"

    def test_the_filters_of_exim_are_asked_too(self, directory: Directory, authority: Authority) -> None:
        with Server(directory) as server:
            rungs = climb(
                settings(authority, f"{HOST}:{server.port}", service="exim-external"), ALICE, known={HOST: "127.0.0.1"}
            )
        (user,) = (rung.told for rung in rungs if rung.name == "user")
        assert user == (
            "uid=alice,dc=example,dc=org (EXIM_LDAP_USER_FILTER, EXIM_INT_MAILOUT_LDAP_AUTH, "
            "EXIM_INT_MAILOUT_LDAP_PLAIN, EXIM_PUBLIC_LDAP_USER_FILTER)"
        )

    def test_a_user_is_no_filter(self, directory: Directory, authority: Authority) -> None:
        asked: list[bytes] = []

        def remember(question: bytes) -> dict[str, dict[str, list[str]]]:
            asked.append(question)
            return {}

        with Server(replace(directory, find=remember)) as server:
            climbed(server, authority, user="*)(mail=*\\@example.org")
        assert len(asked) > 2  # members, each filter, the address alone
        assert all(b"*)(mail=*\\@example.org" in question for question in asked[1:])  # as one value

    @pytest.mark.parametrize(
        ("changes", "ok", "told"),
        [
            ({"gosaMailQuota": []}, True, "no gosaMailQuota, so MAILBOX_SIZE_LIMIT counts"),
            ({"gosaMailQuota": ["0"]}, True, "gosaMailQuota 0 MB (no limit)"),
            ({"gosaMailQuota": ["many"]}, False, "gosaMailQuota is 'many', which is no number of megabytes"),
            ({"gosaMailQuota": ["1.5"]}, False, "gosaMailQuota is '1.5', which is no number of megabytes"),
            ({"gosaMailQuota": ["1", "2"]}, False, "gosaMailQuota is '1' and '2', which is no number"),
            ({"mail": []}, False, "has no mail"),
            ({"mail": [ALICE, "b@example.org"]}, False, f"has 2 values of mail: {ALICE} b@example.org"),
            ({"mail": ["alice"]}, False, "mail is 'alice', which is no mail address"),
            ({"mail": ["alice@example.net"]}, False, "whose domain is not in EXIM_LOCAL_DOMAINS"),
            ({"gosaMailAlternateAddress": []}, True, f"mail {ALICE}, gosaMailQuota 500 MB"),
        ],
    )
    def test_attributes(
        self, changes: Mapping[str, list[str]], ok: bool, told: str, directory: Directory, authority: Authority
    ) -> None:
        with Server(replace(directory, find=lambda _question: {"uid=alice": {**ENTRY, **changes}})) as server:
            rung = climbed(server, authority)["attributes"]
        assert rung.ok == ok
        assert told in rung.told
        assert bool(rung.cure) == (not ok)


def test_the_table_is_aligned_and_has_the_cures() -> None:
    rungs = [Rung("name", True, "a is b", "", 0.0123), Rung("tcp", False, "refused", "start it", 1.5)]
    assert as_text([*rungs, Rung("tls", None, "tcp has to be mended first", "", 0.0)]) == (
        "RUNG  RESULT      TIME  TOLD\n"
        "name  ok         12 ms  a is b\n"
        "tcp   failed   1500 ms  refused\n"
        "                        → start it\n"
        "tls   skipped           tcp has to be mended first"
    )
    two = as_text([Rung("name", True, "x", "", 0.0, server) for server in ("ldap://a:389", "ldap://b:389")])
    assert [block.splitlines()[0] for block in two.split("\n\n")] == ["ldap://a:389", "ldap://b:389"]
