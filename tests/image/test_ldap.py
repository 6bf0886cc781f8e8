"""ldap: who may see and change what, what becomes of the LDIF that it is given, and the commands for people."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

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
    ({"LDAP_BASE": "l=nowhere,dc=example,dc=test"}, "l=nowhere"),
    ({"LDAP_BASE": "ou=people,dc=other,dc=test"}, "LDAP_GROUP"),
    ({"LDAP_BASE": "ou=x,dc=other,dc=test", "LDAP_GROUP": "cn=x,dc=other,dc=test"}, "LDAP_MEMBERS"),
    ({"LDAP_GROUP": ""}, "LDAP_GROUP is missing"),
    ({"LDAP_GROUP": "ou=mail,dc=example,dc=test"}, "LDAP_GROUP"),
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


# --- an organisation without another directory

EMPTY = {"/etc/postern/members.ldif": Path("/dev/null")}  # as Compose mounts it when LDAP_MEMBERS_FILE is not set
SUFFIX = "dc=example,dc=test"
# What a filter, a name, a shell or a terminal could take for something else.
HOSTILE = ["*)(mail=*", "a,b", "a+b=c", "Zoë Ünïcode äöüß", '"quoted" \\2a', "#x;y<z>", "$(id) `id` %s", "cn=x,dc=y"]


@pytest.fixture(scope="module")
def people(world: World) -> Iterator[Container]:
    """A directory that began empty; each test uses addresses of its own."""
    with directory(world, {"LOG_FORMAT": "console"}, files=EMPTY) as started:
        started.wait_healthy()
        yield started


def entrypoint(ldap: Container, *words: str, stdin: str = "", user: str = "") -> tuple[int, str]:
    """Exit code of a command in the container, and what it says."""
    who = ["--user", user] if user else []
    command = ["docker", "exec", "-i", *who, ldap.name, "entrypoint", *words]
    done = subprocess.run(command, input=stdin, stdout=-1, stderr=-2, text=True, check=False)
    return done.returncode, done.stdout


def good(ldap: Container, *words: str, stdin: str = "") -> str:
    """What a command says that succeeds."""
    code, said = entrypoint(ldap, *words, stdin=stdin)
    assert code == 0, said
    return said


def added(ldap: Container, address: str, *more: str, password: str = "") -> str:
    """The name of a new account's entry."""
    good(ldap, "account", "add", address, *more, stdin=f"{password or PASSWORD}\n")
    return f"uid={address},{BASE}"


def listed(ldap: Container) -> dict[str, Any]:
    """All accounts, by address."""
    return {each["address"]: each for each in json.loads(good(ldap, "account", "list", "--json"))}


def may_log_in(ldap: Container, dn: str, password: str) -> bool:
    return client(ldap, "ldapwhoami", *login(dn, password)).startswith("dn:")


def may_use_mail(ldap: Container, address: str) -> bool:
    """As the mail system asks."""
    return "dn: " in search(ldap, READ, f"(&{MEMBER}(|(mail={address})(gosaMailAlternateAddress={address})))", "mail")


def dump(ldap: Container) -> str:
    return ldap.run("slapcat", "-f", "/run/config/slapd.conf", "-b", SUFFIX)


PASSWORD = " /&\\|$%\"'{} #*()%{user}ü "


class TestEmptyDirectory:
    """No LDIF, no step by hand."""

    def test_it_has_what_the_settings_name_and_goes_on_with_it(self, world: World) -> None:
        """Base and group are there, nobody is in them; accounts, and nothing else, are there after a restart."""
        with directory(world, files=EMPTY) as ldap:
            ldap.wait_healthy()
            assert f"dn: {BASE}" in search(ldap, READ, "(ou=people)", "dn")
            assert f"member: {BASE}" in search(ldap, READ, "(cn=mail)", "member")
            assert search(ldap, READ, "(mail=*)", "dn").strip() == ""
            dn = added(ldap, "first@example.test")
            before = dump(ldap)
            ldap.stop()
            ldap.start()
            wait_until(lambda: may_log_in(ldap, dn, PASSWORD), 30, "it runs again")
            assert dump(ldap) == before
            assert ldap.logs().count("set up an empty directory") == 1
            assert PASSWORD not in ldap.logs()

    def test_a_folder_in_the_place_of_the_file_is_refused(self, world: World, tmp_path: Path) -> None:
        """Docker makes one where a file on the host does not exist."""
        tmp_path.chmod(0o755)
        with directory(world, files={"/etc/postern/members.ldif": tmp_path}) as ldap:
            assert ldap.wait_end() == 78
            assert "LDAP_MEMBERS_FILE" in ldap.logs()

    def test_a_changed_password_of_the_read_account_is_taken_by_a_reload(self, world: World, tmp_path: Path) -> None:
        """Without a restart of the container, and the old one is worth nothing then."""
        secret = tmp_path / "password"
        secret.write_text(READER_PASSWORD)
        secret.chmod(0o644)
        with directory(world, files={**EMPTY, "/run/secrets/LDAP_PASSWORD": secret}) as ldap:
            ldap.wait_healthy()
            secret.write_text("another one")
            ldap.run("entrypoint", "reload")
            wait_until(lambda: "dn:" in search(ldap, login(READER, "another one"), "(ou=people)"), 20, "the new one")
            assert "Invalid credentials" in search(ldap, READ, "(ou=people)")


