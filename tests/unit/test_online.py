"""What `check --online` asks, of small real servers: right answers, wrong ones, and none."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import pytest

from entrypoint.environment import Case, Finding
from entrypoint.environment.between import PUBLISHED
from entrypoint.environment.findings import ERROR, WARNING
from entrypoint.environment.online import answers, directory, domains, findings_of, published, store
from entrypoint.environment.show import as_json
from entrypoint.ladder import Rung
from tests.unit.authority import Authority
from tests.unit.installation import NAMES, Installation
from tests.unit.servers import Directory, Lines, Redis, Server, name_server, silence

# ldap3 2.9.1 still uses two names that pyasn1 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:(tagMap|typeMap) is deprecated:DeprecationWarning")

ZONE = {
    ("example.org.", "MX"): ["10 mail.example.org."],
    ("imap.example.org.", "A"): ["192.0.2.1"],
    ("mail.example.org.", "A"): ["192.0.2.1"],
    ("mailout.example.org.", "AAAA"): ["2001:db8::1"],
}
ENTRY = {"mail": ["alice@example.org"]}
IMAP = {"a CAPABILITY": "* CAPABILITY IMAP4rev1 STARTTLS\r\na OK\r\n", "a STARTTLS": "a OK\r\n", "a LOGOUT": "a OK\r\n"}


def context(certificate: str, key: str) -> ssl.SSLContext:
    """A server's TLS."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate, key)
    return made


def by_name(rungs: list[Rung]) -> dict[str, Rung]:
    return {rung.name: rung for rung in rungs}


@contextmanager
def resolver(
    zone: Mapping[tuple[str, str], list[str]], code: dns.rcode.Rcode = dns.rcode.NOERROR
) -> Iterator[dns.resolver.Resolver]:
    """A resolver that asks a server with these records."""

    def reply(question: bytes) -> bytes:
        asked = dns.message.from_wire(question)
        answer = dns.message.make_response(asked)
        answer.flags |= dns.flags.RA
        name, rdtype = asked.question[0].name.to_text(), asked.question[0].rdtype.name
        answer.set_rcode(code)
        if found := zone.get((name, rdtype)):
            answer.answer.append(dns.rrset.from_text(name, 60, "IN", rdtype, *found))
        elif code == dns.rcode.NOERROR and name not in {each for each, _ in zone}:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        return answer.to_wire()

    with name_server(reply) as port:
        made = dns.resolver.Resolver(configure=False)
        made.nameservers, made.port, made.lifetime = ["127.0.0.1"], port, 3.0
        yield made


