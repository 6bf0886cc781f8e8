"""docs/reference says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from entrypoint.service import known_variables, names
from tools import reference

ROOT = Path(__file__).parents[2]
SETTINGS = (ROOT / "docs/reference/settings.md").read_text(encoding="utf-8")
CLI = (ROOT / "docs/reference/cli.md").read_text(encoding="utf-8")
COMPOSE = re.sub(r"(?m)^\s*#.*$", "", (ROOT / "docker-compose.yaml").read_text(encoding="utf-8"))

# `$ entrypoint … --help` and what it prints, in a block of their own.
SHOWN = dict(re.findall(r"```console\n\$ entrypoint (.*--help)\n((?:(?!```).*\n)+)```", CLI))

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
# Names that are no settings of ours: Compose's, placeholders, and what other systems have.
OTHERS = {"NO_COLOR", "COMPOSE_PROFILES", "COMPOSE_PROJECT_NAME", "NAME_FILE", "LDAP_HOST"}
OTHERS |= {"ENABLE_SPAMASSASSIN", "ENABLE_SRS", "ENABLE_FETCHMAIL", "IMAP_REPLICA_"}


class TestSettings:
    def test_is_what_the_code_says(self) -> None:
        assert reference.text() == SETTINGS, "run: make reference"

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
        assert {len(re.findall(r"(?<!\\)\|", row)) for row in rows} == {len(reference.COLUMNS) + 1}

    def test_shows_no_default_for_what_is_required(self) -> None:
        (line,) = [line for line in SETTINGS.splitlines() if line.startswith("| `LDAP_BASE` | where members are s")]
        assert "**required**" in line


class TestCommandLine:
    def test_shows_every_command(self) -> None:
        commands = re.findall(r"(?m)^    (\w+) ", reference.help_of(["--help"]))
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
