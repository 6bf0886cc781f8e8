"""docs/reference, examples/full.env and `entrypoint settings` say what the code does."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from entrypoint.cli import main
from entrypoint.environment import Case, examine, in_use, read_env_file
from entrypoint.environment.findings import ERROR
from entrypoint.reference import env_file, markdown
from entrypoint.reference.catalogue import COMPOSE_OWN, sections
from entrypoint.service import find, known_variables, names
from entrypoint.settings import concerns, read
from entrypoint.settings.schema import Like, Var, variables
from tools import reference

ROOT = Path(__file__).parents[2]
SETTINGS = (ROOT / "docs/reference/settings.md").read_text(encoding="utf-8")
FULL = (ROOT / "examples/full.env").read_text(encoding="utf-8")
CLI = (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8")
COMPOSE = re.sub(r"(?m)^\s*#.*$", "", (ROOT / "docker-compose.yaml").read_text(encoding="utf-8"))

# `$ entrypoint … --help` and what it prints, in a block of their own.
SHOWN = dict(re.findall(r"```console\n\$ entrypoint (.*--help)\n((?:(?!```).*\n)+)```", CLI))

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
# Names that are no settings of ours: Compose's, placeholders, and what other systems have.
OTHERS = {"NO_COLOR", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME", "NAME_FILE", "LDAP_HOST"}
OTHERS |= {"ENABLE_SPAMASSASSIN", "ENABLE_SRS", "IMAP_REPLICA_"}
OTHERS |= {"PERMIT_DOCKER", "DMS_VMAIL_UID", "ENABLE_FETCHMAIL", "ENABLE_GETMAIL"}


EVERY: dict[str, Var] = {v.name: v for v in [*COMPOSE_OWN, *reversed(known_variables())]}

# `NAME=value` of full.env, without the # in front of it.
LINES = {line.partition("=")[0]: line for line in re.findall(r"(?m)^#(\w+=.*)$", FULL)}

# What has to be set before a single other line means anything.
BEGINNING = """\
DOMAIN=example.org
LDAP_HOSTS=ldap1.example.org
LDAP_USER=cn=mail,dc=example,dc=org
LDAP_PASSWORD=x
LDAP_BASE=ou=people,dc=example,dc=org
LDAP_GROUP=cn=mail,ou=groups,dc=example,dc=org
REDIS_PASSWORD=x
RSPAM_password=x
RSPAM_enable_password=x
"""


class TestSettings:
    def test_is_what_the_code_says(self) -> None:
        assert markdown.text(sections()) == SETTINGS, "run: make reference"

    def test_would_notice_another_text(self) -> None:
        assert markdown.text(sections("imap")) != SETTINGS

    def test_tells_whoever_reads_it_what_does_nothing_yet(self) -> None:
        told = set(re.findall(r"(?m)^\| `(\w+)` .*\*\*does nothing yet\*\*", SETTINGS))
        assert told == {v.name for v in known_variables() if not v.kind.used} > {"HAVE_MM3"}

    def test_has_every_variable_and_every_old_name(self) -> None:
        told = set(re.findall(r"`(\w+)`", SETTINGS))
        assert {spelling for v in known_variables() for spelling in (v.name, *v.old)} <= told

    def test_has_every_variable_of_the_compose_file(self) -> None:
        told = set(re.findall(r"`(\w+)`", SETTINGS))
        used = set(re.findall(r"\$\{(\w+)", COMPOSE))
        old = {f"{name}_FILE" for v in known_variables() if v.secret for name in v.old}
        assert used - old <= told

    def test_names_who_reads_each_of_them(self) -> None:
        sections = SETTINGS.split("\n## ")[1:]
        assert all("\nRead by " in section for section in sections)
        readers = set(re.findall(r"`([\w-]+)`", "".join(re.findall(r"(?m)^Read by .*$", SETTINGS))))
        assert set(names()) <= readers

    def test_has_tables_in_which_every_row_has_every_column(self) -> None:
        rows = [line for line in SETTINGS.splitlines() if line.startswith("|")]
        assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {len(markdown.COLUMNS) + 1}

    def test_shows_no_default_for_what_is_required(self) -> None:
        (line,) = [line for line in SETTINGS.splitlines() if line.startswith("| `LDAP_BASE` | where members are s")]
        assert "**required**" in line


class TestFullEnv:
    def test_is_what_the_code_says(self) -> None:
        assert env_file.text(sections()) == FULL, "run: make reference"

    def test_has_every_variable_once_and_secrets_as_files(self) -> None:
        expected = [f"{v.name}_FILE" if v.secret else v.name for v in EVERY.values()]
        assert sorted(re.findall(r"(?m)^#(\w+)=", FULL)) == sorted(expected)

    def test_sets_nothing_as_it_is(self, tmp_path: Path) -> None:
        assert read_env_file(ROOT / "examples/full.env") == {}

    def test_tells_what_each_variable_means(self) -> None:
        words = " ".join(FULL.replace("\n#", " ").split())
        missing = [v.name for v in EVERY.values() if " ".join(v.meaning.split()) not in words]
        assert missing == []

    @pytest.mark.parametrize(
        "name", [v.name for v in EVERY.values() if isinstance(v.default, str | Like) and v.default]
    )
    def test_a_default_without_its_sign_changes_nothing(self, name: str, tmp_path: Path) -> None:
        if EVERY[name] in COMPOSE_OWN or EVERY[name].secret:
            return
        with_line = given(tmp_path, f"{BEGINNING}{LINES[name]}\n")
        assert name in with_line
        declared: type[Any]
        for declared in (*(find(each).settings for each in names()), concerns.Compose):
            if name in {v.name for v in variables(declared).values()}:
                known = known_variables()
                without = {k: v for k, v in with_line.items() if k != name}
                found = read(with_line, declared, known=known).settings
                # Compose itself fills in $DOMAIN where it has a folder of the host by default.
                expected = repr(read(without, declared, known=known).settings).replace("$DOMAIN", "example.org")
                assert repr(found).replace("$DOMAIN", "example.org") == expected

    def test_all_of_it_is_accepted_without_the_signs(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        (tmp_path / "secrets").mkdir()
        for v in EVERY.values():
            if v.secret:
                (tmp_path / v.file_sample.partition("=")[2]).write_text(f"{v.example or 's3cr3t'}\n")
        env = given(tmp_path, re.sub(r"(?m)^#(?=\w+=)", "", FULL))
        assert len(env) == len(EVERY)
        findings = examine(Case(env, tuple(in_use([find(name) for name in names()], env))))
        assert [found.text for found in findings if found.severity == ERROR] == []
        assert {found.text.partition(":")[0] for found in findings} == {
            name for name, v in EVERY.items() if not v.kind.used and name != "HAVE_MM3"
        }


def given(folder: Path, text: str) -> dict[str, str]:
    """The variables of an .env with this text."""
    (folder / ".env").write_text(text, encoding="utf-8")
    return read_env_file(folder / ".env")


class TestCommand:
    def test_shows_all_variables_by_default(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["settings"]) == 0
        shown = re.findall(r"(?m)^  (\w+) ", capsys.readouterr().out)
        assert set(shown) == set(EVERY)

    @pytest.mark.parametrize("name", ["TZ", "TIMEZONE", "timezone"])
    def test_explains_one_variable_under_any_of_its_names(self, name: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["settings", name]) == 0
        shown = capsys.readouterr().out
        assert shown.startswith("TZ: time zone of log lines and dates\n")
        for fact in ("accepts   a time zone", "default   UTC", "old name  TIMEZONE", "since     0.1.0", "imap, ldap"):
            assert fact in shown

    def test_explains_a_secret_as_a_file(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["settings", "LDAP_PASSWORD_FILE"]) == 0
        assert "secret    yes, best in a file: LDAP_PASSWORD_FILE=./secrets/ldap-password" in capsys.readouterr().out

    def test_tells_a_variable_of_two_concerns_for_each_of_its_readers(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["settings", "LDAP_HOSTS"]) == 0
        shown = capsys.readouterr().out
        assert [line.split() for line in shown.splitlines() if "read by" in line][1] == ["read", "by", "mail-dnsmasq"]

    def test_finds_variables_by_a_part_of_their_names(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["settings", "postgrey"]) == 0
        shown = set(re.findall(r"(?m)^  (\w+) ", capsys.readouterr().out))
        assert shown == {"POSTGREY_TEXT", "ENABLE_POSTGREY", "POSTGREY_DELAY", "POSTGREY_MAX_AGE"}

    def test_shows_only_what_a_service_reads(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["settings", "--service", "mail-redis"]) == 0
        shown = set(re.findall(r"(?m)^  (\w+) ", capsys.readouterr().out))
        assert shown == {v.name for v in variables(find("mail-redis").settings).values()}

    @pytest.mark.parametrize(
        ("arguments", "why"),
        [
            (["LDAP_HSTS"], "cannot find the variable 'LDAP_HSTS': LDAP_HOSTS?"),
            (["xyzzy"], "cannot find the variable 'xyzzy': `entrypoint settings` lists all"),
            (["--service", "imapd"], "cannot find the service 'imapd': known are "),
            (["--service", "mail-redis", "LDAP_HOSTS"], "cannot find the variable 'LDAP_HOSTS'"),
        ],
    )
    def test_says_what_it_cannot_find(self, arguments: list[str], why: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["settings", *arguments]) == 64
        assert why in capsys.readouterr().err

    def test_may_be_read_in_part(self) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        command = [sys.executable, "-m", "entrypoint", "settings"]
        ended = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, check=False, timeout=60)
        os.close(writer)
        assert (ended.returncode, ended.stderr) == (0, b"")

    @pytest.mark.parametrize(("kind", "text"), [("markdown", SETTINGS), ("env", FULL)])
    def test_prints_the_files(self, kind: str, text: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["settings", "--format", kind]) == 0
        assert capsys.readouterr().out == text


class TestCommandLine:
    def test_shows_every_command(self) -> None:
        commands = re.findall(r"(?m)^    (\w+)\s", reference.help_of(["--help"]))
        assert {"--help", *commands} == {shown.split()[0] for shown in SHOWN}

    @pytest.mark.parametrize("shown", sorted(SHOWN))
    def test_shows_what_it_prints(self, shown: str) -> None:
        assert SHOWN[shown] == reference.help_of(shown.split())

    def test_would_notice_another_text(self) -> None:
        assert reference.help_of(["run", "--help"]) != SHOWN["check --help"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
class TestPage:
    def test_links_lead_to_files_and_headings_that_are_there(self, page: Path) -> None:
        for target in re.findall(r"\]\((?!https?:)([^)#]*)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert not target or (page.parent / target).exists(), target
        for target, heading in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]*)\)", page.read_text(encoding="utf-8")):
            assert heading in headings(page.parent / target if target else page)

    def test_speaks_only_of_variables_that_exist(self, page: Path) -> None:
        known = {spelling for v in known_variables() for spelling in (*v.spellings(), f"{v.name}_FILE")}
        text = page.read_text(encoding="utf-8")
        named = set(re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)(?:=[^`]*)?`", text))
        assigned = set(re.findall(r"(?m)^([A-Za-z][A-Z0-9a-z]*_[A-Z0-9a-z_]+)=", text))
        assert (named | assigned) - known - OTHERS <= set()


def headings(page: Path) -> set[str]:
    """The anchors that a repository page makes of the headings."""
    found = re.findall(r"(?m)^#+ (.*)$", page.read_text(encoding="utf-8"))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in found}