class TestAccounts:
    """`entrypoint account`, `alias`, `group`, `quota`."""

    def test_who_is_added_may_log_in_and_use_mail(self, people: Container) -> None:
        """With just that password, kept as yescrypt."""
        assert not may_use_mail(people, "add@example.test")
        dn = added(people, "Add@Example.test", "--name", "Zoë Example", "--quota", "2G").lower()
        assert may_log_in(people, dn, PASSWORD)
        assert not may_log_in(people, dn, PASSWORD.strip())
        assert not may_log_in(people, dn, "")
        assert may_use_mail(people, "add@example.test")
        there = listed(people)["add@example.test"]
        assert (there["name"], there["quota_mb"], there["groups"]) == ("Zoë Example", 2048, ["mail"])
        hashed = client(people, "ldapsearch", "-LLL", "-o", "ldif-wrap=no", *MANAGER, "-b", dn, "userPassword")
        kept = base64.b64decode(re.findall(r"userPassword:: (.*)", hashed)[0]).decode()
        assert kept.startswith("{CRYPT}$y$j9T$")
        row = next(line for line in good(people, "account", "list").splitlines() if line.startswith("add@"))
        assert row.split() == ["add@example.test", "Zoë", "Example", "yes", "2", "GB", "mail"]

    def test_many_hashes_are_all_good_ones(self, people: Container) -> None:
        """The salt is made by chance: it must never have a character that the check does not take."""
        many = "for i in $(seq 100); do slappasswd -n -h '{CRYPT}' -c '$y$j9T$%.24s' -T /dev/null; echo; done"
        made = people.run("sh", "-c", many.replace("/dev/null", "/run/secrets/LDAP_PASSWORD")).split()
        assert len(set(made)) == 100
        assert all(len(each) == len(made[0]) for each in made)

    def test_a_password_can_be_made(self, people: Container) -> None:
        """Printed once, alone in its line, and valid."""
        said = good(people, "account", "add", "made@example.test", "--generate").splitlines()
        (password,) = [line for line in said if " " not in line]
        assert may_log_in(people, f"uid=made@example.test,{BASE}", password)
        assert password not in people.logs()

    def test_another_password(self, people: Container) -> None:
        """The old one is worth nothing from then on."""
        dn = added(people, "passwd@example.test")
        good(people, "account", "passwd", "passwd@example.test", stdin="pässwort 2\n")
        assert (may_log_in(people, dn, "pässwort 2"), may_log_in(people, dn, PASSWORD)) == (True, False)
        code, said = entrypoint(people, "account", "passwd", "passwd@example.test", stdin="short\n")
        assert (code, "5 characters" in said) == (64, True)
        assert may_log_in(people, dn, "pässwort 2")
        assert entrypoint(people, "account", "passwd", "nobody@example.test", stdin="12345678\n")[0] == 78

    def test_an_address_is_one_person_s(self, people: Container) -> None:
        """As an address or as an alias, in any case, also when two are added at the same time."""
        added(people, "one@example.test")
        added(people, "two@example.test")
        good(people, "alias", "add", "one@example.test", "both@example.test")
        before = dump(people)
        for words in (
            ("account", "add", "ONE@example.test"),
            ("account", "add", "Both@example.test"),
            ("alias", "add", "two@example.test", "one@example.test"),
            ("alias", "add", "two@example.test", "BOTH@example.test"),
            ("alias", "add", "one@example.test", "one@example.test"),
        ):
            code, said = entrypoint(people, *words, stdin="12345678\n")
            assert (code, "one@example.test has it already" in said) == (78, True), said
        assert dump(people) == before
        command = [
            "docker",
            "exec",
            "-i",
            people.name,
            "entrypoint",
            "account",
            "add",
            "race@example.test",
            "--generate",
        ]
        racing = [subprocess.Popen(command, stdin=-3, stdout=-3, stderr=-3) for _ in range(4)]
        assert sorted(each.wait(60) for each in racing) == [0, 78, 78, 78]

    def test_aliases(self, people: Container) -> None:
        """Mail to them is the person's until they are removed."""
        added(people, "alias@example.test")
        assert "gets the mail" in good(people, "alias", "add", "alias@example.test", "A+b@example.test")
        assert may_use_mail(people, "a+b@example.test")
        assert good(people, "alias", "list", "alias@example.test") == "a+b@example.test\n"
        assert "is an alias of alias@" in entrypoint(people, "account", "remove", "a+b@example.test", "--yes")[1]
        good(people, "alias", "remove", "alias@example.test", "a+B@example.test")
        assert not may_use_mail(people, "a+b@example.test")
        code, said = entrypoint(people, "alias", "remove", "alias@example.test", "a+b@example.test")
        assert (code, "it is no alias of alias@example.test, which has none" in said) == (78, True)

    def test_groups(self, people: Container) -> None:
        """In and out of the mail group, which counts at once; others are made when they are needed."""
        dn = added(people, "group@example.test", "--no-mail")
        assert not may_use_mail(people, "group@example.test")
        good(people, "group", "add", "group@example.test")
        assert may_use_mail(people, "group@example.test")
        good(people, "group", "remove", "group@example.test")
        assert not may_use_mail(people, "group@example.test")
        assert entrypoint(people, "group", "remove", "group@example.test")[0] == 78
        assert may_log_in(people, dn, PASSWORD)  # in the directory; its mail is another matter
        assert "a new group" in good(people, "group", "add", "group@example.test", "teachers")
        assert entrypoint(people, "group", "add", "group@example.test", "Teachers")[0] == 78
        assert f"memberOf: cn=teachers,ou=groups,{SUFFIX}" in search(people, READ, "(uid=group@*)", "memberOf")
        good(people, "group", "remove", "group@example.test", "teachers")
        (teachers,) = json.loads(good(people, "group", "list", "teachers", "--json"))
        assert teachers["members"] == []
        assert "teachers" in good(people, "group", "list")

    def test_quota(self, people: Container) -> None:
        """In megabytes, no limit, or that of all."""
        added(people, "quota@example.test", "--quota", "500M")
        for size, megabytes in (("2G", 2048), ("0", 0), ("default", None)):
            good(people, "quota", "set", "quota@example.test", size)
            assert listed(people)["quota@example.test"]["quota_mb"] == megabytes
        assert entrypoint(people, "quota", "set", "quota@example.test", "-1")[0] == 64
        assert entrypoint(people, "quota", "set", "nobody@example.test", "1G")[0] == 78

    def test_who_is_removed_is_in_no_group_when_somebody_gets_the_address_again(self, people: Container) -> None:
        """And the mailbox is where it was."""
        dn = added(people, "leaver@example.test")
        good(people, "group", "add", "leaver@example.test", "board")
        assert entrypoint(people, "account", "remove", "leaver@example.test")[0] == 64  # nobody said yes
        said = good(people, "account", "remove", "leaver@example.test", "--yes")
        assert "/var/vmail/example.test/leaver" in said
        assert not may_log_in(people, dn, PASSWORD)
        assert "leaver" not in dump(people)
        added(people, "leaver@example.test", "--no-mail")
        assert listed(people)["leaver@example.test"]["groups"] == []

    @pytest.mark.parametrize("text", HOSTILE)
    def test_names_of_people_and_groups_are_what_was_typed(self, people: Container, text: str) -> None:
        """Quoted for each place that they come to, and nobody else is touched."""
        address = f"hostile{HOSTILE.index(text)}@example.test"
        added(people, address, "--name", text)
        good(people, "group", "add", address, text)
        there = listed(people)[address]
        assert (there["name"], there["groups"]) == (text, sorted(["mail", text]))
        (found,) = json.loads(good(people, "group", "list", text, "--json"))
        assert found["members"] == [address]
        good(people, "group", "remove", address, text)
        assert listed(people)[address]["groups"] == ["mail"]

    @pytest.mark.parametrize(
        "text",
        [
            *(text for text in HOSTILE if text != "a+b=c"),
            "",
            "*",
            "a" * 65536,
            "a@b@example.test",
            "x\x1b[2J@example.test",
        ],
    )
    def test_what_is_no_address_changes_nothing(self, people: Container, text: str) -> None:
        """Refused with an example, by every command, before anything is asked."""
        before = dump(people)
        for address in (text, f"{text}@example.test"):
            for words in (("account", "add"), ("account", "passwd"), ("group", "add"), ("alias", "list")):
                code, said = entrypoint(people, *words, address, stdin="12345678\n")
                assert (code, "for example alice@example.org" in said) == (64, True), said
                assert "Traceback" not in said
        assert dump(people) == before

    def test_an_unknown_domain_is_worth_a_warning(self, people: Container) -> None:
        """It may be going to be a domain of ours."""
        said = good(people, "account", "add", "new@other.test", stdin="12345678\n")
        assert "warning: other.test is not in EXIM_LOCAL_DOMAINS (example.test)" in said
        assert "warning" not in good(people, "account", "add", "new@example.test", stdin="12345678\n")

    @pytest.mark.parametrize("user", ["12345:0", "0:0", "12345:12345"])
    def test_no_other_user_gets_in(self, people: Container, user: str) -> None:
        """Neither by the commands nor by the socket; root in the container has no rights there either."""
        code, said = entrypoint(people, "account", "list", user=user)
        assert (code, "add@example.test" in said, "Traceback" in said) == (78, False, False), said
        found = docker("exec", "--user", user, people.name, "ldapsearch", *MANAGER, "-b", SUFFIX, check=False)
        assert "dn: " not in found
        assert "dn: " in client(people, "ldapsearch", *MANAGER, "-b", SUFFIX)  # its own


