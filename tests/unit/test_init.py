"""init asks what matters, at a real terminal, and writes what `check` calls good; or it writes nothing."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entrypoint import cli, keys
from entrypoint.environment import read_env_file
from entrypoint.init import content, env_text, questions
from entrypoint.init.write import Files
from tests.unit.authority import Authority
from tests.unit.terminal import CTRL_C, CTRL_D, Terminal

INIT = [sys.executable, "-m", "entrypoint", "init"]
NAMES = [f"{name}.example.org" for name in ("mail", "imap", "smtp", "mailout", "smarthost")]
EMBEDDED = ("--yes", "--domain", "example.org", "--directory", "embedded", "--certificate", "self-made")
SECRETS = {"ldap-password", "dkim.pem"}
SELF_MADE = {"fullchain.pem", "privkey.pem", "ca.pem", "ca-key.pem"}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for all names, and its key."""
    authority = Authority(tmp_path_factory.mktemp("pki") / "ca")
    certificate, key = authority.certificate(",".join(f"DNS:{name}" for name in NAMES))
    key.chmod(0o640)
    return certificate, key


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(questions, "LETSENCRYPT", tmp_path / "letsencrypt")
    return tmp_path


def init(*arguments: str | Path) -> int:
    return cli.main(["init", *map(str, arguments)])


