"""What a change does, shown with stand-ins for secrets."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from entrypoint import boot
from entrypoint.copies import with_copies
from entrypoint.difference.compare import both
from entrypoint.difference.masks import HIDDEN, Mask
from entrypoint.difference.show import as_text, differences
from entrypoint.difference.sides import RECORD, Rendering, in_place, rendered, write_folder
from entrypoint.errors import Refused, SettingsError, Unavailable
from entrypoint.plan import PLAN_FILE, SECRETS_DIR, keep_environment, write_plan
from entrypoint.quoting import (
    base64,
    dovecot,
    exim,
    exim_plain,
    exim_url,
    ldap_dn,
    ldap_filter,
    ldif,
    redis,
    slapd,
    ucl,
)
from entrypoint.render import write_tree
from entrypoint.service import find, known_variables
from entrypoint.settings import read

ROOT = Path(__file__).parents[2]
DOVECOT = Path("/run/config/dovecot.conf")

ENV = {
    "DOMAIN": "example.org",
    "LDAP_HOSTS": "ldap1.example.org",
    "LDAP_USER": "cn=mail,dc=example,dc=org",
    "LDAP_PASSWORD": "Vie1Sahpha",
    "LDAP_BASE": "ou=people,dc=example,dc=org",
    "LDAP_GROUP": "cn=mail,ou=groups,dc=example,dc=org",
    "REDIS_PASSWORD": "aeJ8ohGhai",
    "RSPAM_password": "Oophu6aeSh",
    "RSPAM_enable_password": "eeP7Xaemee",
    "RELAY_LOGINS": "smtp.example.net postern:aiB0ooshie",
    "EXIM_EXT_MSACCOUNT": "postern@outlook.test",
    "EXIM_EXT_PW": "Ohthoi5zoo",
}
SECRETS = ("LDAP_PASSWORD", "REDIS_PASSWORD", "RSPAM_password", "RSPAM_enable_password", "RELAY_LOGINS", "EXIM_EXT_PW")
ALL = [find(name) for name in ("exim-ext-mailout", "exim-int-mailout", "imap", "ldap", "mail-redis", "rspam")]


def diff(before: dict[str, str], after: dict[str, str], *services: str) -> str:
    """What is printed for two environments."""
    mask, found = Mask(), [find(name) for name in services] or ALL
    sides = (Rendering(name, env, found).side(mask) for name, env in (("old.env", before), (".env", after)))
    return as_text([line for each in differences(*sides).values() for line in each], coloured=False)


def entrypoint(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    env = {"PATH": "/nowhere", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "entrypoint", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the environment as `.env`."""
    write_env(tmp_path / ".env", ENV)
    return tmp_path


def write_env(file: Path, env: dict[str, str]) -> Path:
    file.write_text("".join(f"{name}='{text}'\n" for name, text in env.items()), encoding="utf-8")
    return file


