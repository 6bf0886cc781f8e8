"""Other systems' settings as a new `.env`: every name is told, and what is written is read back as it was meant."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrypoint.environment import Case, examine, in_use, read_env_file
from entrypoint.environment.findings import ERROR
from entrypoint.errors import Refused, Unavailable, UsageError
from entrypoint.imports import docker_mailserver, dotenv, explain, report
from entrypoint.imports.assignment import assignment
from entrypoint.imports.findings import NONE, TAKEN, TRANSLATED, UNSET, YOU
from entrypoint.imports.source import Source, parse_env, read_source
from entrypoint.service import find, known_variables, names

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent / "imports"
COMPOSE = shutil.which("docker") is not None
OURS = {spelling for v in known_variables() for spelling in v.spellings()}

# What a person fills in where an import says that it needs somebody.
FILLED = {
    "DOMAIN": "example.org",
    "LDAP_HOSTS": "ldap1.example.org",
    "LDAP_USER": "cn=mail,dc=example,dc=org",
    "LDAP_PASSWORD": "aephaiZ9oo",
    "LDAP_BASE": "ou=people,dc=example,dc=org",
    "LDAP_GROUP": "cn=mail,ou=groups,dc=example,dc=org",
}


def of(system: str = "docker-mailserver", **variables: str) -> explain.Imported:
    """What becomes of an env file with these variables."""
    return explain.read(system, Source(Path("x.env"), dict(variables)))


def outcome(name: str, system: str = "docker-mailserver", **variables: str) -> tuple[str, dict[str, str]]:
    """Verdict of one name, and what it sets."""
    (found,) = (each for each in of(system, **variables).findings if each.name == name)
    return found.outcome.verdict, dict(found.outcome.sets)


def entrypoint(*arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    env = {"PATH": "/nowhere", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "entrypoint", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)


def mistakes(env: dict[str, str]) -> list[str]:
    case = Case(env, tuple(in_use([find(name) for name in names()], env)))
    return [found.text for found in examine(case) if found.severity == ERROR]


class TestComposeFile:
    """As a small organisation has it, with everything written out."""

    FILE = HERE / "docker-mailserver.yaml"

    @property
    def found(self) -> explain.Imported:
        return explain.read("docker-mailserver", read_source(self.FILE, images=docker_mailserver.IMAGES))

    def test_every_variable_and_every_key_is_told_once(self) -> None:
        found = self.found
        told = [each.name for each in found.findings]
        source = found.source
        volumes = [f"volume {here}:" for _, here in source.mounts()]
        assert told == [*source.variables, *(f"{key}:" for key in source.keys if key != "volumes"), *volumes]

    def test_nothing_is_left_unexplained(self) -> None:
        found = self.found
        assert all(each.outcome.because for each in found.findings)
        assert not [each for each in found.findings if "not known" in each.outcome.because]

    def test_it_is_translated(self) -> None:
        found = self.found
        assert found.sets == {
            "DOVECOT_MAILBOX_FORMAT": "maildir",
            "ENABLE_CLAMAV": "1",
            "ENABLE_MANAGESIEVE": "1",
            "ENABLE_POP3": "0",
            "ENABLE_POSTGREY": "1",
            "MAILBOX_SIZE_LIMIT": "0",
            "MESSAGE_SIZE_LIMIT": "26214400",
            "POSTGREY_DELAY": "300",
            "POSTGREY_MAX_AGE": "35",
            "POSTGREY_TEXT": "Please come again",
            "POSTMASTER_ADDRESS": "postmaster@example.org",
            "SA_KILL": "15",
            "SA_SPAM_SUBJECT": "[SPAM]",
            "SA_TAG": "3.0",
            "SA_TAG2": "6.31",
            "SPOOF_PROTECTION": "1",
            "TLS_FULLCHAIN_FILE": "/srv/letsencrypt/live/mx.example.org/fullchain.pem",
            "TLS_PRIVKEY_FILE": "/srv/letsencrypt/live/mx.example.org/privkey.pem",
            "TLS_LEVEL": "modern",
            "TZ": "Europe/Vienna",
            "DOMAIN": "example.org",
            "EXIM_EXTERNAL_HOST": "mx.example.org",
            "SMTP_PORT": "25",
            "SUBMISSION_PORT": "192.0.2.1:587",
            "IMAPS_PORT": "993",
            "SUBMISSIONS_PORT": "127.0.0.1:465",
            "IMAP_PORT": "127.0.0.1:143",
            "MANAGESIEVE_PORT": "127.0.0.1:4190",
        }

    def test_what_it_needs_is_what_check_wants(self) -> None:
        found = self.found
        assert {v.name for v in found.missing()} == set(FILLED) - {"DOMAIN"}
        assert found.objections() == []

    def test_filled_in_it_passes_check(self, tmp_path: Path) -> None:
        done = entrypoint("import", "docker-mailserver", self.FILE, "--out", tmp_path / ".env")
        assert (done.returncode, done.stdout) == (0, "")
        with (tmp_path / ".env").open("a", encoding="utf-8") as file:
            file.writelines(f"{name}={text}\n" for name, text in FILLED.items())
        checked = json.loads(entrypoint("check", "--json", "--env-file", tmp_path / ".env").stdout)
        errors = [found["text"] for found in checked["findings"] if found["severity"] == "error"]
        assert [error.partition("=")[0] for error in errors] == ["TLS_FULLCHAIN_FILE", "TLS_PRIVKEY_FILE"]
        assert all("does not exist on this machine" in error for error in errors)  # they are on the mail server

    def test_not_filled_in_it_does_not(self, tmp_path: Path) -> None:
        entrypoint("import", "docker-mailserver", self.FILE, "--out", tmp_path / ".env")
        assert entrypoint("check", "--env-file", tmp_path / ".env").returncode == 78

    def test_what_cannot_be_done_yet_is_said(self) -> None:
        found = self.found
        told = {each.name: each.outcome.because for each in found.findings if each.outcome.verdict == NONE}
        assert told["ENABLE_SRS"].startswith("no equal yet: ")
        assert told["LOGROTATE_INTERVAL"].startswith("nothing to rotate: ")

    def test_the_oldest_form_and_a_domain_not_filled_in_are_no_mistakes(self, tmp_path: Path) -> None:
        file = tmp_path / "x.yml"
        file.write_text(
            "mail:\n  image: x/docker-mailserver\n  hostname: mail\n  domainname: {DOMAIN}\n"
            "  environment:\n    - POSTMASTER_ADDRESS=postmaster@{DOMAIN}\n    - RELAY_HOST=''\n"
        )
        found = explain.read("docker-mailserver", read_source(file, images=docker_mailserver.IMAGES))
        verdicts = {each.name: each.outcome.verdict for each in found.findings}
        assert verdicts == {
            "POSTMASTER_ADDRESS": YOU,
            "RELAY_HOST": UNSET,
            "image:": NONE,
            "hostname:": TRANSLATED,
            "domainname:": YOU,
        }


class TestReading:
    def read(self, tmp_path: Path, text: str, service: str = "") -> Source:
        (tmp_path / "compose.yaml").write_text(text, encoding="utf-8")
        return read_source(tmp_path / "compose.yaml", service, docker_mailserver.IMAGES)

    @pytest.mark.parametrize(
        ("environment", "expected"),
        [
            ("[\"A=''\", 'B=\"x\"', C=x=y, 'D=a b']", {"A": "", "B": "x", "C": "x=y", "D": "a b"}),
            ("{A: 3.0, B: yes, C: , D: 0123, E: '1e3'}", {"A": "3.0", "B": "yes", "C": "", "D": "0123", "E": "1e3"}),
            ("['A=$$x', 'B=${SET}', 'C=${NOT_SET}', 'D=${NOT_SET:-y}', E=$SET.]",
             {"A": "$x", "B": "in .env", "C": "${NOT_SET}", "D": "y", "E": "in .env."}),
            ("[SET]", {"SET": "in .env"}),
        ],
    )  # fmt: skip
    def test_an_environment(self, environment: str, expected: dict[str, str], tmp_path: Path) -> None:
        (tmp_path / ".env").write_text("SET=in .env\n")
        source = self.read(tmp_path, f"services: {{m: {{image: docker-mailserver, environment: {environment}}}}}")
        assert source.variables == expected

    def test_a_variable_that_compose_would_put_in_is_asked_for(self, tmp_path: Path) -> None:
        source = self.read(tmp_path, "services: {m: {image: x, environment: ['TZ=${NOT_SET}']}}")
        (finding, _) = explain.read("docker-mailserver", source).findings
        assert (finding.outcome.verdict, finding.name) == (YOU, "TZ")

    def test_env_files_come_before_the_environment(self, tmp_path: Path) -> None:
        (tmp_path / "mail.env").write_text("TZ=UTC\nSA_TAG=1\nwhat\n")
        source = self.read(
            tmp_path, "services: {m: {image: x, env_file: [mail.env, none.env], environment: {SA_TAG: '2'}}}"
        )
        assert source.variables == {"TZ": "UTC", "SA_TAG": "2"}
        assert source.odd == {
            "mail.env, line 3": "is no NAME=value: look what it was for",
            "env_file none.env": f"cannot read {tmp_path}/none.env: No such file or directory",
        }

    def test_merged_keys_and_anchors_are_followed(self, tmp_path: Path) -> None:
        text = (
            "x-a: &a {environment: &e {TZ: UTC}}\nservices: {m: {<<: *a, image: x, environment: {<<: *e, SA_TAG: 1}}}"
        )
        assert self.read(tmp_path, text).variables == {"TZ": "UTC", "SA_TAG": "1"}

    TWO = "services: {web: {image: nginx}, mail: {image: docker-mailserver:15, environment: [A=1]}}"

    def test_the_service_is_found_by_its_image(self, tmp_path: Path) -> None:
        assert self.read(tmp_path, self.TWO).service == "mail"

    def test_the_service_can_be_named(self, tmp_path: Path) -> None:
        assert self.read(tmp_path, self.TWO, "web").service == "web"

    @pytest.mark.parametrize(
        ("text", "service", "reason"),
        [
            (TWO, "x", "cannot find the service 'x' in .*: it has mail, web"),
            (TWO.replace("docker-mailserver", "own"), "", "say --service NAME, one of mail, web"),
            ("services: {}", "", "cannot find a service in .*"),
            ("- 1\n", "", "cannot find a service in .*"),
            ("a: [", "", "cannot read .* as YAML: "),
            ("a: \0", "", "cannot read .* as YAML: "),
        ],
    )
    def test_what_is_no_such_compose_file_is_refused(
        self, text: str, service: str, reason: str, tmp_path: Path
    ) -> None:
        with pytest.raises((Refused, UsageError), match=reason):
            self.read(tmp_path, text, service)

    def test_of_the_older_installation_no_compose_file_is_read(self, tmp_path: Path) -> None:
        (tmp_path / "docker-compose.yaml").write_text(self.TWO)
        done = entrypoint("import", "docker-dovecot", tmp_path / "docker-compose.yaml")
        assert (done.returncode, "the .env is read, and no compose file" in done.stderr) == (64, True)

    def test_without_pyyaml_the_cure_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "yaml", None)
        with pytest.raises(Unavailable, match=r"need PyYAML \(pip install 'postern\[host\]'\)"):
            self.read(tmp_path, self.TWO)

    @pytest.mark.parametrize(
        ("ports", "expected"),
        [
            (["25:25"], {"SMTP_PORT": "25"}),
            (["2525:25/tcp"], {"SMTP_PORT": "2525"}),
            (["127.0.0.1:2525:25"], {"SMTP_PORT": "127.0.0.1:2525"}),
            (["[::1]:2525:25"], {"SMTP_PORT": "[::1]:2525"}),
            ([{"target": "993", "published": "9993", "host_ip": "127.0.0.1"}], {"IMAPS_PORT": "127.0.0.1:9993"}),
            (["1142-1143:142-143"], {"IMAP_PORT": "1143"}),
        ],
    )
    def test_ports(self, ports: list[object], expected: dict[str, str]) -> None:
        found = explain.read("docker-mailserver", Source(Path("x"), service="m", keys={"ports": ports})).sets
        assert {name: text for name, text in found.items() if name in expected} == expected
        assert all(text.startswith("127.0.0.1:") for name, text in found.items() if name not in expected)

    @pytest.mark.parametrize("ports", [["x"], ["25:y"], ["1-3:25"], [{"target": "x"}], ["99999:25"]])
    def test_ports_that_are_none_are_left_to_a_person(self, ports: list[object]) -> None:
        found = explain.read("docker-mailserver", Source(Path("x"), service="m", keys={"ports": ports}))
        assert [each.outcome.verdict for each in found.findings] == [YOU]
        assert found.sets == {}


class TestVariables:
    def test_the_list_is_complete(self) -> None:
        known = (HERE / "docker-mailserver.names").read_text(encoding="utf-8").split()
        assert len(known) > 140
        assert set(known) - set(docker_mailserver.KNOWN) == set()

    def test_whatever_is_set_is_known_to_us(self) -> None:
        for value in ("1", "0", "mail.example.org", "(mail=%s)"):
            found = of(**dict.fromkeys(docker_mailserver.KNOWN, value))
            assert set(found.sets) <= OURS

    @pytest.mark.parametrize(
        ("name", "variables", "verdict", "sets"),
        [
            ("RELAY_HOST", {"RELAY_HOST": "a.test"}, TRANSLATED, {"DEFAULT_RELAY_HOST": "a.test:25"}),
            ("RELAY_HOST", {"RELAY_HOST": "a.test", "RELAY_PORT": "587"}, TRANSLATED,
             {"DEFAULT_RELAY_HOST": "a.test:587"}),
            ("DEFAULT_RELAY_HOST", {"DEFAULT_RELAY_HOST": "[a.test]:587"}, TRANSLATED,
             {"DEFAULT_RELAY_HOST": "[a.test]:587"}),
            ("RELAY_PASSWORD", {"RELAY_HOST": "a.test", "RELAY_USER": "u", "RELAY_PASSWORD": "p:w"}, TRANSLATED,
             {"RELAY_LOGINS": "a.test u:p:w"}),
            ("RELAY_PASSWORD", {"RELAY_PASSWORD": "pw"}, YOU, {}),
            ("SASL_PASSWD", {"SASL_PASSWD": "[a.test]:587 u:pw"}, TRANSLATED, {"RELAY_LOGINS": "[a.test]:587 u:pw"}),
            ("SASL_PASSWD", {"SASL_PASSWD": "a.test\tu:pw"}, TRANSLATED, {"RELAY_LOGINS": "a.test u:pw"}),
            ("SASL_PASSWD", {"SASL_PASSWD": "pw"}, YOU, {"RELAY_LOGINS": "pw"}),
            ("POSTFIX_MESSAGE_SIZE_LIMIT", {"POSTFIX_MESSAGE_SIZE_LIMIT": "0"}, TRANSLATED,
             {"MESSAGE_SIZE_LIMIT": "1G"}),
            ("SA_KILL", {"SA_KILL": "6.31"}, TRANSLATED, {"SA_KILL": "15"}),
            ("SA_KILL", {"SA_KILL": "10.0", "SA_TAG2": "5"}, TAKEN, {"SA_KILL": "10.0"}),
            ("SPAM_SUBJECT", {"SPAM_SUBJECT": "[SPAM] "}, TRANSLATED, {"SA_SPAM_SUBJECT": "[SPAM]"}),
            ("DOVECOT_MAILBOX_FORMAT", {"DOVECOT_MAILBOX_FORMAT": "dbox"}, YOU,
             {"DOVECOT_MAILBOX_FORMAT": "dbox"}),
            ("OVERRIDE_HOSTNAME", {"OVERRIDE_HOSTNAME": "mail.example.org"}, TRANSLATED, {"DOMAIN": "example.org"}),
            ("LOG_LEVEL", {"LOG_LEVEL": "trace"}, TRANSLATED, {"LOG_LEVEL": "debug"}),
            ("ENABLE_QUOTAS", {"ENABLE_QUOTAS": "0"}, TRANSLATED, {"MAILBOX_SIZE_LIMIT": "0"}),
            ("SSL_TYPE", {"SSL_TYPE": "self-signed"}, YOU, {}),
            ("SRS_SECRET__FILE", {"SRS_SECRET__FILE": "/run/x"}, YOU, {}),
            ("ENABLE_FETCHMAIL", {"ENABLE_FETCHMAIL": "1"}, YOU,
             {"COMPOSE_PROFILES": "local,global,fetchmail", "FETCHMAIL_ACCOUNTS_FILE": "./secrets/fetchmail-accounts"}),
            ("ENABLE_FETCHMAIL", {"ENABLE_FETCHMAIL": "0"}, TRANSLATED, {}),
            ("FETCHMAIL_POLL", {"FETCHMAIL_POLL": "120"}, TAKEN, {"FETCHMAIL_POLL": "120"}),
            ("FETCHMAIL_PARALLEL", {"FETCHMAIL_PARALLEL": "1"}, TRANSLATED, {}),
            ("GETMAIL_POLL", {"GETMAIL_POLL": "5"}, TRANSLATED, {"FETCHMAIL_POLL": "300"}),
            ("ENABLE_NONSENSE", {"ENABLE_NONSENSE": "1"}, YOU, {}),
            ("LDAP_BIND_DN", {"LDAP_BIND_DN": "cn=x"}, NONE, {}),
        ],
    )  # fmt: skip
    def test_translated(self, name: str, variables: dict[str, str], verdict: str, sets: dict[str, str]) -> None:
        assert outcome(name, **variables) == (verdict, sets)

    def test_two_names_with_two_values_for_one_variable_are_left_to_a_person(self) -> None:
        found = of(DEFAULT_RELAY_HOST="a.test:25", RELAY_HOST="b.test")
        assert [each.outcome.verdict for each in found.findings] == [TRANSLATED, YOU]
        assert found.findings[1].outcome.because.endswith("but DEFAULT_RELAY_HOST is set for DEFAULT_RELAY_HOST")
        assert found.sets == {"DEFAULT_RELAY_HOST": "a.test:25"}

    def test_a_certificate_of_the_person_is_found_through_the_volumes(self) -> None:
        source = Source(
            Path("x"),
            {"SSL_TYPE": "manual", "SSL_CERT_PATH": "/tmp/dms/certs/a.pem", "SSL_KEY_PATH": "/tmp/dms/certs/a.key"},
            keys={"volumes": ["/srv/certs:/tmp/dms/certs:ro", "/srv/other:/tmp/dms"]},
        )
        found = explain.read("docker-mailserver", source)
        assert found.sets == {"TLS_FULLCHAIN_FILE": "/srv/certs/a.pem", "TLS_PRIVKEY_FILE": "/srv/certs/a.key"}


class TestDirectory:
    VARIABLES: Mapping[str, str] = {
        "ACCOUNT_PROVISIONER": "LDAP",
        "LDAP_SERVER_HOST": "ldaps://ldap.example.org",
        "LDAP_SEARCH_BASE": "ou=people,dc=example,dc=org",
        "LDAP_BIND_DN": "cn=reader,dc=example,dc=org",
        "LDAP_BIND_PW": "Ahb4weiphu$'\"",
        "LDAP_QUERY_FILTER_USER": "(&(objectClass=person)(mail=%s))",
        "LDAP_QUERY_FILTER_ALIAS": "(mailAlias=%s)",
        "LDAP_QUERY_FILTER_GROUP": "(mailGroupMember=%s)",
        "LDAP_QUERY_FILTER_DOMAIN": "(mail=*@%s)",
        "LDAP_START_TLS": "yes",
        "DOVECOT_PASS_FILTER": "(&(objectClass=person)(mail=%u))",
        "DOVECOT_USER_FILTER": "(&(objectClass=person)(mail=%u))",
        "SASLAUTHD_LDAP_FILTER": "(&(objectClass=person)(mail=%u))",
    }  # fmt: skip

    def test_filters_get_our_placeholders(self) -> None:
        assert of(**self.VARIABLES).sets == {
            "LDAP_HOSTS": "ldaps://ldap.example.org",
            "LDAP_BASE": "ou=people,dc=example,dc=org",
            "LDAP_USER": "cn=reader,dc=example,dc=org",
            "LDAP_PASSWORD": "Ahb4weiphu$'\"",
            "EXIM_LDAP_USER_FILTER": (
                "(|(&(objectClass=person)(mail=$local_part@$domain))(mailAlias=$local_part@$domain))"
            ),
            "LDAP_MAIL_ATTRIBUTE": "mail",
            "LDAP_ALIAS_ATTRIBUTE": "mailAlias",
            "LDAP_USER_FILTER": "(&(objectClass=person)(mail=%u))",
            "LDAP_PASS_FILTER": "(&(objectClass=person)(mail=%u))",
            "EXIM_INT_MAILOUT_LDAP_AUTH": "ldap:///??sub?(&(objectClass=person)(mail=${quote_ldap:$auth1}))",
            "EXIM_INT_MAILOUT_LDAP_PLAIN": "ldap:///??sub?(&(objectClass=person)(mail=${quote_ldap:$auth2}))",
        }

    def test_postfix_and_dovecot_mean_different_things_by_u(self) -> None:
        found = of(LDAP_SERVER_HOST="x", LDAP_QUERY_FILTER_USER="(uid=%u)", DOVECOT_USER_FILTER="(uid=%Ln)").sets
        assert found["EXIM_LDAP_USER_FILTER"] == "(uid=$local_part)"
        assert found["LDAP_USER_FILTER"] == "(uid=%n)"

    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("LDAP_QUERY_FILTER_USER", "(mail=%1)"),
            ("DOVECOT_USER_FILTER", "(mail=%{ldap:x})"),
            ("SASLAUTHD_LDAP_FILTER", "(uid=%U)"),
            ("LDAP_SERVER_HOST", "ldapi:///"),
            ("DOVECOT_PASS_FILTER", "(mail=%u"),
        ],
    )
    def test_what_cannot_be_said_here_is_left_to_a_person(self, name: str, value: str) -> None:
        assert outcome(name, **{"ENABLE_LDAP": "1", name: value})[0] == YOU

    def test_filled_in_it_passes_check(self, tmp_path: Path) -> None:
        found = of(**self.VARIABLES)
        (tmp_path / ".env").write_text(dotenv.as_text(found, None, with_secrets=True), encoding="utf-8")
        env = read_env_file(tmp_path / ".env")
        assert env == found.sets
        assert "\n# DOVECOT_PASS_FILTER=(&(objectClass=person)(mail=%u)): " in (tmp_path / ".env").read_text()
        assert mistakes({**FILLED, **env}) == []


class TestOlderInstallation:
    def test_spellings_are_renewed(self) -> None:
        found = of(
            "docker-dovecot",
            DOMAIN="school",
            TIMEZONE="Europe/Berlin",
            LDAP_USER_FILTER="(\\&(objectClass=x)(mail=%u))",
            EXIM_INT_MAILOUT_LDAP_AUTH="ldap:///ou=x,dc=y??sub?(mail=${quote_ldap:$auth1})",
            EXIM_LOCAL_DOMAINS="school.de : other.de",
            REDIS_PRODECTED_MODE="yes",
            RSPAMD_password="Xi3oh",
            CLAMAVLIB="~/clamav",
            EXIM_WHITELIST_NET="172.20.0.0/16",
            dovecot_tag="2.3.20",
            HAVE_MM3="no",
            NOBODY_KNOWS="1",
            SMTP_PORT="25",
        )
        assert {each.name: each.outcome.verdict for each in found.findings} == {
            "DOMAIN": TRANSLATED,
            "TIMEZONE": TRANSLATED,
            "LDAP_USER_FILTER": TRANSLATED,
            "EXIM_INT_MAILOUT_LDAP_AUTH": TAKEN,
            "EXIM_LOCAL_DOMAINS": TAKEN,
            "REDIS_PRODECTED_MODE": TRANSLATED,
            "RSPAMD_password": TRANSLATED,
            "CLAMAVLIB": YOU,
            "EXIM_WHITELIST_NET": YOU,
            "dovecot_tag": NONE,
            "HAVE_MM3": TAKEN,
            "NOBODY_KNOWS": YOU,
            "SMTP_PORT": TAKEN,
        }
        assert found.sets["DOMAIN"] == "school.de"
        assert found.sets["VMAIL_DATA"] == "/data/school/vmail"
        assert found.sets["LDAP_USER_FILTER"] == "(&(objectClass=x)(mail=%u))"
        assert found.sets["EXIM_LOCAL_DOMAINS"] == "school.de : other.de"
        assert found.sets["RSPAM_password"] == "Xi3oh"

    @pytest.mark.parametrize("system", ["docker-mailserver", "docker-dovecot"])
    @pytest.mark.parametrize("value", ["0", "1"])
    def test_the_virus_scanner_is_the_same(self, system: str, value: str) -> None:
        assert outcome("ENABLE_CLAMAV", system, ENABLE_CLAMAV=value) == (TAKEN, {"ENABLE_CLAMAV": value})

    def test_every_variable_of_ours_is_known_by_all_names(self) -> None:
        for name in OURS:
            assert "not known" not in of("docker-dovecot", **{name: "x"}).findings[0].outcome.because

    def test_dollars_without_quotes_are_read_and_written_in_quotes(self, tmp_path: Path) -> None:
        old = tmp_path / "old.env"
        old.write_text(
            "DOMAIN=example.org\nEXIM_LDAP_USER_FILTER=(\\&(a=b)(mail=$local_part@$domain))\n"
            "EXIM_EXTERNAL_SPOOL=/data/${DOMAIN}/spool\nLDAP_PASSWORD=pa$word$$\n"
        )
        done = entrypoint("import", "docker-dovecot", old, "--out", tmp_path / ".env")
        assert done.returncode == 0, done.stderr
        assert read_env_file(tmp_path / ".env") == {
            "DOMAIN": "example.org",
            "EXIM_LDAP_USER_FILTER": "(&(a=b)(mail=$local_part@$domain))",
            "EXIM_EXTERNAL_SPOOL": "/data/example.org/spool",
            "LDAP_PASSWORD": "pa$word$$",
        }


class TestWriting:
    def test_secrets_go_into_files_that_only_group_0_can_read(self, tmp_path: Path) -> None:
        source = tmp_path / "x.env"
        source.write_text(
            "ENABLE_LDAP=1\nLDAP_BIND_PW=Ahb4weiphu\nRELAY_HOST=a.test\nRELAY_USER=u\nRELAY_PASSWORD=Roo9c\n"
        )
        arguments = ("import", "docker-mailserver", source, "--secrets-dir", "secrets", "--out", ".env")
        done = entrypoint(*arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        env = read_env_file(tmp_path / ".env")
        assert env == {
            "LDAP_PASSWORD_FILE": "./secrets/ldap-password",
            "DEFAULT_RELAY_HOST": "a.test:25",
            "RELAY_LOGINS_FILE": "./secrets/relay-logins",
        }
        assert (tmp_path / "secrets/ldap-password").read_text() == "Ahb4weiphu\n"
        assert (tmp_path / "secrets/relay-logins").read_text() == "a.test u:Roo9c\n"
        assert (tmp_path / "secrets/ldap-password").stat().st_mode & 0o777 == 0o640
        assert (tmp_path / "secrets").stat().st_mode & 0o777 == 0o750
        assert (tmp_path / ".env").stat().st_mode & 0o777 == 0o600
        assert "Ahb4weiphu" not in (tmp_path / ".env").read_text() + done.stdout + done.stderr
        again = entrypoint(*arguments, cwd=tmp_path)
        assert again.returncode == 78
        assert again.stderr.startswith("entrypoint: cannot write .env: it is there already; ")
        assert entrypoint(*arguments, "--force", cwd=tmp_path).returncode == 0

    def test_stdout_gets_no_secret(self, tmp_path: Path) -> None:
        source = tmp_path / "x.env"
        source.write_text("ENABLE_LDAP=1\nLDAP_BIND_PW=Ahb4weiphu\nMY_API_TOKEN=Eiv5uo\nURL=https://u:Eiv5uo@a.test\n")
        (tmp_path / "y.env").write_text("RELAY_LOGINS=a.test u:Ahb4weiphu\nMM3_DATABASE_URL=postgres://u:Eiv5uo@x/y\n")
        older = entrypoint("import", "docker-dovecot", tmp_path / "y.env")
        assert "# RELAY_LOGINS=********: " in older.stdout
        assert not any(secret in older.stdout + older.stderr for secret in ("Ahb4weiphu", "Eiv5uo"))
        for more in ((), ("--json",)):
            done = entrypoint("import", "docker-mailserver", source, *more)
            assert done.returncode == 0
            assert "LDAP_PASSWORD" in done.stdout
            assert "MY_API_TOKEN" in done.stdout
            assert "Ahb4weiphu" not in done.stdout + done.stderr
            assert "Eiv5uo" not in done.stdout + done.stderr

    def test_what_is_proposed_is_written_as_it_has_to_be(self) -> None:
        text = dotenv.as_text(
            of("docker-dovecot", EXIM_LDAP_USER_FILTER="(a=$local_part", TZ="a\nb"), None, with_secrets=True
        )
        assert "\n# EXIM_LDAP_USER_FILTER=(a=$local_part: " in text
        assert "\n#EXIM_LDAP_USER_FILTER='(a=$local_part'\n" in text
        assert "\n#TZ=a\\nb\n" in text

    def test_the_summary_counts_and_names(self, tmp_path: Path) -> None:
        source = tmp_path / "x.env"
        source.write_text("TZ=UTC\nONE_DIR=1\nSRS_SECRET=\nRELAY_PORT=25\nWHAT=1\n")
        done = entrypoint("import", "docker-mailserver", source)
        assert done.stderr.splitlines()[0].split() == ["RESULT", "NAMES", "WHICH"]
        assert [line.split("  ")[0] for line in done.stderr.splitlines()[1:]] == [
            "needs you", "taken", "translated", "no equal", "not set"
        ]  # fmt: skip

    def test_as_json_it_has_everything(self) -> None:
        told = json.loads(json.dumps(report.as_json(of(TZ="UTC", LDAP_SERVER_HOST="x", LDAP_BIND_PW="pw"))))
        assert told["sets"] == {"TZ": "UTC", "LDAP_HOSTS": "x", "LDAP_PASSWORD": None}
        assert told["findings"][0] == {
            "name": "TZ", "value": "UTC", "result": "taken", "because": "the same here", "sets": {"TZ": "UTC"}
        }  # fmt: skip
        assert "DOMAIN" in [each["name"] for each in told["missing"]]

    @pytest.mark.parametrize(
        ("arguments", "code", "reason"),
        [
            (("docker-mailserver", "/nowhere/x.env"), 78, "cannot read /nowhere/x.env: No such file or directory"),
            (("postfix", "x"), 64, "invalid choice: 'postfix'"),
            ((), 64, "the following arguments are required: SYSTEM, FILE"),
        ],
    )
    def test_a_wrong_command_line_is_told(self, arguments: tuple[str, ...], code: int, reason: str) -> None:
        done = entrypoint("import", *arguments)
        assert done.returncode == code
        assert reason in done.stderr
        assert "Traceback" not in done.stderr


TEXT = st.text(st.characters(codec="utf-8"), max_size=30) | st.text("aZ9 '\"\\$#{}%()=&|*\n\t\r", max_size=20)
VALUE = TEXT | st.sampled_from(
    ["1", "0", "mail.example.org", "(mail=%s)", "(&(a=b)(mail=%u))", "$x", "ldap://x", "a:b"]
)
NAME = st.sampled_from(sorted(docker_mailserver.KNOWN)) | st.from_regex(r"[A-Z_][A-Z0-9_]{0,15}", fullmatch=True)


@given(
    variables=st.dictionaries(NAME, VALUE, max_size=12), system=st.sampled_from(["docker-mailserver", "docker-dovecot"])
)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_name_is_lost_and_the_new_file_says_what_was_meant(
    variables: dict[str, str], system: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    found = of(system, **variables)
    text = dotenv.as_text(found, None, with_secrets=True)
    file = tmp_path_factory.getbasetemp() / "property.env"
    file.write_text(text, encoding="utf-8", newline="\n")
    assert [each.name for each in found.findings] == list(variables)
    assert all(f"\n# {name}" in text for name in variables)
    assert read_env_file(file) == found.sets
    assert set(found.sets) <= OURS


@given(
    value=st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"])) | st.text("a '\"\\$#{}\n")
)
def test_every_value_that_can_be_written_is_read_back(value: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.getbasetemp() / "assignment.env"
    file.write_text(f"{assignment('A', value)}\nB=1\n", encoding="utf-8", newline="\n")
    assert read_env_file(file) == {"A": value, "B": "1"}


HARD = [
    *("", " a ", "it's", 'a"b', "$x ${y} $$", "a\\", "\\'", "#x", "a #b", "two\nlines", "*** [x] ***", "é€📧", "a\\nb"),
    *("'q'", '"q"', "\\$x", "`x`", "a=b", "\\\\", "%u", "!x", "~", "\\'$x\"#"),
]


@pytest.mark.skipif(not COMPOSE, reason="needs docker compose")
def test_compose_reads_what_was_written_as_it_was_meant(tmp_path: Path) -> None:
    values = {f"V{number}": value for number, value in enumerate(HARD)}
    (tmp_path / ".env").write_text(
        "".join(f"{assignment(name, value)}\n" for name, value in values.items()), encoding="utf-8"
    )
    (tmp_path / "compose.yaml").write_text(f"services: {{x: {{image: x, environment: [{', '.join(values)}]}}}}")
    command = ["docker", "compose", "config", "--format=json"]
    done = subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True)
    found = json.loads(done.stdout)["services"]["x"]["environment"]
    assert {name: text.replace("$$", "$") for name, text in found.items()} == values
    assert read_env_file(tmp_path / ".env") == values


def test_lines_of_an_env_file_are_all_accounted_for() -> None:
    found, odd = parse_env("# x\nA='two\nlines' # x\nexport B=\"q\\\"\" \nwhat\nC=x # y\n\nD='open\n")
    assert found == {"A": "two\nlines", "B": 'q"', "C": "x", "D": "'open"}
    assert odd == {"line 5": "is no NAME=value: look what it was for"}