def errors(folder: Path) -> list[str]:
    """What `check` calls wrong. (It also warns that there are no folders for the state yet.)"""
    command = [sys.executable, "-m", "entrypoint", "check", "--env-file", ".env", "--json"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return [found["text"] for found in json.loads(done.stdout)["findings"] if found["severity"] == "error"]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def left_aside(folder: Path) -> list[Path]:
    return list(folder.rglob(".entrypoint-init-*"))


class TestWithoutQuestions:
    def test_writes_everything_for_the_embedded_directory(self, here: Path) -> None:
        assert init(*EMBEDDED, "--address", "192.0.2.7 2001:db8::7") == 0
        env = read_env_file(here / ".env")
        assert env["COMPOSE_PROFILES"] == "local,global,directory"
        assert env["LDAP_HOSTS"] == "ldaps://ldap.example.org:1636"
        assert env["LDAP_USER"] == "cn=postern,dc=example,dc=org"
        assert env["LDAP_BASE"] == "ou=people,dc=example,dc=org"
        assert env["LDAP_GROUP"] == "cn=mail,ou=groups,dc=example,dc=org"
        assert env["LDAP_CA"] == env["TLS_CA"] == "/run/secrets/ca"
        assert {path.name for path in (here / "secrets").iterdir()} == SECRETS | SELF_MADE
        assert errors(here) == []
        assert not left_aside(here)

    def test_secret_files_are_for_group_0_and_nobody_else(self, here: Path) -> None:
        before = os.umask(0o077)
        try:
            assert init(*EMBEDDED) == 0
        finally:
            os.umask(before)
        secrets = here / "secrets"
        assert mode(secrets) == 0o750
        wanted = {path.name: 0o600 if path.name == "ca-key.pem" else 0o640 for path in secrets.iterdir()}
        assert {path.name: mode(path) for path in secrets.iterdir()} == wanted
        assert mode(here / ".env") == mode(here / "dns.zone") == 0o644
        if os.geteuid() == 0:
            assert {path.stat().st_gid for path in (secrets, *secrets.iterdir())} == {0}

    def test_the_certificate_is_for_all_names_and_of_the_authority(self, here: Path) -> None:
        init(*EMBEDDED)
        secrets = here / "secrets"
        for name in (*NAMES, "ldap.example.org"):
            command = ["openssl", "verify", "-CAfile", "ca.pem", "-verify_hostname", name, "fullchain.pem"]
            assert subprocess.run(command, cwd=secrets, capture_output=True, check=False).returncode == 0, name
        assert keys.public_key(secrets / "privkey.pem") == keys.public_key_of_certificate(
            (secrets / "fullchain.pem").read_text()
        )

    def test_passwords_are_made_anew_each_time_and_shown_nowhere(
        self, here: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        found: set[str] = set()
        for folder in ("a", "b"):
            Path(folder).mkdir()
            assert init(*EMBEDDED, "--folder", folder) == 0
            texts = [(here / folder / "secrets" / n).read_text().strip() for n in SECRETS - {"dkim.pem"}]
            public = (here / folder / ".env").read_text() + (here / folder / "dns.zone").read_text()
            assert not any(text in public for text in texts)
            found |= set(texts)
        assert len(found) == 2
        assert all(len(text) == 48 for text in found)
        shown = "".join(capfd.readouterr())
        assert not any(text in shown for text in found)

    def test_the_dns_records_are_those_of_doctor_dns(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        init(*EMBEDDED, "--address", "192.0.2.7", "--dkim-selector", "s1")
        capsys.readouterr()
        cli.main(["doctor", "dns", "--env-file", ".env", "--address", "192.0.2.7", "--no-check"])
        assert (here / "dns.zone").read_text() == capsys.readouterr().out
        assert "s1._domainkey" in (here / "dns.zone").read_text()
        assert keys.dkim_record(here / "secrets/dkim.pem")[-60:] in (here / "dns.zone").read_text()

    def test_an_own_directory_a_certificate_and_a_relay(self, here: Path, pair: tuple[Path, Path]) -> None:
        Path("pw").write_text("p'a$s s\n")
        code = init(
            "--yes", "--domain", "Example.ORG", "--ldap-hosts", "ldap1.example.org ldap2.example.org",
            "--ldap-user", r"cn=mail\, system,dc=example,dc=org", "--ldap-password-file", "pw",
            "--fullchain", pair[0], "--key", pair[1], "--certificate", "files", "--relay", "smtp.example.net:465",
            "--relay-user", "us", "--relay-password-file", "pw", "--dkim-selector", "none",
            "--time-zone", "Europe/Rome",
        )  # fmt: skip
        assert code == 0
        env = read_env_file(here / ".env")
        assert env["DOMAIN"] == "example.org"
        assert env["TZ"] == "Europe/Rome"
        assert env["LDAP_USER"] == r"cn=mail\, system,dc=example,dc=org"
        assert env["LDAP_PASSWORD_FILE"] == "./pw"
        assert env["TLS_FULLCHAIN_FILE"] == str(pair[0])
        assert (here / "secrets/relay-logins").read_text() == "smtp.example.net us:p'a$s s\n"
        assert not {"EXIM_DKIM_SELECTOR", "COMPOSE_PROFILES", "TLS_CA", "LDAP_CA"} & env.keys()
        assert {path.name for path in (here / "secrets").iterdir()} == SECRETS - {"ldap-password", "dkim.pem"} | {
            "relay-logins"
        }
        assert errors(here) == []

    def test_with_an_own_authority_the_world_is_still_believed(self, here: Path) -> None:
        init(*EMBEDDED, "--relay", "smtp.example.net")
        assert read_env_file(here / ".env")["TLS_CA_FILE"] == "./secrets/authorities.pem"
        assert (here / "secrets/authorities.pem").read_text().startswith((here / "secrets/ca.pem").read_text())

    def test_a_certificate_of_lets_encrypt_is_taken_by_itself(self, here: Path, pair: tuple[Path, Path]) -> None:
        live = here / "letsencrypt" / "mail.example.org"
        live.mkdir(parents=True)
        (live / "fullchain.pem").symlink_to(pair[0])
        (live / "privkey.pem").symlink_to(pair[1])
        Path("pw").write_text("secret")
        own = (
            "--ldap-hosts",
            "ldap.example.org",
            "--ldap-user",
            "cn=m,dc=example,dc=org",
            "--ldap-password-file",
            "pw",
        )
        assert init("--yes", "--domain", "example.org", *own) == 0
        assert read_env_file(here / ".env")["TLS_PRIVKEY_FILE"] == str(live / "privkey.pem")

    def test_paths_lead_to_the_files_from_another_folder_too(self, here: Path, pair: tuple[Path, Path]) -> None:
        Path("pw").write_text("secret")
        Path("to").mkdir()
        own = (
            "--ldap-hosts",
            "ldap.example.org",
            "--ldap-user",
            "cn=m,dc=example,dc=org",
            "--ldap-password-file",
            "pw",
        )
        files = ("--certificate", "files", "--fullchain", pair[0], "--key", pair[1])
        assert init("--yes", "--domain", "example.org", *own, *files, "--folder", "to") == 0
        assert read_env_file(here / "to/.env")["LDAP_PASSWORD_FILE"] == str(here / "pw")
        assert errors(here / "to") == []


class TestRefusals:
    def test_all_that_is_missing_is_named_at_once(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert init("--yes") == 64
        said = capsys.readouterr().err
        assert said == (
            "entrypoint: cannot go on without questions: --domain and --ldap-hosts and --ldap-user and "
            "--ldap-password-file and --certificate are missing; give them, or call it on a terminal without --yes\n"
        )
        assert not list(here.iterdir())

    @pytest.mark.parametrize(
        ("flag", "value", "told"),
        [
            ("--domain", "exam ple", "'exam ple' is no host name: it accepts a full domain, for example example.org"),
            ("--domain", "example", "'example' has no dot"),
            ("--directory", "both", "'both' is none of them: it accepts one of own, embedded"),
            ("--certificate", "none", "'none' is none of them: it accepts one of files, self-made"),
            ("--relay", "a b", "'a b' is no"),
            ("--relay-user", "a:b", "'a:b' has a colon"),
            ("--dkim-selector", "s 1", "'s 1' is no DKIM selector"),
            ("--address", "mail.example.org", "has 'mail.example.org', which is no IP address"),
            ("--time-zone", "Mars/Base", "'Mars/Base' is no known time zone"),
            ("--relay-password-file", "gone", "'gone' cannot be read (no such file or directory)"),
        ],
    )
    def test_a_wrong_answer_is_refused_with_the_settings_words(
        self, here: Path, capsys: pytest.CaptureFixture[str], flag: str, value: str, told: str
    ) -> None:
        assert init(*EMBEDDED, "--relay", "smtp.example.net", "--relay-user", "u", flag, value) == 64
        said = capsys.readouterr().err
        assert said.startswith(f"entrypoint: cannot use {flag}: ")
        assert told in said
        assert not list(here.iterdir())

    def test_a_certificate_for_other_names_is_refused(
        self, here: Path, pair: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
    ) -> None:
        files = ("--fullchain", pair[0], "--key", pair[1], "--certificate", "files")
        assert init("--yes", "--domain", "example.org", "--directory", "embedded", *files) == 78
        said = capsys.readouterr().err
        assert said.startswith(f"entrypoint: cannot use TLS_FULLCHAIN_FILE={pair[0]}: it is not for ldap.example.org")
        assert not list(here.iterdir())

    @pytest.mark.parametrize("name", [".env", "dns.zone", "secrets/dkim.pem"])
    def test_nothing_that_exists_is_overwritten(
        self, here: Path, capsys: pytest.CaptureFixture[str], name: str
    ) -> None:
        (here / "secrets").mkdir()
        (here / name).write_text("mine")
        assert init(*EMBEDDED) == 78
        shown, said = capsys.readouterr()
        assert said.startswith(f"entrypoint: cannot write {name}: it exists, and nothing was written; --force")
        assert re.search(rf"(?m)^{re.escape(name)} +6[0-9]+ +exists$", shown)
        assert "\nDOMAIN=example.org\n" in shown
        assert [path for path in here.rglob("*") if path.is_file()] == [here / name]
        assert (here / name).read_text() == "mine"

    def test_force_replaces_and_keeps_the_old_one_beside(self, here: Path) -> None:
        (here / ".env").write_text("mine")
        assert init(*EMBEDDED, "--force") == 0
        assert (here / ".env~").read_text() == "mine"
        assert read_env_file(here / ".env")["DOMAIN"] == "example.org"

    def test_a_folder_that_is_not_there_is_named(self, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert init(*EMBEDDED, "--folder", "gone") == 78
        assert "cannot write into gone: there is no such folder" in capsys.readouterr().err

    def test_a_failure_in_the_middle_leaves_nothing(self, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(content, "_zone", lambda *_: 1 / 0)
        assert init(*EMBEDDED) == 70
        assert not list(here.iterdir())

    def test_ctrl_c_while_files_are_moved_waits_until_all_are_there(
        self, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        make_folder = Files._make_folder

        def interrupted(files: Files, folder: Path) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            make_folder(files, folder)

        monkeypatch.setattr(Files, "_make_folder", interrupted)
        assert init(*EMBEDDED) == 130
        assert {path.name for path in here.iterdir()} == {".env", "dns.zone", "secrets"}
        assert {path.name for path in (here / "secrets").iterdir()} == SECRETS | SELF_MADE
        assert "stopped; everything was written" in capsys.readouterr().err


@pytest.fixture
def person(here: Path) -> Iterator[Callable[..., Terminal]]:
    """Starts init at a terminal."""
    running: list[Terminal] = []

    def start(*arguments: str, env: Mapping[str, str] | None = None) -> Terminal:
        running.append(Terminal([*INIT, *arguments], here, {**os.environ, "TERM": "xterm", **(env or {})}))
        return running[-1]

    yield start
    for terminal in running:
        terminal.__exit__()


class TestAtATerminal:
    def test_a_person_is_asked_again_until_answers_are_good(
        self, here: Path, person: Callable[..., Terminal], pair: tuple[Path, Path]
    ) -> None:
        init = person(env={"NO_COLOR": "1"})
        init.answer("Domain of the organisation (such as example.org): ", "exam ple")
        init.until("'exam ple' is no host name: it accepts a full domain, for example example.org")
        init.answer("Domain of the organisation", "")
        init.until("there has to be an answer")
        init.answer("Domain of the organisation", "example.org")
        init.answer("embedded (one that comes with it) [own]: ", "")
        init.answer("Its servers", "ldap1.example.org")
        init.answer("DN of an account", "mail")
        init.until("'mail' is no distinguished name")
        init.answer("DN of an account", "cn=mail,dc=example,dc=org")
        init.answer("File with its password (none: type it) [none]: ", "")
        init.answer("Its password: ", "p4ss word")
        init.answer("Where members are [ou=people,dc=example,dc=org]: ", "")
        init.answer("Group whose members may use mail [cn=mail,ou=groups,dc=example,dc=org]: ", "")
        init.answer("self-made (for trying out): ", "files")
        init.answer("its chain (such as", str(here / "gone.pem"))
        init.until("cannot be read (no such file or directory)")
        init.answer("its chain (such as", str(pair[0]))
        init.answer("File with its key", str(pair[0]))
        init.until(f"cannot use TLS_PRIVKEY_FILE={pair[0]}: it has no private key in PEM")
        init.answer("self-made (for trying out): ", "files")
        init.answer("its chain (such as", str(pair[0]))
        init.answer("File with its key", str(pair[1]))
        init.answer("Relay for all mail to the world, as host:port [none]: ", "")
        init.answer("Public address of this machine", "192.0.2.7")
        init.until("Summary")
        init.answer(f"Write these files into {here}? [yes] ", "")
        init.until("2 warnings (for clamav, exim-ext-mailout")
        init.until("Next\r\n1. ")
        assert init.end() == 0
        assert "p4ss" not in init.shown
        assert "\x1b" not in init.shown
        assert (here / "secrets/ldap-password").read_text() == "p4ss word\n"
        assert errors(here) == []

    @pytest.mark.parametrize(
        "prompt", ["Domain of the organisation", "Its password: ", "self-made (for trying out): ", "Write these files"]
    )
    @pytest.mark.parametrize("key", [CTRL_C, CTRL_D])
    def test_whoever_stops_finds_nothing_written(
        self, here: Path, person: Callable[..., Terminal], prompt: str, key: str
    ) -> None:
        init = person("--ldap-hosts", "ldap.example.org", "--ldap-user", "cn=m,dc=example,dc=org")
        answers = [
            ("Domain of the organisation", "example.org"),
            ("embedded (one", ""),
            ("(none: type it)", ""),
            ("Its password: ", "secret"),
            ("Where members are", ""),
            ("Group whose", ""),
            ("self-made (for trying out): ", "self-made"),
            ("Relay for", ""),
            ("Public address", ""),
            ("Write these files", ""),
        ]
        for asked, text in answers:
            if asked == prompt:
                break
            init.answer(asked, text)
        init.until(prompt)
        assert init.stop(key) == 130
        assert "stopped; nothing was written" in init.shown
        assert not list(here.iterdir())

    def test_whoever_does_not_agree_finds_nothing_written(self, here: Path, person: Callable[..., Terminal]) -> None:
        init = person(*EMBEDDED[1:], "--relay", "none", "--address", "none")
        init.answer("Write these files", "no")
        assert init.end() == 1
        assert "nothing was written" in init.shown
        assert not list(here.iterdir())

    def test_what_the_command_line_says_is_not_asked_and_colours_are_shown(
        self, here: Path, person: Callable[..., Terminal]
    ) -> None:
        init = person(*EMBEDDED[1:], "--relay", "none", "--address", "none")
        init.answer("Write these files", "yes")
        assert init.end() == 0
        assert "Domain of the organisation" not in init.shown
        assert "\x1b[1mSummary\x1b[0m" in init.shown
        assert read_env_file(here / ".env")["DOMAIN"] == "example.org"


class TestAssignment:
    @given(st.text(st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="\u2028\u2029"), min_size=1))
    def test_is_read_back_as_the_same_value(self, tmp_path_factory: pytest.TempPathFactory, value: str) -> None:
        file = tmp_path_factory.mktemp("env") / "env"
        file.write_text(env_text.assignment("LDAP_USER", value) + "\nTZ=UTC\n", encoding="utf-8")
        assert read_env_file(file) == {"LDAP_USER": value, "TZ": "UTC"}

    def test_is_without_quotes_where_none_are_needed(self) -> None:
        assert (
            env_text.assignment("LDAP_BASE", "ou=people,dc=example,dc=org") == "LDAP_BASE=ou=people,dc=example,dc=org"
        )
