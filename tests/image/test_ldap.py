"""ldap: who may see and change what, and what becomes of the LDIF that it is given."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers import Container, docker, wait_until
from tests.image.directory import (
    ALICE_PASSWORD,
    BASE,
    GROUP,
    HOST,
    READER,
    READER_PASSWORD,
    directory,
    world_with_members,
)
from tools.demo.world import World

# A test may start two containers, on a busy machine.
pytestmark = [pytest.mark.image, pytest.mark.timeout(300)]

ALICE = f"uid=alice,{BASE}"
CAROL = f"uid=carol,{BASE}"
LDAPS = f"ldaps://{HOST}:1636"
MANAGER = ("-Q", "-Y", "EXTERNAL", "-H", "ldapi://%2Frun%2Fldapi")
MEMBER = f"(memberOf={GROUP})"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Certificate, passwords and LDIF."""
    return world_with_members(tmp_path_factory.mktemp("ldap") / "world")


@pytest.fixture(scope="module")
def ldap(world: World) -> Iterator[Container]:
    """A directory that tests only ask, or leave as it was."""
    with directory(world) as started:
        started.wait_healthy()
        yield started


@pytest.fixture
def volume() -> Iterator[str]:
    """A volume that outlives its containers."""
    name = f"postern-test-{uuid.uuid4()}"
    docker("volume", "create", name)
    try:
        yield name
    finally:
        docker("volume", "rm", "--force", name, check=False)


def client(ldap: Container, program: str, *arguments: str, stdin: str = "") -> str:
    """What OpenLDAP's client says, with certificates verified."""
    return ldap.run("env", "LDAPTLS_CACERT=/run/secrets/ca", program, *arguments, check=False, stdin=stdin)


def login(dn: str, password: str, url: str = LDAPS) -> tuple[str, ...]:
    return ("-x", "-H", url, "-D", dn, "-w", password)


def search(ldap: Container, who: tuple[str, ...], *question: str) -> str:
    return client(ldap, "ldapsearch", "-LLL", "-o", "ldif-wrap=no", *who, "-b", "dc=example,dc=test", *question)


READ = login(READER, READER_PASSWORD)


class TestLife:
    """Start, stop, and what goes on with the volume."""

    def test_it_starts_answers_stops_and_starts_the_same_again(self, world: World) -> None:
        """Healthy, its lines parsed, stopped with 0 within seconds, and with the same members after a restart."""
        with directory(world) as ldap:
            ldap.wait_healthy()
            before = ldap.run("slapcat", "-f", "/run/config/slapd.conf", "-b", "dc=example,dc=test")
            assert "load the members" in ldap.logs()
            assert [e for e in ldap.events() if e["program"] == "slapd" and e["event"] == "slapd starting"]
            code, seconds = ldap.stop()
            assert (code, seconds < 5) == (0, True)
            ldap.start()
            ldap.wait_healthy()
            assert ldap.run("slapcat", "-f", "/run/config/slapd.conf", "-b", "dc=example,dc=test") == before
            assert ldap.logs().count("load the members") == 1

    def test_another_user_of_group_0_goes_on(self, world: World, volume: str) -> None:
        """Any uid, also one after the other on one volume."""
        for uid in (5389, 10007):
            with directory(world, options=(f"--user={uid}:0", f"--volume={volume}:/var/lib/ldap")) as ldap:
                ldap.wait_healthy()
                assert ldap.run("id", "-u").strip() == str(uid)
                ldap.stop()

    def test_a_killed_daemon_is_back(self, world: World) -> None:
        """kill -9 gives another process with the same members."""
        with directory(world) as ldap:
            ldap.wait_healthy()
            before = ldap.pid_of("slapd")
            ldap.run("sh", "-c", f"kill -9 {before}")
            wait_until(lambda: ldap.pid_of("slapd") not in (0, before), 10, "another process")
            wait_until(lambda: ALICE in search(ldap, READ, MEMBER, "dn"), 20, "the members are there")
            assert ldap.state()["Running"]

    def test_it_runs_as_nobody_special(self, ldap: Container) -> None:
        """Group 0, no setuid file, a root that cannot be written, and no secret among arguments or environments."""
        assert ldap.run("id", "-g").strip() == "0"
        assert ldap.run("sh", "-c", "find / -xdev -perm /6000 -type f 2>/dev/null", check=False).strip() == ""
        assert "Read-only file system" in ldap.run("touch", "/etc/x", check=False)
        seen = ldap.run("sh", "-c", "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr '\\0' '\\n'")
        assert READER_PASSWORD not in seen
        assert READER_PASSWORD not in ldap.logs()

    def test_the_read_account_follows_its_settings(self, world: World, volume: str) -> None:
        """Another name and password at the next start are valid then, and the old ones are not."""
        options = ("--user=5389:0", f"--volume={volume}:/var/lib/ldap")
        with directory(world, options=options) as ldap:
            ldap.wait_healthy()
        new = {"LDAP_USER": "cn=other,dc=example,dc=test", "LDAP_PASSWORD_FILE": "", "LDAP_PASSWORD": "changed"}
        with directory(world, new, options=options) as ldap:
            ldap.wait_healthy()
            assert ALICE in search(ldap, login("cn=other,dc=example,dc=test", "changed"), MEMBER, "dn")
            assert "Invalid credentials" in search(ldap, READ, MEMBER, "dn")