class TestDomains:
    def test_everything_is_published(self, installation: Installation) -> None:
        with resolver(ZONE) as asked:
            rungs = domains.rungs(installation.case(), asked)
        assert [(rung.name, rung.ok, rung.told) for rung in rungs[1:]] == [
            ("mx", True, "example.org has the MX mail.example.org"),
            ("address", True, "imap.example.org is 192.0.2.1"),
            ("address", True, "mail.example.org is 192.0.2.1"),
            ("address", True, "mailout.example.org is 2001:db8::1"),
        ]

    @pytest.mark.parametrize(
        ("records", "told"),
        [
            ([], "example.org has no MX"),
            (
                ["5 mx.example.net.", "6 mx2.example.net."],
                "has the MX mx.example.net mx2.example.net, not mail.example.org",
            ),
        ],
    )
    def test_the_mx_is_another(self, records: list[str], told: str, installation: Installation) -> None:
        case = installation.case()
        with resolver(ZONE | {("example.org.", "MX"): records}) as asked:
            rungs = domains.rungs(case, asked)
        assert told in rungs[1].told
        (found,) = findings_of(case, rungs)
        assert found.severity == WARNING  # services start without it
        assert "publish `example.org. MX 10 mail.example.org.`" in found.text

    def test_a_host_that_is_not_published(self, installation: Installation) -> None:
        case = installation.case({"IMAP_HOST": "post.example.org"})
        with resolver(ZONE) as asked:
            (found,) = findings_of(case, domains.rungs(case, asked))
        assert found.text.startswith("DNS, address: post.example.org has no address; publish")
        assert found.lines == (installation.line_of("IMAP_HOST"),)

    def test_a_resolver_that_fails(self, installation: Installation) -> None:
        with resolver(ZONE, dns.rcode.SERVFAIL) as asked:
            rungs = domains.rungs(installation.case(), asked)
        assert {rung.ok for rung in rungs[1:]} == {False}
        assert "SERVFAIL" in rungs[1].told

    def test_only_what_is_started_is_asked_for(self, installation: Installation) -> None:
        with resolver(ZONE) as asked:
            rungs = domains.rungs(installation.case({"COMPOSE_PROFILES": "global"}), asked)
        assert [rung.told for rung in rungs[1:]] == ["mailout.example.org is 2001:db8::1"]

    def test_who_has_no_world_asks_nobody(self, installation: Installation) -> None:
        (rung,) = domains.rungs(installation.case({"DNS_UPSTREAM": "none"}))
        assert (rung.ok, rung.told) == (None, "DNS_UPSTREAM=none: the world is not asked")

    def test_the_upstream_of_the_containers_is_asked(self, installation: Installation) -> None:
        rungs = domains.rungs(installation.case({"DNS_UPSTREAM": "127.0.0.77", "COMPOSE_PROFILES": "demo"}))
        assert [rung.told for rung in rungs] == ["127.0.0.77 is asked"]


class TestDirectory:
    @pytest.fixture
    def tls(self, installations_authority: Authority) -> Directory:
        account = Directory(
            user="cn=mail,ou=services,dc=example,dc=org", password=b"x", base="ou=people,dc=example,dc=org"
        )
        account.tls = installations_authority.server("DNS:ldap1.example.org,DNS:ldap.example.org")
        account.find = lambda _question: {"uid=alice": ENTRY}
        return account

    @staticmethod
    def settings(port: int, **changes: str) -> dict[str, str]:
        found = {"LDAP_HOSTS": f"ldap1.example.org:{port}", "LDAP_IP": "127.0.0.1", "LDAP_CA": "/run/secrets/ca"}
        return found | changes

    def test_it_is_climbed_with_the_files_of_the_host(self, installation: Installation, tls: Directory) -> None:
        with Server(tls) as server:
            rungs = directory.rungs(installation.case(self.settings(server.port)), "alice@example.org")
        assert [rung.ok for rung in rungs] == [True] * 8
        assert "EXIM_LDAP_USER_FILTER" in by_name(rungs)["user"].told
        assert "LDAP_USER_FILTER" in by_name(rungs)["user"].told

    def test_a_wrong_password_is_an_error_with_its_lines(self, installation: Installation, tls: Directory) -> None:
        tls.password = b"another"
        with Server(tls) as server:
            case = installation.case(self.settings(server.port))
            (found,) = findings_of(case, directory.rungs(case, ""))
        assert found.severity == ERROR
        assert set(found.lines) == {installation.line_of("LDAP_USER"), installation.line_of("LDAP_PASSWORD_FILE")}

    def test_a_server_of_several_is_only_a_warning(self, installation: Installation, tls: Directory) -> None:
        with Server(tls) as server:
            case = installation.case(
                self.settings(server.port, LDAP_HOSTS=f"ldap1.example.org:{server.port} nowhere.invalid")
            )
            assert {each.severity for each in findings_of(case, directory.rungs(case, ""))} == {WARNING}
        case = installation.case(self.settings(1, LDAP_HOSTS="nowhere.invalid"))
        assert ERROR in {each.severity for each in findings_of(case, directory.rungs(case, ""))}

    def test_our_own_may_not_run_yet(self, installation: Installation) -> None:
        changes = self.settings(1, LDAP_HOSTS="ldap.example.org:1", COMPOSE_PROFILES="local,global,demo")
        case = installation.case(changes)
        rungs = directory.rungs(case, "")
        assert {rung.ok for rung in rungs} == {True, None}
        assert "the service ldap does not run (yet)" in by_name(rungs)["tcp"].told
        case = installation.case(changes | {"COMPOSE_PROFILES": "local,global"})
        assert by_name(directory.rungs(case, ""))["tcp"].ok is False

    def test_settings_that_are_wrong_are_not_tried(self, installation: Installation) -> None:
        (rung,) = directory.rungs(installation.case({"LDAP_PASSWORD_FILE": "./none"}), "")
        assert rung.ok is None
        assert rung.told.startswith("the settings have to be right first: LDAP_PASSWORD_FILE names './none'")

    def test_authorities_that_only_a_container_has(self, installation: Installation) -> None:
        (rung,) = directory.rungs(installation.case({"LDAP_CA": "/etc/own.pem"}), "")
        assert (rung.ok, rung.told) == (None, "LDAP_CA=/etc/own.pem cannot be found on this machine")

    def test_services_without_a_directory_ask_none(self, installation: Installation) -> None:
        assert directory.rungs(installation.case(services=("rspam",)), "") == []