class TestCommand:
    def test_a_changed_variable_is_shown_where_it_matters_with_1(self, folder: Path) -> None:
        new = write_env(folder / "new.env", ENV | {"IMAP_MAIL_DEBUG": "yes"})
        done = entrypoint("render", "imap", "--env-file", new, "--diff", ".env", cwd=folder)
        assert done.returncode == 1, done.stderr
        assert done.stdout.startswith(f"--- settings (.env)\n+++ settings ({new})\n@@ ")
        assert "\n-IMAP_MAIL_DEBUG=no\n+IMAP_MAIL_DEBUG=yes\n" in done.stdout
        assert f"--- imap {DOVECOT} (.env)\n+++ imap {DOVECOT} ({new})\n" in done.stdout
        assert "\n+mail_debug = yes\n" in done.stdout
        assert "\x1b" not in done.stdout

    def test_without_a_difference_nothing_is_shown_with_0(self, folder: Path) -> None:
        done = entrypoint("render", "--diff", write_env(folder / "old.env", ENV), cwd=folder)
        assert (done.returncode, done.stdout) == (0, "")
        assert done.stderr.startswith("no file differs: clamav, exim-ext-mailout, exim-external, ")

    def test_it_writes_nothing(self, folder: Path) -> None:
        old = write_env(folder / "old.env", ENV | {"TZ": "Europe/Berlin"})
        before = sorted(folder.rglob("*"))
        assert entrypoint("render", "--diff", old, cwd=folder).returncode == 1
        assert sorted(folder.rglob("*")) == before

    def test_a_service_that_only_one_side_starts_is_named(self, folder: Path) -> None:
        old = write_env(folder / "old.env", ENV | {"COMPOSE_PROFILES": "global"})
        done = entrypoint("render", "--diff", old, cwd=folder)
        assert "Only in .env: the service imap\n" in done.stdout
        assert "\n-COMPOSE_PROFILES=global\n" in done.stdout

    def test_a_file_that_only_one_side_has_is_named(self, folder: Path) -> None:
        assert entrypoint("render", "imap", "--out", "there", cwd=folder).returncode == 78  # no .env without --diff
        assert entrypoint("render", "imap", "--env-file", ".env", "--out", "there", cwd=folder).returncode == 0
        (folder / "there/run/config/sieve/spam.sieve").rename(folder / "there/run/config/sieve/old.sieve")
        done = entrypoint("render", "--diff", "there", cwd=folder)
        assert done.stdout == (
            "Only in there: imap /run/config/sieve/old.sieve\nOnly in .env: imap /run/config/sieve/spam.sieve\n"
        )

    def test_mistakes_are_told_with_the_side_that_has_them(self, folder: Path) -> None:
        old = write_env(folder / "old.env", ENV | {"WAIT_S": "long"})
        done = entrypoint("render", "--diff", old, cwd=folder)
        assert done.returncode == 78
        assert f"\n  {old}: WAIT_S got 'long', which is no whole number: " in done.stderr
        assert done.stderr.count("WAIT_S") == 1

    def test_another_side_that_is_not_there_is_told(self, folder: Path) -> None:
        done = entrypoint("render", "--diff", "old.env", cwd=folder)
        assert done.returncode == 78
        assert done.stderr == (
            "entrypoint: cannot compare with old.env: no such file or folder; "
            "the running container is called container\n"
        )

    def test_without_docker_a_container_cannot_be_asked(self, folder: Path) -> None:
        done = entrypoint("render", "imap", "--diff", "container", cwd=folder)
        assert done.returncode == 69
        assert "docker is not installed here" in done.stderr

    def test_to_nowhere_is_a_wrong_command_line(self, folder: Path) -> None:
        assert entrypoint("render", "imap", cwd=folder).returncode == 64

    def test_all_services_get_a_folder_each(self, folder: Path) -> None:
        assert entrypoint("render", "--env-file", ".env", "--out", "all", cwd=folder).returncode == 0
        assert (folder / "all/imap" / DOVECOT.relative_to("/")).exists()
        assert (folder / "all/mail-redis/run/config/redis.conf").exists()
        assert entrypoint("render", "--diff", "all", cwd=folder).returncode == 0
        write_env(folder / ".env", ENV | {"REDIS_MAXMEMORY": "300M"})
        done = entrypoint("render", "--diff", "all", cwd=folder)
        assert done.returncode == 1
        assert done.stdout.startswith("--- mail-redis /run/config/redis.conf (all)\n")


class TestRendering:
    def test_secrets_that_cannot_be_read_are_told_and_not_needed(self, tmp_path: Path) -> None:
        env = {name: text for name, text in ENV.items() if name != "LDAP_PASSWORD"}
        env["LDAP_PASSWORD_FILE"] = str(tmp_path / "none")
        side = Rendering(".env", env, [find("imap")]).side(Mask())
        (note,) = side.notes
        assert note == (
            f"LDAP_PASSWORD_FILE={tmp_path}/none, which cannot be read: No such file or directory: "
            "whether this secret differs is not known"
        )

    def test_all_mistakes_of_all_services_are_told_at_once(self) -> None:
        with pytest.raises(SettingsError) as refused:
            Rendering("x.env", ENV | {"REDIS_MAXMEMORY": "x", "SMTP_PORT": "x", "LDAP_BASE": "x"}, ALL)
        assert [mistake.split()[1] for mistake in refused.value.mistakes] == [
            "LDAP_BASE",
            "REDIS_MAXMEMORY",
            "SMTP_PORT",
        ]

    def test_what_only_compose_uses_is_shown_too(self) -> None:
        assert "\n-IMAP_PORT=143\n+IMAP_PORT=127.0.0.1:143" in diff(ENV, ENV | {"IMAP_PORT": "127.0.0.1:143"}, "imap")

    def test_what_only_the_plan_has_is_shown_too(self) -> None:
        found = diff(ENV, ENV | {"DEATHS_LIMIT": "7"}, "imap")
        assert f"+++ imap {PLAN_FILE} (.env)" in found
        assert '\n-  "deaths_limit": 5,\n+  "deaths_limit": 7,\n' in found

    def test_keys_are_looked_for_where_they_are_on_the_host(self, tmp_path: Path) -> None:
        env = ENV | {"EXIM_DKIM_SELECTOR": "s1", "DKIM_PRIVKEY_FILE": str(tmp_path)}
        (tmp_path / "example.org.pem").touch()
        assert "\n+example.org: /run/tls/dkim/example.org.pem" in diff(ENV, env, "exim-ext-mailout")
        missing = Rendering(".env", env | {"DKIM_PRIVKEY_FILE": "/nowhere/key"}, [find("exim-ext-mailout")]).side(
            Mask()
        )
        assert missing.notes[0].startswith("cannot see DKIM_PRIVKEY_FILE=/nowhere/key: No such file or directory")


