"""mail-dnsmasq: the stack's names in both directions, and what it says about the rest of the world."""

from __future__ import annotations

import ipaddress
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.containers import Container, container, wait_until

pytestmark = pytest.mark.image

KINDS = {"A": 1, "PTR": 12, "MX": 15, "AAAA": 28}
CODES = {0: "NOERROR", 2: "SERVFAIL", 3: "NXDOMAIN", 5: "REFUSED"}
ENV = {
    "DOMAIN": "example.org",
    "DNS_UPSTREAM": "none",
    "DNS_HOSTS": "files.example.org=172.20.0.40 six.example.org=fd00::40",
    "LDAP_HOSTS": "ldap.example.net:389",
    "LDAP_IP": "172.20.0.10",
    "LOG_FORMAT": "json",
}
NAMES = {
    "imap.example.org": "172.20.0.5",
    "mail.example.org": "172.20.0.3",
    "smtp.example.org": "172.20.0.9",
    "mailout.example.org": "172.20.0.8",
    "rspam": "172.20.0.6",
    "clamav": "172.20.0.7",
    "mail-redis": "172.20.0.4",
    "ldap.example.net": "172.20.0.10",
    "files.example.org": "172.20.0.40",
    "six.example.org": "fd00::40",
}


def ask(server: Container, name: str, kind: str) -> tuple[str, list[str]]:
    """The response code, and the records of the kind that was asked for (RFC 1035)."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    ending = labels + b"\0\0" + bytes([KINDS[kind]]) + b"\0\1"
    question = os.urandom(2) + b"\1\0\0\1\0\0\0\0\0\0" + ending
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(5)
        sock.sendto(question, (server.address(), 53))
        reply = sock.recv(4096)
    return CODES[reply[3] & 15], [_record(reply, kind, data) for data in _records(reply, len(question))]


def _records(reply: bytes, position: int) -> Iterator[int]:
    """Where the data of each answer begins; dnsmasq writes the owner's name as a pointer."""
    for _ in range(int.from_bytes(reply[6:8])):
        yield position + 12
        position += 12 + int.from_bytes(reply[position + 10 : position + 12])


def _record(reply: bytes, kind: str, data: int) -> str:
    if kind in ("A", "AAAA"):
        return str(ipaddress.ip_address(reply[data : data + (4 if kind == "A" else 16)]))
    return _name(reply, data + (2 if kind == "MX" else 0))


def _name(reply: bytes, position: int) -> str:
    labels = []
    while reply[position]:
        if reply[position] >= 0xC0:
            position = int.from_bytes(reply[position : position + 2]) & 0x3FFF
            continue
        labels.append(reply[position + 1 : position + 1 + reply[position]].decode())
        position += 1 + reply[position]
    return ".".join(labels)


def reverse(address: str) -> str:
    return ipaddress.ip_address(address).reverse_pointer


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders as people mount them."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "hosts.d").mkdir()
    (folder / "dnsmasq.d").mkdir()
    (folder / "hosts.d" / "printers").write_text("172.20.0.60 printer.example.org\n")
    (folder / "dnsmasq.d" / "mx.conf").write_text("mx-host=example.org,mail.example.org,10\n")
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def dnsmasq(own: Path) -> Iterator[Container]:
    files = {"/etc/postern/hosts.d": own / "hosts.d", "/etc/postern/dnsmasq.d": own / "dnsmasq.d"}
    with container("dnsmasq", env=ENV, files=files) as running:
        running.wait_healthy()
        yield running


@pytest.mark.parametrize(("name", "address"), NAMES.items())
def test_a_name_leads_to_its_address_and_back(dnsmasq: Container, name: str, address: str) -> None:
    kind = "AAAA" if ":" in address else "A"
    assert ask(dnsmasq, name, kind) == ("NOERROR", [address])
    assert ask(dnsmasq, reverse(address), "PTR") == ("NOERROR", [name])


