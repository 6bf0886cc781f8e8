"""What is typed about people, names in the directory, the first entries, backups: all that needs no slapd."""

from __future__ import annotations

import io
import os
import pty
import re
import stat
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies

from entrypoint.accounts import ask, backup, dn, people, setup, words
from entrypoint.errors import CheckError, Refused, UsageError
from entrypoint.service import known_variables
from entrypoint.services import ldap
from entrypoint.settings import read

ENV = {
    "DOMAIN": "example.org",
    "LDAP_USER": "cn=postern,dc=example,dc=org",
    "LDAP_PASSWORD": "x",
    "LDAP_BASE": "ou=people,dc=example,dc=org",
    "LDAP_GROUP": "cn=mail,ou=groups,dc=example,dc=org",
}


def settings(**changes: str) -> ldap.Settings:
    return read(ENV | changes, ldap.Settings, known=known_variables()).settings


class TestAddress:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("alice@example.org", "alice@example.org"),
            (" Alice.Example@EXAMPLE.org\t", "alice.example@example.org"),
            ("o'brien+list_1@a-b.example.org", "o'brien+list_1@a-b.example.org"),
            (f"{'a' * 64}@example.org", f"{'a' * 64}@example.org"),
            ("a@xn--mller-kva.example", "a@xn--mller-kva.example"),
        ],
    )
    def test_is_taken_in_lower_case(self, text: str, found: str) -> None:
        assert words.address(text) == found

    @pytest.mark.parametrize(
        "text",
        [
            "",
            "alice",
            "@example.org",
            "alice@",
            "alice@example.org@",
            "alice@192.0.2.1",
            "*)(mail=*@example.org",
            "a,b@example.org",
            "a b@example.org",
            "äöü@example.org",
            "alice@müller.de",
            "../../x@example.org",
            "a/b@example.org",
            ".a@example.org",
            "a.@example.org",
            "a..b@example.org",
            "-x@example.org",
            "a\n@example.org",
            "a@example.org\0",
            '"alice"@example.org',
            "alice@exa mple.org",
            f"{'a' * 65}@example.org",
            f"a@{'b.' * 130}org",
            "a" * 65536,
            f"{'a' * 65536}@example.org",
        ],
    )
    def test_is_refused_with_what_is_accepted_and_an_example(self, text: str) -> None:
        with pytest.raises(UsageError) as refused:
            words.address(text)
        assert "for example alice@example.org" in str(refused.value)
        assert len(str(refused.value)) < 500

    @given(strategies.text())
    def test_nothing_else_gets_through(self, text: str) -> None:
        try:
            found = words.address(f"{text}@example.org")
        except UsageError:
            return
        assert not set(found) & set('*()\\\0,"<>;/# \n|%{}$')


class TestOtherWords:
    @pytest.mark.parametrize(
        ("text", "megabytes"),
        [("2G", 2048), ("500M", 500), ("1048576", 1), ("0", 0), ("default", None), ("DEFAULT", None)],
    )
    def test_quota(self, text: str, megabytes: int | None) -> None:
        assert words.quota(text) == megabytes

    @pytest.mark.parametrize("text", ["", "much", "-1", "1K", "1.5G", "2 T", "9" * 65536])
    def test_no_quota(self, text: str) -> None:
        with pytest.raises(UsageError, match="for example 500M or 2G"):
            words.quota(text)

    @pytest.mark.parametrize("text", ["12345678", "pässwört mit Leerzeichen", " /&\\|$%\"'{} #", "x" * 1024])
    def test_password(self, text: str) -> None:
        assert words.password(text) == text

    @pytest.mark.parametrize("text", ["", "1234567", "x" * 1025, "x" * 65536, "secret\tsecret", "secret\0secret"])
    def test_no_password_and_it_is_not_shown(self, text: str) -> None:
        with pytest.raises(UsageError) as refused:
            words.password(text)
        assert not text or text not in str(refused.value)

    @pytest.mark.parametrize("text", ["Alice Example", "Zoë Ünïcode", "a,b=c+d", "*)(mail=*", "x" * 128])
    def test_name(self, text: str) -> None:
        assert words.person(text) == text

    @pytest.mark.parametrize("text", ["", " ", "a\0b", "a\x1b[31m", "x" * 129, "x" * 65536])
    def test_no_name(self, text: str) -> None:
        with pytest.raises(UsageError, match="for example Alice Example"):
            words.person(text)

    def test_made_passwords_are_good_ones_and_never_the_same(self) -> None:
        made = {words.made_password() for _ in range(100)}
        assert len(made) == 100
        assert all(len(words.password(each)) == 20 for each in made)