class TestRedis:
    @staticmethod
    def asked(installation: Installation, port: int, **changes: str | None) -> tuple[Case, Rung]:
        case = installation.case({"REDIS_IP": "127.0.0.1", "REDIS_PORT": str(port), **changes})
        (rung,) = store.rungs(case)
        return case, rung

    def test_it_answers(self, installation: Installation) -> None:
        with Server(Redis(b"x")) as server:
            _, rung = self.asked(installation, server.port)
        assert (rung.ok, rung.told, rung.server) == (
            True,
            "PONG, with the password",
            f"redis://127.0.0.1:{server.port}",
        )

    def test_another_password(self, installation: Installation) -> None:
        with Server(Redis(b"another")) as server:
            case, rung = self.asked(installation, server.port)
        (found,) = findings_of(case, [rung])
        assert (found.severity, rung.told) == (ERROR, "the password is wrong")
        assert installation.line_of("REDIS_PASSWORD_FILE") in found.lines

    def test_what_is_no_redis(self, installation: Installation) -> None:
        with Server(Lines("220 hello\r\n")) as server:
            _, rung = self.asked(installation, server.port)
        assert rung.ok is False

    def test_what_cannot_be_reached_is_no_mistake(self, installation: Installation) -> None:
        with Server(silence) as server:
            port = server.port
        case, rung = self.asked(installation, port)
        assert (rung.ok, list(findings_of(case, [rung]))) == (None, [])
        assert (
            rung.told == "cannot be reached from here (connection refused): mail-redis does not run (yet), or elsewhere"
        )

    def test_no_password_is_guessed(self, installation: Installation) -> None:
        with Server(Redis(b"x")) as server:
            _, rung = self.asked(installation, server.port, REDIS_PASSWORD_FILE="./none")
        assert (rung.ok, rung.told) == (None, "no password is given that could be tried")


