"""The doctor, on the host, asks the real daemons of the images."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from entrypoint import keys
from tests.containers import Container, container
from tests.image.directory import BASE, GROUP, HOST, READER, READER_PASSWORD, directory, world_with_members
from tests.unit.nameserver import Records, records_of

pytestmark = [pytest.mark.image, pytest.mark.timeout(300)]

DNS_ENV = {"DOMAIN": "example.org", "DNS_UPSTREAM": "none", "LOG_FORMAT": "json"}
# mail-dnsmasq answers for the names of the stack by itself: in the world, the domain is another one.
DOCTOR_ENV = (
    "DOMAIN=example.net\nEXIM_DKIM_SELECTOR=s1\nDKIM_PRIVKEY_FILE=./dkim.key\nTLS_FULLCHAIN_FILE=./server.pem\n"
)


def doctor(folder: Path, *arguments: str) -> tuple[int, Any]:
    """The exit code, and what is told as JSON."""
    command = [sys.executable, "-m", "entrypoint", "doctor", *arguments, "--env-file", "env"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 1}, done.stderr
    return done.returncode, json.loads(done.stdout) if "--json" in arguments else done.stdout


def as_dnsmasq(records: Records) -> str:
    """The records as dnsmasq is told them."""
    lines = []
    for (name, kind), all_data in records.items():
        for data in all_data:
            if kind == "MX":
                preference, host = data.split()
                lines.append(f"mx-host={name},{host.rstrip('.')},{preference}")
            elif kind == "A":
                lines.append(f"host-record={name},{data}")
            elif kind == "PTR":
                lines.append(f"ptr-record={name},{data.rstrip('.')}")
            elif kind == "SRV":
                priority, weight, port, host = data.split()
                lines.append(f"srv-host={name},{host.rstrip('.')},{port},{priority},{weight}")
            elif kind == "TXT":
                lines.append(f"txt-record={name}," + data.replace('" "', '","'))
            elif kind == "TLSA":
                lines.append(f"dns-rr={name},52,{_hex(data)}")
    return "\n".join(lines) + "\n"


def _hex(tlsa: str) -> str:
    usage, selector, matching, digest = tlsa.split(maxsplit=3)
    return f"{int(usage):02x}{int(selector):02x}{int(matching):02x}{digest.replace(' ', '')}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The doctor's folder: settings and keys."""
    folder = tmp_path_factory.mktemp("doctor")
    keys.make_authority(folder, "doctor's")
    keys.make_certificate(folder, ["DNS:mail.example.net"])
    keys.make_dkim_key(folder)
    (folder / "env").write_text(DOCTOR_ENV)
    return folder


@pytest.fixture(scope="module")
def records(made: Path) -> Records:
    """What the doctor says that there should be."""
    return records_of(doctor(made, "dns", "--no-check", "--address", "192.0.2.7")[1])


def name_server(records: Records, folder: Path) -> Any:
    """dnsmasq with these records."""
    folder.chmod(0o755)
    (folder / "world.conf").write_text(as_dnsmasq(records))
    (folder / "world.conf").chmod(0o644)
    return container("dnsmasq", env=DNS_ENV, files={"/etc/postern/dnsmasq.d": folder})


def test_what_dnsmasq_serves_as_it_was_printed_is_all_ok(made: Path, records: Records, tmp_path: Path) -> None:
    with name_server(records, tmp_path) as running:
        running.wait_healthy()
        command = ("dns", "--json", "--address", "192.0.2.7", "--resolver", running.address())
        code, found = doctor(made, *command)
    assert {(each["name"], each["type"]): each["state"] for each in found["records"]} == dict.fromkeys(records, "ok")
    assert code == 0


def test_what_dnsmasq_does_not_have_or_has_otherwise_is_found(made: Path, records: Records, tmp_path: Path) -> None:
    here = records | {("example.net", "MX"): ["10 other.example.com."], ("_dmarc.example.net", "TXT"): ['"v=DMARC2"']}
    del here["_sieve._tcp.example.net", "SRV"]
    with name_server(here, tmp_path) as running:
        running.wait_healthy()
        command = ("dns", "--json", "--address", "192.0.2.7", "--resolver", running.address())
        code, found = doctor(made, *command)
    wrong = {(each["name"], each["type"]): each["state"] for each in found["records"] if each["state"] != "ok"}
    assert code == 1
    assert wrong == {
        ("example.net", "MX"): "differs",
        ("_dmarc.example.net", "TXT"): "missing",
        ("_sieve._tcp.example.net", "SRV"): "missing",
    }


@pytest.fixture(scope="module")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Container, Path]]:
    """The directory, and a folder with settings that lead to it."""
    folder = tmp_path_factory.mktemp("ldap")
    world = world_with_members(folder / "world")
    with directory(world) as running:
        running.wait_healthy()
        (folder / "password").write_text(READER_PASSWORD)
        (folder / "env").write_text(
            f"DOMAIN=example.test\nLDAP_HOSTS=ldaps://{HOST}:1636\nLDAP_IP={running.address()}\nLDAP_USER={READER}\n"
            f"LDAP_PASSWORD_FILE=./password\nLDAP_BASE={BASE}\nLDAP_GROUP={GROUP}\nLDAP_CA=/run/secrets/ca\n"
            f"TLS_CA_FILE={world.ca_file}\n"
        )
        yield running, folder


def rungs(folder: Path, *person: str) -> tuple[int, dict[str, str]]:
    """The exit code, and what became of each rung; of several questions about the person, the worst."""
    code, found = doctor(folder, "ldap", *person, "--json")
    words = ("failed", "skipped", "ok")
    told: dict[str, str] = {}
    for rung in found:
        told[rung["name"]] = min(told.get(rung["name"], "ok"), rung["result"], key=words.index)
    return code, told


def test_the_way_to_a_member_holds(slapd: tuple[Container, Path]) -> None:
    code, found = rungs(slapd[1], "alice@example.test")
    assert code == 0
    assert set(found.values()) == {"ok"}


def test_a_person_outside_of_the_group_is_not_found(slapd: tuple[Container, Path]) -> None:
    code, found = rungs(slapd[1], "carol@example.test")
    assert code == 1
    assert (found["base"], found["user"]) == ("ok", "failed")


def test_a_wrong_password_breaks_the_rung_of_the_login(slapd: tuple[Container, Path]) -> None:
    _, folder = slapd
    (folder / "password").write_text("wrong")
    try:
        code, found = rungs(folder, "alice@example.test")
    finally:
        (folder / "password").write_text(READER_PASSWORD)
    assert code == 1
    assert (found["tls"], found["bind"], found["user"]) == ("ok", "failed", "skipped")


def test_slapds_certificate_is_looked_at(slapd: tuple[Container, Path]) -> None:
    running, folder = slapd
    command = ("tls", "--json", "--host", running.address(), "--port", "1636")
    code, (found,) = doctor(folder, *command)
    assert code == 1  # nobody gets a certificate for an address of a container
    assert found["versions"] == ["1.2", "1.3"]
    (fault,) = found["faults"]
    assert fault.startswith("the certificate is for ")
    assert HOST in fault