class TestName:
    @given(strategies.text(strategies.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1))
    def test_a_value_comes_back_as_it_was(self, value: str) -> None:
        name = dn.joined("cn", value, "dc=example,dc=org")
        assert dn.parts(name) == [("cn", value), ("dc", "example"), ("dc", "org")]
        assert dn.parent(name) == "dc=example,dc=org"

    def test_spellings_of_one_name_are_the_same(self) -> None:
        one = "CN=Mail\\2c  Users, OU=Groups,dc=example,dc=org"
        assert dn.same(one) == dn.same("cn=mail\\, users,ou=groups,DC=Example,DC=org")
        assert dn.same(one) != dn.same("cn=mail,ou=groups,dc=example,dc=org")

    def test_what_is_below(self) -> None:
        assert dn.is_below("ou=people,DC=example,dc=org", "dc=example,dc=org")
        assert dn.is_below("dc=example,dc=org", "dc=example,dc=org")
        assert not dn.is_below("ou=people,dc=example,dc=com", "dc=example,dc=org")
        assert not dn.is_below("dc=org", "dc=example,dc=org")

    def test_no_name(self) -> None:
        with pytest.raises(ValueError, match="cannot read the name 'nonsense'"):
            dn.parts("nonsense")


class TestFirstEntries:
    def test_an_empty_directory_gets_all_that_is_needed_from_above(self) -> None:
        made = setup.first_entries(settings(), "example.org", "")
        found = [",".join("=".join(part) for part in name) for name in setup.names(made)]
        suffix = "dc=example,dc=org"
        assert found == [suffix, f"ou=people,{suffix}", f"ou=groups,{suffix}", f"cn=mail,ou=groups,{suffix}"]

    def test_deeper_places_get_all_above_them(self) -> None:
        made = setup.first_entries(settings(LDAP_BASE="ou=a,o=b,cn=c,dc=example,dc=org"), "x", "")
        assert [name[0] for name in setup.names(made)][:4] == [("dc", "example"), ("cn", "c"), ("o", "b"), ("ou", "a")]

    def test_what_the_file_has_is_left_to_it(self) -> None:
        file = "dn: OU=People, dc=example,dc=org\n\ndn:: Y249bWFpbCxvdT1ncm91cHMsZGM9ZXhhbXBsZSxk\n Yz1vcmc=\nx: y\n"
        made = setup.first_entries(settings(), "example.org", file)
        assert [name[0] for name in setup.names(made)] == [("dc", "example"), ("ou", "groups")]

    def test_a_place_that_cannot_be_made_is_told(self) -> None:
        with pytest.raises(CheckError, match=r"begins with l=; accepted are cn=, dc=, o=, ou=, for example"):
            setup.first_entries(settings(LDAP_BASE="l=here,dc=example,dc=org"), "x", "")

    def test_the_file_is_optional_where_compose_puts_it_and_needed_elsewhere(self, tmp_path: Path) -> None:
        assert setup.given_members(tmp_path / "none", needed=False) == ""
        assert setup.given_members(Path("/dev/null"), needed=True) == ""
        with pytest.raises(CheckError, match=r"LDAP_MEMBERS=.*/none: there is no such file"):
            setup.given_members(tmp_path / "none", needed=True)
        with pytest.raises(CheckError, match="is there a file on the host where LDAP_MEMBERS_FILE says"):
            setup.given_members(tmp_path, needed=False)
        (tmp_path / "latin1").write_bytes(b"dn: \xfc")
        with pytest.raises(CheckError, match="it is not UTF-8 text"):
            setup.given_members(tmp_path / "latin1", needed=True)


