"""`check --online` against the real slapd and Redis of our images: who is found, and each way not to be."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from entrypoint.ladder import Rung, climb
from entrypoint.service import find
from entrypoint.settings.reading import read
from tests.containers import Container, container
from tests.image import directory as slapd
from tests.unit.authority import Authority
from tools.demo.people import Member
from tools.demo.world import World

pytestmark = [
    pytest.mark.image,
    pytest.mark.timeout(300),
    # ldap3 2.9.1 still uses two names that pyasn1 deprecates
    pytest.mark.filterwarnings("ignore:(tagMap|typeMap) is deprecated:DeprecationWarning"),
]

ROOT = Path(__file__).parents[2]
PORT = 1636
GOOD = ["name", "tcp", "tls", "bind", "base", "members", "user", "attributes"]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Some members, two of whom have the same address."""
    twins = (Member("dora", aliases=("info",)), Member("emil", aliases=("info",)))
    return slapd.world_with_members(tmp_path_factory.mktemp("online") / "world", twins)


@pytest.fixture(scope="module")
def ldap(world: World) -> Iterator[Container]:
    with slapd.directory(world) as started:
        started.wait_healthy()
        yield started


@pytest.fixture(scope="module")
def redis(world: World) -> Iterator[Container]:
    with container("redis", env={"DOMAIN": "example.test", "REDIS_PASSWORD": "s3cr3t"}) as running:
        running.wait_healthy()
        yield running


def climbed(ldap: Container, world: World, user: str = "", **changes: str) -> dict[str, Rung]:
    """The rungs by name, with the settings of imap."""
    env = {
        **slapd.SETTINGS,
        "LDAP_HOSTS": f"ldaps://{slapd.HOST}:{PORT}",
        "LDAP_GROUP": slapd.GROUP,
        "LDAP_PASSWORD_FILE": str(world.folder / "secrets/LDAP_PASSWORD"),
        "LDAP_CA": str(world.ca_file),
        **changes,
    }
    found = climb(read(env, find("imap").settings).settings, user, known={slapd.HOST: ldap.address()})
    return {rung.name: rung for rung in found}


def broken(rungs: dict[str, Rung]) -> Rung:
    """The only one that is."""
    (one,) = (rung for rung in rungs.values() if rung.ok is False)
    return one


class TestLadder:
    def test_a_member_is_found_by_name_and_by_alias(self, ldap: Container, world: World) -> None:
        for user in ("alice@example.test", "alias@example.test", "ALICE@example.test"):
            rungs = climbed(ldap, world, user)
            assert [name for name, rung in rungs.items() if rung.ok] == GOOD, rungs
            assert rungs["user"].told.startswith(f"uid=alice,{slapd.BASE} (LDAP_USER_FILTER, LDAP_PASS_FILTER)")
        assert climbed(ldap, world, "bob@example.test")["attributes"].told == (
            "mail bob@example.test, gosaMailQuota 1 MB"
        )

    def test_no_placeholder_is_a_wildcard(self, ldap: Container, world: World) -> None:
        for user in ("*@example.test", "*", "alice)(mail=*", "*)(|(mail=*"):
            assert broken(climbed(ldap, world, user)).told.endswith("has this mail or gosaMailAlternateAddress")

    def test_a_wrong_password(self, ldap: Container, world: World, tmp_path: Path) -> None:
        wrong = tmp_path / "password"
        wrong.write_text("wrong")
        rung = broken(climbed(ldap, world, LDAP_PASSWORD_FILE=str(wrong)))
        assert (rung.name, rung.cure) == ("bind", "check LDAP_USER and LDAP_PASSWORD")

    def test_an_authority_that_is_not_trusted(self, ldap: Container, world: World, tmp_path: Path) -> None:
        stranger = Authority(tmp_path / "stranger")
        rung = broken(climbed(ldap, world, LDAP_CA=str(stranger.ca_file)))
        assert rung.name == "tls"
        assert "is not signed by an authority in" in rung.told

    def test_another_name_than_that_of_the_certificate(self, ldap: Container, world: World) -> None:
        rung = broken(climbed(ldap, world, LDAP_HOSTS=f"ldaps://{ldap.address()}:{PORT}"))
        assert rung.name == "tls"
        assert "it is not for" in rung.told

    def test_an_unknown_base(self, ldap: Container, world: World) -> None:
        rung = broken(climbed(ldap, world, LDAP_BASE="ou=nobody,dc=example,dc=test"))
        assert (rung.name, rung.told.partition(",")[0]) == ("base", "base ou=nobody")

    def test_a_user_whom_nobody_knows(self, ldap: Container, world: World) -> None:
        rungs = climbed(ldap, world, "nobody@example.test")
        assert broken(rungs).told == (
            "LDAP_USER_FILTER and LDAP_PASS_FILTER find nobody for nobody@example.test: no entry below "
            f"{slapd.BASE} has this mail or gosaMailAlternateAddress"
        )
        assert rungs["attributes"].ok is None

    def test_a_user_who_is_not_in_the_group(self, ldap: Container, world: World) -> None:
        rung = broken(climbed(ldap, world, "carol@example.test"))
        assert (
            f"though uid=carol,{slapd.BASE} has the address; it has no memberOf that {slapd.READER} may see"
            in rung.told
        )
        assert rung.cure.startswith("put it into the group, or check the filter: (&(memberOf=")

    def test_a_user_who_is_there_twice(self, ldap: Container, world: World) -> None:
        rung = broken(climbed(ldap, world, "info@example.test"))
        assert rung.told == (
            "LDAP_USER_FILTER and LDAP_PASS_FILTER find several entries for info@example.test: "
            f"uid=dora,{slapd.BASE} and uid=emil,{slapd.BASE}"
        )

    def test_a_group_that_does_not_exist(self, ldap: Container, world: World) -> None:
        rungs = climbed(ldap, world, "alice@example.test", LDAP_GROUP="cn=none,dc=example,dc=test")
        assert [name for name, rung in rungs.items() if rung.ok is False] == ["members", "user"]
        assert f"it is in {slapd.GROUP}" in rungs["user"].told