# What makes a text of a text; others take patterns and lists.
QUOTING = (base64, dovecot, exim, exim_plain, exim_url, ldap_dn, ldap_filter, ldif, redis, slapd, ucl)


def forms(secret: str) -> Iterator[str]:
    """All ways in which a secret could be written, whole."""
    yield from (secret, repr(secret)[1:-1], quote(secret))
    for function in QUOTING:
        try:
            yield str(function(secret)).strip('"')
        except ValueError:  # a syntax that has no form for it
            continue


# Long enough to be nowhere by chance, with everything that some syntax has another form for.
HOSTILE = st.text(st.sampled_from("aB3 \"'\\$%{}[]()<>:;,#&|*+=/@!^~é€"), min_size=9, max_size=20).map("Zq9".__add__)


class TestSecrets:
    def test_that_one_has_changed_is_shown(self) -> None:
        for name in SECRETS:
            found = diff(ENV, ENV | {name: ENV[name] + "x"})
            assert re.search(rf"\n-{name}=.*secret-[0-9a-f]{{12}}\n\+{name}=.*secret-[0-9a-f]{{12}}\n", found), name
            assert found.count("\n+++ ") >= 1

    def test_that_none_has_changed_is_shown(self) -> None:
        assert diff(ENV, dict(ENV)) == ""

    def test_equal_ones_have_one_stand_in_and_only_in_one_run(self) -> None:
        one, other = Mask(), Mask()
        assert one.text("x") == one.text("x") != one.text("y")
        assert one.text("x") != other.text("x")

    @given(old=st.tuples(*[HOSTILE] * 6), new=st.tuples(*[HOSTILE] * 6))
    @settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
    def test_none_is_shown_in_any_form(self, old: tuple[str, ...], new: tuple[str, ...]) -> None:
        assume(not set(old) & set(new))
        assume(all(text == text.strip() and text.count(" ") == 0 for text in (old[4], new[4])))
        sides = [
            ENV | {name: f"smtp.example.net u:{text}" if name == "RELAY_LOGINS" else text
                   for name, text in zip(SECRETS, texts, strict=True)}
            for texts in (old, new)
        ]  # fmt: skip
        found = diff(sides[0], sides[1])
        assert found.count("secret-") > 2 * len(SECRETS)
        for secret in (*old, *new):
            for form in forms(secret):
                assert form not in found