class TestMembers:
    """memberOf is what the group says."""

    def test_a_filter_finds_members_of_the_group_and_nobody_else(self, ldap: Container) -> None:
        """By primary address and alias; also negated, and for a group that does not exist."""
        for address, there in (("alice", True), ("alias", True), ("carol", False), ("nobody", False)):
            at = f"{address}@example.test"
            found = search(ldap, READ, f"(&{MEMBER}(|(mail={at})(gosaMailAlternateAddress={at})))", "mail")
            assert ("dn: " in found) == there, address
        assert CAROL in search(ldap, READ, f"(&(mail=*)(!{MEMBER}))", "dn")
        assert ALICE not in search(ldap, READ, f"(&(mail=*)(!{MEMBER}))", "dn")
        assert search(ldap, READ, f"(memberOf=cn=none,{BASE})", "dn").strip() == ""

    def test_entries_show_it_when_asked(self, ldap: Container) -> None:
        """As an attribute too."""
        assert f"memberOf: {GROUP}" in search(ldap, READ, "(uid=alice)", "memberOf")
        assert "memberOf" not in search(ldap, READ, "(uid=carol)", "memberOf")

    def test_who_runs_programs_in_the_container_changes_it_at_once(self, ldap: Container) -> None:
        """In and out of the group again, through the socket."""
        for verb, there in (("add", True), ("delete", False)):
            change = f"dn: {GROUP}\nchangetype: modify\n{verb}: member\nmember: {CAROL}\n"
            assert "modifying entry" in client(ldap, "ldapmodify", *MANAGER, stdin=change)
            assert (CAROL in search(ldap, READ, MEMBER, "dn")) == there


