"""What is said about a whole `.env`: of each service, about its lines, about names that nobody knows."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from entrypoint.environment import Case, Finding, examine, in_use, parse
from entrypoint.environment.findings import ERROR, WARNING, in_order, named_in
from entrypoint.service import find, names
from tests.unit.installation import Installation
from tools.demo.settings import DEMO_ENV, moved, read_env
from tools.demo.world import make_world


def only(found: list[Finding], *variables: str) -> Finding:
    """The one finding that there is about these variables."""
    (one,) = (finding for finding in found if set(variables) & set(finding.variables))
    return one


class TestServices:
    def test_nothing_is_said_about_a_good_installation(self, with_certificate: Installation) -> None:
        assert with_certificate.look() == []

    @pytest.mark.skipif(os.getgid() != 0, reason="needs group 0")
    def test_nothing_is_said_about_the_demo(self, tmp_path: Path) -> None:
        world = tmp_path / "world"
        settings = moved(read_env(DEMO_ENV), project="x", folder=world, network="172.30.25.0/24")
        settings = {name: value for name, value in settings.items() if not name.endswith("_PORT")}  # any port
        make_world(world, settings)
        file = tmp_path / ".env"
        file.write_text("".join(f"{name}='{value}'\n" for name, value in settings.items()))
        found = parse(file)
        assert examine(Case.of_file(found, in_use(map(find, names()), found.values))) == []

    def test_every_line_of_the_minimal_example_is_needed_or_a_good_idea(self, installation: Installation) -> None:
        needless = {name for name in installation.env if not installation.look({name: None})}
        assert needless.isdisjoint(
            {"DOMAIN", "LDAP_HOSTS", "LDAP_USER", "LDAP_PASSWORD_FILE", "LDAP_BASE", "LDAP_GROUP", "TLS_CA_FILE"}
        )

    def test_so_is_that_with_the_embedded_directory(self, installation: Installation) -> None:
        page = (Path(__file__).parents[2] / "docs/how-to/accounts.md").read_text(encoding="utf-8")
        own = dict(line.split("=", 1) for line in re.findall(r"(?m)^[A-Z_]+=.*$", page))
        assert own.keys() > {"COMPOSE_PROFILES", "LDAP_HOSTS", "LDAP_GROUP"}
        own = {name: text for name, text in own.items() if not name.endswith("_FILE")}  # the files are elsewhere
        assert not [found.text for found in installation.look(own) if found.severity == ERROR]
        assert "ldap" in {service.name for service in installation.case(own).services}

    def test_a_mistake_is_told_once_with_all_services_that_have_it(self, installation: Installation) -> None:
        found = only(installation.look({"WAIT_S": "x"}), "WAIT_S")
        assert found.severity == ERROR
        assert found.text.startswith("WAIT_S got 'x', which is no whole number")
        assert set(found.services) == {service.name for service in installation.case().services}
        installation.write({"WAIT_S": "x"})
        assert found.lines == (installation.line_of("WAIT_S"),)

    def test_a_warning_is_told_once_with_the_line_of_the_old_name(self, installation: Installation) -> None:
        found = only(installation.look({"TZ": None, "TIMEZONE": "UTC"}), "TIMEZONE")
        assert (found.severity, found.text) == (WARNING, "TIMEZONE is an old name: write TZ")
        assert found.lines == (installation.line_of("TIMEZONE"),)

    def test_what_contradicts_itself_within_a_service_has_the_lines_of_both(self, installation: Installation) -> None:
        found = only(installation.look({"SA_TAG2": "20", "SA_KILL": "10"}), "SA_TAG2")
        assert found.lines == (installation.line_of("SA_TAG2"), installation.line_of("SA_KILL"))
        assert found.services == ("rspam",)

    def test_an_old_name_that_contradicts_has_its_line(self, installation: Installation) -> None:
        found = installation.look({"RSPAM_password_FILE": None, "RSPAMD_password_FILE": "./none/x"})
        assert only(found, "RSPAMD_password_FILE").lines == (installation.line_of("RSPAMD_password_FILE"),)

    def test_what_is_missing_has_no_line(self, installation: Installation) -> None:
        found = only(installation.look({"LDAP_BASE": None}), "LDAP_BASE")
        assert found.text.startswith("LDAP_BASE is missing: ")
        assert (found.lines, set(found.services)) == ((), {"imap", "exim-external", "exim-int-mailout"})

    def test_what_is_left_empty_has_its_line(self, installation: Installation) -> None:
        found = only(installation.look({"LDAP_BASE": ""}), "LDAP_BASE")
        assert found.lines == (installation.line_of("LDAP_BASE"),)

    def test_literal_quotes_are_told(self, installation: Installation) -> None:
        found = only(installation.look({"EXIM_LOCAL_DOMAINS": '"example.org"'}), "EXIM_LOCAL_DOMAINS")
        assert "with the quotes as part of its value" in found.text

    def test_what_only_compose_uses_is_looked_at_too(self, installation: Installation) -> None:
        found = only(installation.look({"SMTP_PORT": "x:y"}), "SMTP_PORT")
        assert found.text.startswith("SMTP_PORT got 'x:y', which is no ")

    def test_services_that_are_not_started_want_nothing(self, installation: Installation) -> None:
        changes = {"COMPOSE_PROFILES": "global", "LDAP_BASE": None, "LDAP_HOSTS": "a:b:c"}
        assert installation.look(changes) == []

    def test_a_missing_secret_is_told(self, installation: Installation) -> None:
        found = only(installation.look({"LDAP_PASSWORD_FILE": "./none"}), "LDAP_PASSWORD_FILE")
        assert found.text.startswith(
            "LDAP_PASSWORD_FILE names './none', which cannot be read: No such file or directory"
        )

    def test_no_secret_is_shown(self, installation: Installation) -> None:
        changes = {"LDAP_PASSWORD": "s3cr3t", "REDIS_PASSWORD": "s3cr3t\ts3cr3t", "RELAY_LOGINS": "s3cr3t"}
        found = installation.look(changes, more="RSPAM_password=s3cr3t$s3cr3t\ns3cr3t\n")
        assert {"LDAP_PASSWORD", "REDIS_PASSWORD", "RELAY_LOGINS", "RSPAM_password"} <= {
            name for finding in found for name in finding.variables
        }
        assert not [finding for finding in found if "s3cr3t" in finding.text]

    def test_a_container_believes_its_environment_and_looks_at_no_host(self) -> None:
        env = {"DOMAIN": "example.org", "SMTP_PORT": "25", "IMAP_PORT": "25"}
        assert examine(Case(env, (find("mail-dnsmasq"),))) == []

    @pytest.mark.parametrize(
        ("profiles", "expected"),
        [
            ("", {"imap", "rspam"}),
            ("local", {"imap"}),
            ("global", {"rspam"}),
            ("local, demo", {"imap", "ldap"}),
            ("local,global,directory", {"imap", "rspam", "ldap"}),
            ("*", {"imap", "rspam", "ldap"}),
            ("mailman", set()),
            ("local global", set()),
        ],
    )
    def test_only_services_that_compose_starts_are_looked_at(self, profiles: str, expected: set[str]) -> None:
        some = map(find, ("imap", "rspam", "ldap"))
        assert {service.name for service in in_use(some, {"COMPOSE_PROFILES": profiles})} == expected


class TestLines:
    def test_a_line_that_cannot_be_read_hides_no_other_mistake(self, installation: Installation) -> None:
        found = installation.look({"WAIT_S": "x"}, more="half-written\nLDAP_GROP='never\nSMTP_PORT=0\n")
        assert {finding.text.partition(" ")[0] for finding in found} == {"WAIT_S", "the", "LDAP_GROP", "SMTP_PORT"}

    def test_a_broken_line_is_not_also_missing(self, installation: Installation) -> None:
        found = installation.look({"LDAP_BASE": None}, more="LDAP_BASE='never closed\n")
        (one,) = (finding for finding in found if "LDAP_BASE" in finding.text)
        assert one.text == "LDAP_BASE begins with ', which is never closed"
        assert one.lines == (installation.line_of("LDAP_BASE"),)

    def test_a_value_that_compose_would_change_is_still_looked_at(self, installation: Installation) -> None:
        found = installation.look(more="EXIM_LDAP_USER_FILTER=((mail=$local_part)\n")
        texts = [finding.text for finding in found if "EXIM_LDAP_USER_FILTER" in finding.variables]
        assert len(texts) == 2
        assert any("in which Compose sees a variable" in text for text in texts)
        assert any("its parentheses do not match" in text for text in texts)

    def test_a_name_that_is_set_twice(self, installation: Installation) -> None:
        found = only(installation.look(more="TZ=UTC\n"), "TZ")
        first, last = installation.line_of("TZ"), len(installation.file.read_text().splitlines())
        assert found == Finding(
            WARNING,
            f"TZ is set 2 times, in lines {first} and {last}: Compose takes the last one; remove the others",
            ("TZ",),
            (first, last),
        )


class TestNames:
    @pytest.mark.parametrize(
        ("name", "meant"),
        [
            ("LDAP_HOST", "LDAP_HOSTS"),
            ("DOMIAN", "DOMAIN"),
            ("domain", "DOMAIN"),
            ("RSPAM_PASSWORD", "RSPAM_password"),
            ("CLAMAV_LIB", "CLAMAVLIB"),
            ("EXIM_LOCAL_DOMAIN", "EXIM_LOCAL_DOMAINS"),
            ("POSTMASTERADDRESS", "POSTMASTER_ADDRESS"),
            ("VMAIL_UID", "vmail_uid"),
            ("TIMEZOEN", "TIMEZONE"),
        ],
    )
    def test_a_slip_is_told_with_what_was_meant(self, name: str, meant: str, installation: Installation) -> None:
        found = only(installation.look({name: "5000"}), name)
        assert (found.severity, found.text) == (ERROR, f"{name} is not known: {meant}?")
        assert found.lines == (installation.line_of(name),)

    @pytest.mark.parametrize(
        "name",
        [
            "COMPOSE_PROJECT_NAME",
            "COMPOSE_PARALLEL_LIMIT",
            "DOCKER_HOST",
            "BUILDKIT_PROGRESS",
            "HTTPS_PROXY",
            "http_proxy",
            "PATH",
            "LANG",
            "UID",
            "NEXTCLOUD_ADMIN",
            "TRAEFIK_HOST",
            "BACKUP_DIR",
        ],
    )
    def test_what_is_others_is_left_alone(self, name: str, installation: Installation) -> None:
        assert installation.look({name: "x"}) == []

    def test_a_name_without_a_value_is_no_mistake(self, installation: Installation) -> None:
        assert installation.look({"DOMIAN": "", "LDAP_HOST": ""}) == []

    def test_names_that_own_compose_files_use_are_known(self, installation: Installation) -> None:
        changes = {"LDAP_ADMIN_PORT": "1", "DOMAIN2": "b.example"}
        assert {name for found in installation.look(changes) for name in found.variables} == set(changes)
        (installation.folder / "docker-compose.override.yaml").write_text("x: ${LDAP_ADMIN_PORT} $DOMAIN2")
        assert installation.look(changes) == []

    def test_names_that_other_values_are_made_of_are_known(self, installation: Installation) -> None:
        del installation.env["VMAIL_DATA"]
        own = f"IMAP_DIR={installation.folder}/data\n"
        assert only(installation.look({"VMAIL_DATA": "./data/vmail"}, more=own), "IMAP_DIR").severity == ERROR
        assert installation.look(more=f"{own}VMAIL_DATA=${{IMAP_DIR}}/vmail\n") == []


class TestProfiles:
    def test_an_unknown_one_beside_known_ones_is_a_warning(self, installation: Installation) -> None:
        found = only(installation.look({"COMPOSE_PROFILES": "local,golbal"}), "COMPOSE_PROFILES")
        assert found.severity == WARNING
        assert found.text.startswith(
            "COMPOSE_PROFILES has 'golbal' (global?), which no service is in: known are build, "
        )

    def test_with_unknown_ones_alone_nothing_would_start(self, installation: Installation) -> None:
        found = only(installation.look({"COMPOSE_PROFILES": "local global"}), "COMPOSE_PROFILES")
        assert found.severity == ERROR
        assert found.text.endswith("; nothing would be started")

    def test_one_of_an_own_compose_file_is_known(self, installation: Installation) -> None:
        (installation.folder / "compose.override.yaml").write_text("services: {x: {profiles: [webmail]}}")
        assert installation.look({"COMPOSE_PROFILES": "local,global,webmail"}) == []


class TestFindings:
    def test_they_are_sorted_by_line_and_told_once(self) -> None:
        late, early, missing = Finding(WARNING, "b", (), (9,)), Finding(ERROR, "c", (), (10,)), Finding(ERROR, "a")
        assert in_order([missing, early, late, early]) == [late, early, missing]

    @pytest.mark.parametrize(
        ("text", "named"),
        [
            ("DOMAIN got 'TZ', which is no domain", ("DOMAIN",)),
            ("A_FILE=/x/DOMAIN holds a value that is TZ", ()),
            ("TZ and TIMEZONE are both set: keep DOMAIN", ("TZ", "TIMEZONE")),
            ("SA_TAG=9, SA_TAG2=8 and SA_KILL=7 must rise", ("SA_TAG", "SA_TAG2", "SA_KILL")),
            ("EXIM_WHITELIST_NET has 172.20.0.0/16, which holds 172.20.0.1 (MAIL_NETWORK)", ("EXIM_WHITELIST_NET",)),
            ("RSPAM_password or RSPAM_password_FILE is missing: TZ", ("RSPAM_password", "RSPAM_password_FILE")),
        ],
    )
    def test_a_sentence_is_about_the_variables_that_it_begins_with(self, text: str, named: tuple[str, ...]) -> None:
        known = {spelling for name in names() for spelling in Case({}, (find(name),)).known}
        assert named_in(text, known) == named
