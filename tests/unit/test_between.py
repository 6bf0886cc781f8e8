"""Where services contradict each other: each contradiction, and what only looks like one."""

from __future__ import annotations

import itertools
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from entrypoint.environment import Finding
from entrypoint.environment.between import ADDRESSES, PUBLISHED, Published
from entrypoint.environment.findings import ERROR, WARNING
from entrypoint.service import find, names
from tests.unit.installation import Installation

COMPOSE = yaml.safe_load((Path(__file__).parents[2] / "docker-compose.yaml").read_text(encoding="utf-8"))
RELAYS = {"DEFAULT_RELAY_HOST": "smtp.example.net:587", "RELAY_DOMAINS": "example.com=relay.example.com"}


def only(found: list[Finding]) -> Finding:
    (one,) = found
    return one


def test_what_is_published_and_addressed_is_as_in_the_compose_file() -> None:
    ports: dict[str, str] = {}
    addresses: dict[str, str] = {}
    for name, service in COMPOSE["services"].items():
        ports |= {port.split(":")[0].removeprefix("${"): name for port in service.get("ports", ())}
        if networks := service.get("networks"):
            addresses[networks["mail"]["ipv4_address"].split(":")[0].removeprefix("${")] = name
    assert ports == dict(PUBLISHED)
    assert addresses.items() <= dict(ADDRESSES).items()


class TestPorts:
    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("25", "25"),
            ("25", "127.0.0.1:25"),
            ("25", "[::1]:25"),
            ("0.0.0.0:25", "127.0.0.1:25"),
            ("0.0.0.0:25", "25"),
            ("[::]:25", "[2001:db8::1]:25"),
            ("192.0.2.1:25", "192.0.2.1:25"),
        ],
    )
    def test_the_same_one_twice(self, one: str, other: str, installation: Installation) -> None:
        found = only(installation.look({"SMTP_PORT": one, "IMAP_PORT": other}))
        assert found.severity == ERROR
        assert found.text == (
            f"SMTP_PORT={one} and IMAP_PORT={other} are the same port of the host: only one container can have it"
        )
        assert found.lines == (installation.line_of("SMTP_PORT"), installation.line_of("IMAP_PORT"))
        assert found.services == ("exim-external", "imap")

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("25", "26"),
            ("127.0.0.1:25", "127.0.0.2:25"),
            ("192.0.2.1:25", "127.0.0.1:25"),
            ("0.0.0.0:25", "[::]:25"),
            ("0.0.0.0:25", "[::1]:25"),
            ("127.0.0.1:25", "[::1]:25"),
        ],
    )
    def test_different_ones(self, one: str, other: str, installation: Installation) -> None:
        assert installation.look({"SMTP_PORT": one, "IMAP_PORT": other}) == []

    def test_a_default_counts_too(self, installation: Installation) -> None:
        found = only(installation.look({"SMTP_PORT": "993"}))
        assert found.text.startswith("SMTP_PORT=993 and IMAPS_PORT=993 are the same port")
        assert found.lines == (installation.line_of("SMTP_PORT"),)

    def test_those_of_services_that_are_not_started_are_free(self, installation: Installation) -> None:
        changes = {"EXT_MAILOUT_SMTP_PORT": "25", "COMPOSE_PROFILES": "local"}
        assert installation.look(changes) == []
        assert installation.look(changes | {"COMPOSE_PROFILES": "local,global"}) != []

    @pytest.mark.parametrize(
        ("one", "other"),
        list(itertools.combinations(("127.0.0.1:{}", "127.0.0.2:{}", "0.0.0.0:{}", "[::1]:{}", "[::]:{}"), 2)),
    )
    def test_the_kernel_sees_it_the_same_way(self, one: str, other: str) -> None:
        with ExitStack() as stack:
            port, refused = 0, False
            for place in (one, other):
                address = place.partition(":{")[0].strip("[]")
                sock = stack.enter_context(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET))
                if sock.family == socket.AF_INET6:  # as Docker does
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                try:
                    sock.bind((address, port))
                except OSError:
                    refused = True
                    break
                sock.listen()
                port = sock.getsockname()[1]
        first, second = (Published.read("X_PORT", place.format(25)) for place in (one, other))
        assert first.meets(second) == second.meets(first) == refused

    @pytest.mark.parametrize(
        ("port", "service"), [("1025", "exim-ext-mailout"), ("6379", "mail-redis"), ("4190", "imap")]
    )
    def test_metrics_where_the_daemon_listens(self, port: str, service: str, installation: Installation) -> None:
        (found,) = (each for each in installation.look({"METRICS_PORT": port}) if each.services == (service,))
        assert found.text == f"METRICS_PORT={port} is a port of the daemon itself: choose another one, such as 9466"

    @pytest.mark.parametrize("port", ["0", "9466"])
    def test_metrics_elsewhere(self, port: str, installation: Installation) -> None:
        assert installation.look({"METRICS_PORT": port}) == []