class TestBackup:
    HEAD = "# Postern's directory dc=example,dc=org, now\n"
    ENTRIES = "dn: dc=example,dc=org\nx: y\n\ndn: ou=people,dc=example,dc=org\n"

    @pytest.mark.parametrize("text", [f"{HEAD}{ENTRIES}# complete: 2 entries\n", ENTRIES, f"version: 1\n\n{ENTRIES}"])
    def test_one_that_is_complete_and_any_ldif_are_taken(self, text: str) -> None:
        assert backup._look_at(text.splitlines(keepends=True), settings()) == 2

    @pytest.mark.parametrize(
        ("text", "why"),
        [
            ("", "no backup"),
            ("hello\n", "no backup"),
            (HEAD, "no backup"),
            (f"{HEAD}{ENTRIES}", "2 entries, and its last line is missing"),
            (f"{HEAD}{ENTRIES}# complete: 3 entries\n", "2 entries of 3"),
            (ENTRIES.replace("org", "com"), "of 'dc=example,dc=com', and this directory is dc=example,dc=org"),
            ("dn: dc=exam\n ple,dc=com\n", "of 'dc=example,dc=com'"),
            ("dn: ou=people,dc=example,dc=org\n", "of 'ou=people,dc=example,dc=org'"),
        ],
    )
    def test_others_are_refused(self, text: str, why: str) -> None:
        with pytest.raises(Refused, match=why):
            backup._look_at(text.splitlines(keepends=True), settings())


class TestAsk:
    def test_a_program_gives_the_password_as_a_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO(" secret ü$1 \r\nmore"))
        assert ask.password("alice@example.org") == " secret ü$1 "

    @pytest.mark.parametrize(
        ("given", "why"), [("", "standard input is empty"), ("\n", "is empty"), ("short", "5 char")]
    )
    def test_or_is_told_what_is_wrong(self, monkeypatch: pytest.MonkeyPatch, given: str, why: str) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO(given))
        with pytest.raises(UsageError, match=why):
            ask.password("alice@example.org")

    def test_without_a_terminal_nobody_can_say_yes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
        with pytest.raises(UsageError, match="say --yes"):
            ask.insist_on_yes("Remove alice?")


@pytest.mark.parametrize(
    ("quota_mb", "shown"),
    [(None, "the default quota"), (0, "no limit"), (2048, "a quota of 2 GB"), (5, "a quota of 5 MB")],
)
def test_a_quota_in_words(quota_mb: int | None, shown: str) -> None:
    assert people.shown_quota(quota_mb) == shown