class TestPublished:
    @staticmethod
    def asked(host: Installation, name: str, server: Server, **changes: str) -> tuple[Case, Rung]:
        case = host.case({name: f"127.0.0.1:{server.port}", **changes})
        return case, next(rung for rung in published.rungs(case) if rung.name.startswith(f"{name}="))

    def test_the_certificate_of_the_settings(self, with_certificate: Installation) -> None:
        tls = context(with_certificate.env["TLS_FULLCHAIN_FILE"], with_certificate.env["TLS_PRIVKEY_FILE"])
        with Server(Lines("* OK IMAP\r\n", IMAP), tls=tls) as server:
            _, rung = self.asked(with_certificate, "IMAPS_PORT", server)
        assert (rung.ok, rung.cure) == (True, "")
        assert rung.told.endswith("TLS verified, for imap.example.org")
        with Server(Lines("* OK IMAP\r\n", IMAP, tls=tls, within=IMAP)) as server:
            _, rung = self.asked(with_certificate, "IMAP_PORT", server)
        assert (rung.ok, rung.cure) == (True, "")

    def test_one_that_was_renewed_but_not_loaded(
        self, with_certificate: Installation, installations_authority: Authority
    ) -> None:
        with Server(Lines("* OK IMAP\r\n", IMAP), tls=installations_authority.server(NAMES)) as server:
            case, rung = self.asked(with_certificate, "IMAPS_PORT", server)
        (found,) = findings_of(case, [rung])
        assert rung.ok
        assert found.severity == WARNING
        assert "it is not the certificate in TLS_FULLCHAIN_FILE: let the service read it" in found.text

    def test_one_that_expires_soon(self, with_certificate: Installation, installations_authority: Authority) -> None:
        end = datetime.now(UTC) + timedelta(days=5, minutes=5)
        certificate, key = installations_authority.certificate(NAMES, ends=end.strftime("%Y%m%d%H%M%SZ"))
        with Server(Lines("* OK IMAP\r\n", IMAP), tls=context(str(certificate), str(key))) as server:
            _, rung = self.asked(with_certificate, "IMAPS_PORT", server, TLS_FULLCHAIN_FILE=str(certificate))
        assert (rung.ok, rung.cure) == (True, "it expires in 5 days: renew it")

    def test_one_of_another_host_or_authority(
        self, with_certificate: Installation, installations_authority: Authority, tmp_path: Path
    ) -> None:
        for tls in (installations_authority.server("DNS:x.example.org"), Authority(tmp_path / "other").server(NAMES)):
            with Server(Lines("* OK IMAP\r\n", IMAP), tls=tls) as server:
                case, rung = self.asked(with_certificate, "IMAPS_PORT", server)
            (found,) = findings_of(case, [rung])
            assert found.severity == ERROR

    def test_another_program_on_the_port(self, with_certificate: Installation) -> None:
        with Server(Lines("220 ESMTP\r\n")) as server:
            _, rung = self.asked(with_certificate, "IMAP_PORT", server)
        assert rung.ok is False
        assert rung.told.startswith("does not speak IMAP")
        assert rung.cure.startswith(f"is IMAP_PORT=127.0.0.1:{server.port} that of another program?")

    def test_where_nothing_listens(self, with_certificate: Installation) -> None:
        with Server(silence) as server:
            pass
        case, rung = self.asked(with_certificate, "IMAPS_PORT", server)
        assert (rung.ok, list(findings_of(case, [rung]))) == (None, [])
        assert rung.told == "cannot be reached from here (connection refused): the service does not run (yet)"

    def test_the_console_which_has_no_tls(self, with_certificate: Installation) -> None:
        pong = "HTTP/1.0 200 OK\r\n\r\npong"
        with Server(Lines("", {"GET": pong})) as server:
            _, rung = self.asked(with_certificate, "RSPAM_CONSOLE_PORT", server)
        assert (rung.ok, rung.told) == (True, "pong, without TLS")
        with Server(Lines("", {"GET": "+PONG\r\n"})) as server:
            _, rung = self.asked(with_certificate, "RSPAM_CONSOLE_PORT", server)
        assert rung.ok is False

    def test_every_published_port_is_spoken_to(self) -> None:
        assert set(published.SPOKEN) == set(PUBLISHED)


def test_all_is_asked_and_told_to_programs(installation: Installation) -> None:
    ports = dict.fromkeys(("SMTP_PORT", "IMAP_PORT"), "127.0.0.1:1")
    case = installation.case(ports | {"DNS_UPSTREAM": "none", "LDAP_HOSTS": "127.0.0.1:1", "REDIS_IP": "127.0.0.1"})
    rungs = answers(case, "")
    assert {rung.server for rung in rungs} == {"DNS", "ldap://127.0.0.1:1", "redis://127.0.0.1:6379", "published ports"}
    found = json.loads(as_json([Finding(ERROR, "x")], case, rungs))
    assert [each["ok"] for each in found["online"]] == [rung.ok for rung in rungs]
    assert found["findings"] == [{"severity": "error", "text": "x", "variables": [], "lines": [], "services": []}]