class TestCommand:
    """The whole command, with a file, as a person calls it."""

    def asked(self, folder: Path, ldap: Container, redis: Container, world: World, **changes: str) -> tuple[int, Any]:
        """Exit code and rungs by name."""
        (folder / "redis").write_text("s3cr3t")
        env = {
            **slapd.SETTINGS,
            "LDAP_HOSTS": f"ldaps://{slapd.HOST}:{PORT}",
            "LDAP_GROUP": slapd.GROUP,
            "LDAP_IP": ldap.address(),
            "LDAP_PASSWORD_FILE": str(world.folder / "secrets/LDAP_PASSWORD"),
            "LDAP_CA": "/run/secrets/ca",
            "TLS_CA_FILE": str(world.ca_file),
            "TLS_CA": "/run/secrets/ca",
            "TLS_FULLCHAIN_FILE": str(world.folder / "secrets/server.pem"),
            "TLS_PRIVKEY_FILE": str(world.folder / "secrets/server.key"),
            "DNS_UPSTREAM": "none",
            "REDIS_IP": redis.address(),
            "REDIS_PASSWORD_FILE": "./redis",
            "VMAIL_DATA": "vmail",
            "REDIS_DATA": "redis",
            **changes,
        }
        network = ldap.address().rpartition(".")[0]
        env |= {"MAIL_NETWORK": f"{network}.0/24", "IMAP_IP": f"{network}.250"}
        file = folder / ".env"
        file.write_text("".join(f"{name}='{value}'\n" for name, value in env.items()))
        file.chmod(0o640)
        (folder / "docker-compose.yaml").touch()
        command = [sys.executable, "-m", "entrypoint", "check", "imap", "mail-redis", "--json"]
        command += [f"--env-file={file}", "--online", "--probe-user=alice@example.test"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env={"PATH": os.defpath})
        assert not done.stderr
        return done.returncode, {rung["name"]: rung for rung in json.loads(done.stdout)["online"]}

    def test_everything_answers(self, tmp_path: Path, ldap: Container, redis: Container, world: World) -> None:
        code, rungs = self.asked(tmp_path, ldap, redis, world)
        assert [rungs[name]["ok"] for name in (*GOOD, "redis")] == [True] * 9
        assert code in {0, 1}  # tests need not run as group 0

    def test_wrong_passwords_are_told_with_78(
        self, tmp_path: Path, ldap: Container, redis: Container, world: World
    ) -> None:
        (tmp_path / "wrong").write_text("wr0ng")
        wrong = {"LDAP_PASSWORD_FILE": "./wrong", "REDIS_PASSWORD_FILE": "./wrong"}
        code, rungs = self.asked(tmp_path, ldap, redis, world, **wrong)
        assert code == 78
        assert [name for name, rung in rungs.items() if rung["ok"] is False] == ["bind", "redis"]
        assert rungs["redis"]["told"] == "the password is wrong"
        assert "wr0ng" not in json.dumps(rungs)

    def test_a_redis_that_is_away_is_no_mistake(
        self, tmp_path: Path, ldap: Container, redis: Container, world: World
    ) -> None:
        _, rungs = self.asked(tmp_path, ldap, redis, world, REDIS_PORT="6380")
        assert rungs["redis"]["ok"] is None