class TestAccess:
    """Nobody without password, no password without TLS, and reading only."""

    def test_both_ways_of_tls_serve(self, ldap: Container) -> None:
        """ldaps and STARTTLS, with the certificate verified for the name."""
        assert ALICE in search(ldap, READ, MEMBER, "dn")
        assert ALICE in search(ldap, (*login(READER, READER_PASSWORD, f"ldap://{HOST}:1389"), "-ZZ"), MEMBER, "dn")
        assert "Can't contact" in search(ldap, login(READER, READER_PASSWORD, "ldaps://127.0.0.2:1636"), MEMBER)

    @pytest.mark.parametrize("dn", [READER, ALICE])
    def test_no_password_in_the_clear(self, ldap: Container, dn: str) -> None:
        """Refused before it is looked at."""
        assert "confidentiality required" in search(ldap, login(dn, "x", f"ldap://{HOST}:1389"), MEMBER)

    def test_nobody_sees_nothing(self, ldap: Container) -> None:
        """Neither by an anonymous login nor by a name without a password."""
        assert "anonymous bind disallowed" in search(ldap, ("-x", "-H", LDAPS), MEMBER)
        assert "unauthenticated bind" in search(ldap, login(ALICE, ""), MEMBER)

    @pytest.mark.parametrize(
        ("dn", "password", "good"),
        [
            (READER, READER_PASSWORD, True),
            (READER, READER_PASSWORD[:-1], False),
            (READER, "", False),
            (ALICE, ALICE_PASSWORD, True),
            (ALICE, ALICE_PASSWORD.strip(), False),
            (ALICE, "*", False),
        ],
    )
    def test_a_password_counts_to_the_last_character(self, ldap: Container, dn: str, password: str, good: bool) -> None:
        """Whatever characters it has."""
        assert (dn in client(ldap, "ldapwhoami", *login(dn, password))) == good

    @pytest.mark.parametrize("who", [READ, login(ALICE, ALICE_PASSWORD)])
    def test_people_and_the_mail_system_change_nothing(self, ldap: Container, who: tuple[str, ...]) -> None:
        """Not even the own password."""
        change = f"dn: {ALICE}\nchangetype: modify\nreplace: userPassword\nuserPassword: x\n"
        said = client(ldap, "ldapmodify", *who, stdin=change)
        assert "Insufficient access" in said or "No such object" in said
        assert ALICE in client(ldap, "ldapwhoami", *login(ALICE, ALICE_PASSWORD))

    def test_people_read_nothing_and_nobody_reads_passwords(self, ldap: Container) -> None:
        """People only log in; the read account sees all but userPassword."""
        assert "dn:" not in search(ldap, login(ALICE, ALICE_PASSWORD), "(uid=alice)")
        seen = search(ldap, READ, "(uid=alice)")
        assert "mail: alice@example.test" in seen
        assert "userPassword" not in seen


WRONG = [
    ({"DOMAIN": ""}, "DOMAIN is missing"),
    ({"LDAP_PASSWORD_FILE": ""}, "LDAP_PASSWORD"),
    ({"LDAP_BASE": "ou=people,o=example"}, "LDAP_BASE"),
    ({"LDAP_BASE": "ou=nowhere,dc=example,dc=test"}, "LDAP_BASE"),
    ({"LDAP_BASE": "ou=people,dc=other,dc=test"}, "LDAP_MEMBERS"),
    ({"LDAP_USER": "postern"}, "slapd.conf"),
    ({"LDAP_MEMBERS": "/etc/postern/none.ldif"}, "LDAP_MEMBERS"),
    ({"TLS_CERTIFICATE": "/run/secrets/none"}, "TLS_CERTIFICATE"),
    ({"DIRECTORY_HOST": "directory.example.com"}, "it is not for directory.example.com"),
    ({"LDAP_HOST": HOST}, "LDAP_HOST is not known"),
]


@pytest.mark.parametrize(("change", "named"), WRONG)
def test_wrong_settings_end_with_78(world: World, change: dict[str, str], named: str) -> None:
    """The last words name the variable, or the file that has it, and no secret."""
    with directory(world, change) as ldap:
        assert ldap.wait_end() == 78
        assert named in ldap.logs()
        assert READER_PASSWORD not in ldap.logs()


def test_members_are_loaded_all_or_none(world: World, volume: str, tmp_path: Path) -> None:
    """An LDIF with a mistake at its end is refused whole; without the mistake the volume is as good as new."""
    broken = tmp_path / "broken.ldif"
    broken.write_text((world.folder / "members.ldif").read_text() + f"\ndn: uid=x,{BASE}\nobjectClass: nonsense\n")
    broken.chmod(0o644)
    options = ("--user=5389:0", f"--volume={volume}:/var/lib/ldap")
    with directory(world, options=options, files={"/etc/postern/members.ldif": broken}) as ldap:
        assert ldap.wait_end() == 78
        assert "nonsense" in ldap.logs()
        assert "LDAP_MEMBERS" in ldap.logs()
    with directory(world, options=options) as ldap:
        ldap.wait_healthy()
        assert ALICE in search(ldap, READ, MEMBER, "dn")