class TestBackup:
    """`entrypoint directory backup` and `restore`."""

    def test_a_round_trip(self, world: World) -> None:
        """Into another directory, with everything in it; what was there before is kept beside it."""
        with directory(world, files=EMPTY) as old, directory(world) as new:
            old.wait_healthy()
            dn = added(old, "kept@example.test", "--name", "Zoë", "--quota", "1G")
            good(old, "alias", "add", "kept@example.test", "also@example.test")
            backup = good(old, "directory", "backup")
            new.wait_healthy()
            assert ALICE in search(new, READ, MEMBER, "dn")
            said = good(new, "directory", "restore", stdin=backup)
            assert "are restored" in said
            assert dump(new) == dump(old)
            assert may_log_in(new, dn, PASSWORD)
            assert ALICE not in search(new, READ, MEMBER, "dn")
            added(new, "later@example.test")
            # And back again, as the how-to has it.
            new.run("mv", "/var/lib/ldap/before-restore.mdb", "/var/lib/ldap/restored.mdb")
            new.stop()
            new.start()
            wait_until(lambda: ALICE in search(new, READ, MEMBER, "dn"), 30, "the directory before")
            assert new.run("ls", "/var/lib/ldap").split() == ["before-restore.mdb", "data.mdb", "lock.mdb"]
            assert PASSWORD not in old.logs() + new.logs()

    def test_what_is_no_good_changes_nothing(self, people: Container) -> None:
        """Another suffix, half a file, what slapd does not take, a base or a group that is missing, garbage."""
        added(people, "backup@example.test")
        backup, before = good(people, "directory", "backup"), dump(people)
        assert f"# complete: {backup.count(chr(10) + 'dn:')} entries" in backup
        without_marks = "\n".join(line for line in backup.splitlines() if not line.startswith("#"))
        bad = {
            "and this directory is": backup.replace("dc=test", "dc=other"),
            "not complete": backup[: len(backup) // 2],
            "cannot be loaded": without_marks.replace("objectClass: gosaMailAccount", "objectClass: nonsense"),
            "must have LDAP_GROUP": without_marks.replace("cn=mail,", "cn=post,").replace("cn: mail", "cn: post"),
            "this is no backup": "\x00\xff" * 5000,
        }
        pid = people.pid_of("slapd")
        for why, text in bad.items():
            code, said = entrypoint(people, "directory", "restore", stdin=text)
            assert (code, why in said) == (78, True), said
        assert (dump(people), people.pid_of("slapd")) == (before, pid)
        assert people.run("ls", "/var/lib/ldap").split() == ["data.mdb", "lock.mdb"]