def test_the_smarthost_is_a_second_name_of_exim_ext_mailout(dnsmasq: Container) -> None:
    assert ask(dnsmasq, "smarthost.example.org", "A") == ("NOERROR", ["172.20.0.8"])


def test_a_service_has_no_other_records(dnsmasq: Container) -> None:
    assert ask(dnsmasq, "imap.example.org", "AAAA") == ("NOERROR", [])
    assert ask(dnsmasq, "imap.example.org", "MX") == ("NOERROR", [])


def test_without_upstream_the_world_does_not_exist(dnsmasq: Container) -> None:
    assert ask(dnsmasq, "example.com", "MX") == ("NXDOMAIN", [])
    assert ask(dnsmasq, reverse("192.0.2.1"), "PTR") == ("NXDOMAIN", [])


def test_own_records_and_hosts_are_served(dnsmasq: Container) -> None:
    assert ask(dnsmasq, "example.org", "MX") == ("NOERROR", ["mail.example.org"])
    assert ask(dnsmasq, "printer.example.org", "A") == ("NOERROR", ["172.20.0.60"])


def test_a_hosts_file_counts_as_soon_as_it_is_there(dnsmasq: Container, own: Path) -> None:
    assert ask(dnsmasq, "later.example.org", "A") == ("NXDOMAIN", [])
    (own / "hosts.d" / "later").write_text("172.20.0.61 later.example.org\n")
    answer = ("NOERROR", ["172.20.0.61"])
    wait_until(lambda: ask(dnsmasq, "later.example.org", "A") == answer, 5, "the new file is read")


def test_its_lines_are_parsed(dnsmasq: Container) -> None:
    started = next(event for event in dnsmasq.events() if event["event"].startswith("started, version"))
    assert (started["service"], started["program"], started["level"]) == ("mail-dnsmasq", "dnsmasq", "info")


def test_the_world_is_not_asked_about_services() -> None:
    """The upstream here is a mail-dnsmasq that knows other addresses for the same names."""
    other = {**ENV, "IMAP_IP": "fd00::5", "DNS_HOSTS": "far.example.net=192.0.2.77"}
    with container("dnsmasq", env=other) as world:
        world.wait_healthy()
        with container("dnsmasq", env={**ENV, "DNS_UPSTREAM": world.address()}) as here:
            here.wait_healthy()
            assert ask(here, "far.example.net", "A") == ("NOERROR", ["192.0.2.77"])
            assert ask(world, "imap.example.org", "AAAA") == ("NOERROR", ["fd00::5"])
            assert ask(here, "imap.example.org", "AAAA") == ("NOERROR", [])


def test_it_runs_as_any_user_stops_with_0_and_starts_again_the_same() -> None:
    with container("dnsmasq", env=ENV, options=["--user=12345:0"]) as running:
        for _ in range(2):
            running.wait_healthy()
            assert ask(running, "imap.example.org", "A") == ("NOERROR", ["172.20.0.5"])
            code, took_s = running.stop()
            assert code == 0
            assert took_s < 5
            running.start()


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"DNS_UPSTREAM": "dns.example.com"}, "DNS_UPSTREAM"),
        ({"DNS_HOSTS": "a b=172.20.0.40"}, "DNS_HOSTS"),
        ({"IMAP_HOST": "mail.example.org"}, "IMAP_HOST and EXIM_EXTERNAL_HOST give mail.example.org two addresses"),
    ],
)
def test_wrong_settings_are_refused_by_name(wrong: dict[str, str], named: str) -> None:
    with container("dnsmasq", env=ENV | wrong) as refused:
        assert refused.wait_end() == 78
        assert named in refused.logs()


def test_own_records_that_dnsmasq_cannot_read_are_refused_with_its_words(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "bad.conf").write_text("no-such-option\n")
    with container("dnsmasq", env=ENV, files={"/etc/postern/dnsmasq.d": tmp_path}) as refused:
        assert refused.wait_end() == 78
        assert "cannot check dnsmasq.conf" in refused.logs()
        assert "bad.conf" in refused.logs()