class TestConsole:
    """rspamd's console has no TLS."""

    @pytest.mark.parametrize("where", ["11334", "0.0.0.0:11334", "192.0.2.7:11334", "[::]:11334"])
    def test_for_other_machines(self, where: str, installation: Installation) -> None:
        found = only(installation.look({"RSPAM_CONSOLE_PORT": where}))
        assert found.severity == WARNING
        assert found.text == (
            f"RSPAM_CONSOLE_PORT={where} is open to other machines, and the console has no TLS: keep it "
            "at 127.0.0.1:11334, behind a reverse proxy"
        )

    @pytest.mark.parametrize("where", ["127.0.0.1:8334", "[::1]:11334", ""])
    def test_for_this_machine(self, where: str, installation: Installation) -> None:
        assert installation.look({"RSPAM_CONSOLE_PORT": where}) == []


class TestAddresses:
    @pytest.mark.parametrize(
        ("address", "why"),
        [
            ("172.21.0.5", "is not in the container network"),
            ("192.0.2.1", "is not in the container network"),
            ("2001:db8::5", "is not in the container network"),
            ("172.20.0.1", "is the container network's gateway"),
            ("172.20.0.0", "is no host's address, but the network's own"),
            ("172.20.255.255", "is no host's address, but the network's own"),
        ],
    )
    def test_one_that_no_container_can_have(self, address: str, why: str, installation: Installation) -> None:
        (found,) = (each for each in installation.look({"IMAP_IP": address}) if "IMAP_IP" in each.variables)
        assert found.severity == ERROR
        assert found.text == f"IMAP_IP={address} {why}: choose another one in MAIL_NETWORK=172.20.0.0/16"
        assert found.services == ("imap",)
        assert found.lines == (installation.line_of("IMAP_IP"),)

    def test_another_one_of_the_network(self, installation: Installation) -> None:
        assert installation.look({"IMAP_IP": "172.20.255.254"}) == []

    def test_a_default_that_is_not_in_another_network(self, installation: Installation) -> None:
        found = installation.look({"MAIL_NETWORK": "10.0.0.0/24"})
        containers = {
            name
            for name, service in ADDRESSES.items()
            if service in names() and {"local", "global"} & set(find(service).profiles)
        }
        assert {each.variables[0] for each in found} == containers
        assert {each.lines for each in found} == {(installation.line_of("MAIL_NETWORK"),)}
        assert all("(by default) is not in the container network" in each.text for each in found)

    def test_all_in_another_network(self, installation: Installation) -> None:
        own = {name: f"10.0.0.{number}" for number, name in enumerate(ADDRESSES, 2)}
        assert installation.look({"MAIL_NETWORK": "10.0.0.0/24"} | own) == []

    def test_two_services_at_one(self, installation: Installation) -> None:
        found = installation.look({"IMAP_IP": "172.20.0.6"})
        assert "RSPAM_IP and IMAP_IP are both 172.20.0.6: each container has an address of its own" in {
            each.text for each in found
        }

    def test_those_of_another_location_may_be_anywhere(self, installation: Installation) -> None:
        elsewhere = {"RSPAM_IP": "10.9.0.6", "EXIM_EXT_MAILOUT_IP": "10.9.0.8", "EXIM_SMARTHOST_MAILOUT_IP": "10.9.0.8"}
        assert installation.look(elsewhere | {"COMPOSE_PROFILES": "local"}) == []
        assert len(installation.look(elsewhere)) == 2

    def test_the_directory_is_only_in_the_network_when_it_is_ours(self, installation: Installation) -> None:
        assert installation.look({"LDAP_IP": "10.100.1.23"}) == []
        found = installation.look({"LDAP_IP": "10.100.1.23", "COMPOSE_PROFILES": "local,global,demo"})
        assert any(each.text.startswith("LDAP_IP=10.100.1.23 is not in") for each in found)