def on_a_terminal(env: Mapping[str, str], arguments: list[str], typed: list[str], prompt: str) -> str:
    """What a command says to a person who types a line at each prompt."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [sys.executable, "-m", "entrypoint", *arguments], dict(env))
    said, answers = "", iter(typed)
    with suppress(OSError):  # Linux: when the other side is closed
        while piece := os.read(terminal, 4096):
            said += piece.decode()
            if re.search(rf"(?:{prompt})[^\n]*: ?\Z|(?:{prompt}) \Z", said):
                os.write(terminal, f"{next(answers)}\n".encode())
                said += "\n"
    os.waitpid(pid, 0)
    os.close(terminal)
    return said


class TestOnTheHost:
    """With a docker that notes what it is called with, and what it is given."""

    @pytest.fixture
    def env(self, tmp_path: Path) -> dict[str, str]:
        docker = tmp_path / "docker"
        docker.write_text(
            f'#!/bin/sh\nif [ "$1" = ps ]; then echo c0ffee; exit; fi\n'
            f'printf "%s\\n" "$@" >{tmp_path}/called; cat >{tmp_path}/given; echo done; exit 78\n'
        )
        docker.chmod(docker.stat().st_mode | stat.S_IXUSR)
        return {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def call(self, env: Mapping[str, str], *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "entrypoint", *arguments]
        return subprocess.run(command, env=env, input=stdin, capture_output=True, text=True, check=False, timeout=60)

    def test_a_password_goes_through_standard_input(self, env: dict[str, str], tmp_path: Path) -> None:
        done = self.call(
            env, "account", "add", "alice@example.org", "--name", "A B", "-p", "x", stdin="secret ü 1\nmore"
        )
        assert (done.returncode, done.stdout) == (78, "done\n"), done.stderr
        called = (tmp_path / "called").read_text().splitlines()
        words_passed = ["entrypoint", "account", "add", "alice@example.org", "--name", "A B", "-p", "x"]
        assert called == ["exec", "--interactive", "c0ffee", *words_passed]
        assert (tmp_path / "given").read_text() == "secret ü 1\n"

    @pytest.mark.parametrize(
        ("arguments", "why"),
        [
            (["account", "add", "a,b"], "cannot use 'a,b'"),
            (["account", "add", "a@example.org", "--quota", "x"], "as a quota"),
            (["account", "passwd", "a@example.org"], "standard input is empty"),
            (["account", "remove", "a@example.org"], "say --yes"),
            (["alias", "list", "a"], "cannot use 'a'"),
            (["directory", "nonsense"], "invalid choice"),
            (["account"], "VERB"),
        ],
    )
    def test_what_is_wrong_gets_no_further(
        self, env: dict[str, str], tmp_path: Path, arguments: list[str], why: str
    ) -> None:
        done = self.call(env, *arguments)
        assert (done.returncode, why in done.stderr) == (64, True), done.stderr
        assert not (tmp_path / "called").exists()

    @pytest.mark.parametrize(
        ("typed", "passed_on", "why"),
        [
            (["good pässwort", "good pässwort"], "good pässwort\n", "done"),
            (["good pässwort", "another one"], None, "the two are not the same"),
            (["short"], None, "it has 5 characters"),
        ],
    )
    def test_on_a_terminal_the_password_is_asked_for_twice_and_not_shown(
        self, env: dict[str, str], tmp_path: Path, typed: list[str], passed_on: str | None, why: str
    ) -> None:
        said = on_a_terminal(env, ["account", "add", "alice@example.org"], typed, "assword for|same again")
        assert why in said
        assert typed[0] not in said
        given = tmp_path / "given"
        assert (given.read_text() if given.exists() else None) == passed_on

    @pytest.mark.parametrize(("answer", "done"), [("y", True), ("n", False), ("", False)])
    def test_on_a_terminal_a_person_is_asked_before_an_account_goes(
        self, env: dict[str, str], tmp_path: Path, answer: str, done: bool
    ) -> None:
        said = on_a_terminal(env, ["account", "remove", "alice@example.org"], [answer], r"\[y/N\]")
        assert "/var/vmail/example.org/alice" in said
        assert (tmp_path / "called").exists() == done
        assert not done or (tmp_path / "called").read_text().splitlines()[-1] == "--yes"

    def test_a_backup_that_others_can_read_is_worth_a_warning(self, env: dict[str, str], tmp_path: Path) -> None:
        for mode, warned in ((0o644, True), (0o600, False)):
            file = tmp_path / f"{mode:o}.ldif"
            file.touch(mode=mode)
            file.chmod(mode)
            command: list[Any] = [sys.executable, "-m", "entrypoint", "directory", "backup"]
            with file.open("w") as out:
                done = subprocess.run(command, env=env, stdin=-3, stdout=out, stderr=-1, text=True, check=False)
            assert ("warning: others can read" in done.stderr) == warned
            assert file.read_text() == "done\n"