class TestFolder:
    @pytest.fixture
    def written(self, tmp_path: Path) -> Path:
        service = find("imap")
        made = read(ENV, service.settings, known=known_variables()).settings
        write_folder(tmp_path / "out", {"imap": (service, made)}, ENV, flat=True)
        return tmp_path / "out"

    def found(self, folder: Path, env: dict[str, str]) -> tuple[str, tuple[str, ...]]:
        before, after = both(str(folder), ".env", env, [find("imap")], "")
        return as_text(
            [line for each in differences(before, after).values() for line in each], coloured=False
        ), before.notes

    def test_all_that_changes_is_shown(self, written: Path) -> None:
        new = ENV | {"LDAP_PASSWORD": "Shai4ahNgo", "LDAP_BASE": "ou=all,dc=example,dc=org"}
        found, notes = self.found(written, new)
        assert '\n-ldap_base = "ou=people,dc=example,dc=org"\n' in found
        assert re.search(r'\n-ldap_auth_dn_password = "secret-\w+"\n', found)
        assert "Vie1Sahpha" not in found
        assert "Shai4ahNgo" not in found
        assert notes == ()

    def test_nothing_is_shown_where_nothing_changes(self, written: Path) -> None:
        assert self.found(written, ENV) == ("", ())

    def test_only_its_owner_can_read_it(self, written: Path) -> None:
        assert {file.stat().st_mode & 0o777 for file in written.rglob("*") if file.is_file()} == {0o600}

    @pytest.mark.parametrize("damage", ["gone", "no json", '{"key": "xyz", "flat": true, "services": {}}', "{}"])
    def test_without_a_good_record_secrets_stay_hidden(self, written: Path, damage: str) -> None:
        (written / RECORD).unlink() if damage == "gone" else (written / RECORD).write_text(damage)
        found, notes = self.found(written, ENV | {"LDAP_PASSWORD": "Shai4ahNgo"})
        assert f"\n-{HIDDEN} (" in found
        assert re.search(r'\n\+ldap_auth_dn_password = "secret-\w+"\n', found)
        assert "Vie1Sahpha" not in found
        assert notes[0].endswith("of files with secrets, lines that differ are hidden")

    def test_lines_of_others_are_shown_only_in_files_without_secrets(self, written: Path) -> None:
        for name in ("dovecot.conf", "sieve/spam.sieve"):
            with (written / "run/config" / name).open("a", encoding="utf-8") as file:
                file.write("# s3cr3t by hand\n")
        found, _ = self.found(written, ENV)
        assert found.count("# s3cr3t by hand") == 1
        assert found.index("spam.sieve") < found.index("# s3cr3t by hand")
        assert HIDDEN in found

    def test_a_folder_without_the_services_files_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(Refused, match=r"cannot compare imap with .*: there are none of its files"):
            both(str(tmp_path), ".env", ENV, [find("imap")], "")


class TestInPlace:
    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        """As a container has it that was started with ENV."""
        service = find("imap")
        made = read(ENV, service.settings, known=known_variables()).settings
        files = {path: text for path, text in rendered(service, made).items() if path != PLAN_FILE}
        write_tree(files, tmp_path)
        plan = replace(boot.plan(service, with_copies(made)), files=tuple(map(str, files)))
        write_plan(plan, tmp_path / "run/entrypoint/plan.json")
        keep_environment(ENV, tmp_path / "run/entrypoint/environment.json")
        return tmp_path

    def test_the_files_are_those_of_the_same_settings_elsewhere(self, root: Path) -> None:
        mask = Mask()
        name, files = in_place(mask, root / "run/entrypoint", root)
        assert name == "imap"
        assert files == Rendering(".env", ENV, [find("imap")]).side(mask).services["imap"]

    def test_an_old_secret_that_is_still_in_place_is_not_shown(self, root: Path) -> None:
        keep_environment(ENV | {"LDAP_PASSWORD": "Shai4ahNgo"}, root / "run/entrypoint/environment.json")
        mask = Mask()
        _, files = in_place(mask, root / "run/entrypoint", root)
        assert HIDDEN in files[DOVECOT]
        assert files[SECRETS_DIR / "ldap-password"] == mask.text("Vie1Sahpha")
        assert not any("Vie1Sahpha" in text or "Shai4ahNgo" in text for text in files.values())

    def test_before_the_start_there_is_nothing_to_compare_with(self, tmp_path: Path) -> None:
        with pytest.raises(Unavailable, match="the service has not started yet"):
            in_place(Mask(), tmp_path, tmp_path)


def test_colours_are_by_sign() -> None:
    shown = as_text(["--- a", "+++ b", "@@ -1 +1 @@", "-x", "+y", " z"], coloured=True)
    assert shown.split("\n") == [
        "\x1b[1m--- a\x1b[0m",
        "\x1b[1m+++ b\x1b[0m",
        "\x1b[36m@@ -1 +1 @@\x1b[0m",
        "\x1b[31m-x\x1b[0m",
        "\x1b[32m+y\x1b[0m",
        " z",
    ]


def test_control_characters_of_others_are_not_sent_to_the_terminal() -> None:
    assert as_text(["-\x1b[2Jx\ty\r"], coloured=False) == "-\\x1b[2Jx\ty\\r"