class TestDomains:
    def test_one_that_is_local_and_relayed(self, installation: Installation) -> None:
        changes = {"EXIM_LOCAL_DOMAINS": "example.org:example.com"} | RELAYS
        found = only(installation.look(changes))
        assert found.severity == ERROR
        assert found.text == (
            "RELAY_DOMAINS and EXIM_LOCAL_DOMAINS both have example.com: mail is either kept here or passed on; "
            "remove it from one of them"
        )
        lines = {installation.line_of("RELAY_DOMAINS"), installation.line_of("EXIM_LOCAL_DOMAINS")}
        assert (set(found.lines), found.services) == (lines, ("exim-ext-mailout",))

    def test_the_domain_itself_is_local_by_default(self, installation: Installation) -> None:
        found = only(installation.look({"RELAY_DOMAINS": "example.org=relay.example.com"}))
        assert installation.line_of("DOMAIN") in found.lines

    def test_relayed_ones_that_are_others(self, installation: Installation) -> None:
        assert installation.look(RELAYS) == []

    def test_microsofts_count_only_with_an_account_there(self, installation: Installation) -> None:
        changes = {"EXIM_LOCAL_DOMAINS": "example.org:live.de"}
        assert installation.look(changes) == []
        account = {"EXIM_EXT_MSACCOUNT": "x@live.com", "EXIM_EXT_PW_FILE": "./secrets/redis"}
        found = only(installation.look(changes | account))
        assert found.text.startswith("EXIM_EXT_MSDOMAINS and EXIM_LOCAL_DOMAINS both have live.de: ")

    def test_the_mailbox_of_the_health_check_is_local(self, installation: Installation) -> None:
        assert installation.look({"HEALTH_MAILBOX": "health@example.org"}) == []
        found = only(installation.look({"HEALTH_MAILBOX": "health@example.net"}))
        assert (
            found.text
            == "HEALTH_MAILBOX=health@example.net is in no domain of EXIM_LOCAL_DOMAINS: its mail would leave"
        )


class TestRelays:
    def test_a_login_that_no_relay_asks_for(self, installation: Installation) -> None:
        installation.secret("secrets/logins", "smtp.example.net user:s3cr3t\nmail.example.com user:s3cr3t\n")
        found = only(installation.look(RELAYS | {"RELAY_LOGINS_FILE": "./secrets/logins"}))
        assert found.severity == WARNING
        assert found.text == (
            "RELAY_LOGINS has a login at mail.example.com, which is no relay of DEFAULT_RELAY_HOST or RELAY_DOMAINS: "
            "it is never used"
        )
        assert found.lines == (installation.line_of("RELAY_LOGINS_FILE"),)

    def test_logins_at_relays(self, installation: Installation) -> None:
        installation.secret(
            "secrets/logins", "smtp.example.net u:p\nrelay.example.com u:p\n[SMTP.office365.com]:587 u:p\n"
        )
        account = {"EXIM_EXT_MSACCOUNT": "x@live.com", "EXIM_EXT_PW_FILE": "./secrets/redis"}
        assert installation.look(RELAYS | account | {"RELAY_LOGINS_FILE": "./secrets/logins"}) == []
        assert len(installation.look(RELAYS | {"RELAY_LOGINS_FILE": "./secrets/logins"})) == 1

    @pytest.mark.parametrize(
        ("relay", "service"),
        [
            ("mailout.example.org", "exim-ext-mailout"),
            ("mail.example.org:587", "exim-external"),
            ("172.20.0.9", "exim-int-mailout"),
        ],
    )
    def test_one_that_is_ourselves(self, relay: str, service: str, installation: Installation) -> None:
        found = only(installation.look({"DEFAULT_RELAY_HOST": relay}))
        assert found.severity == ERROR
        assert f", which is {service}: mail to the world would go in a circle" in found.text
        assert only(installation.look({"RELAY_DOMAINS": f"example.com={relay}"})).variables == ("RELAY_DOMAINS",)
