"""Starting: in the order of health, and with what a person has forgotten or mistaken."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.stack.system import MADE, System, free_network, is_well, remove
from tests.unit.authority import Authority
from tools.commands import ROOT

pytestmark = pytest.mark.stack

WRONG_PASSWORD = "a-wrong-password-for-the-directory"
ALL_WRONG = f"""\
DOMAIN=example.test
LDAP_HOSTS=http://ldap
LDAP_BASE=people
LDAP_USER=cn=x
LDAP_PASSWORD={WRONG_PASSWORD}
MESSAGE_SIZE_LIMIT=huge
TZ=Europe/Nowhere
MAILBOX_SIZE_LIMIT=-1
"""
NEEDS = {
    "rspam": ("mail-dnsmasq", "mail-redis"),
    "imap": ("mail-dnsmasq", "ldap"),
    "exim-external": ("mail-dnsmasq", "ldap", "rspam"),
    "exim-int-mailout": ("mail-dnsmasq", "ldap", "rspam"),
    "exim-ext-mailout": ("mail-dnsmasq", "rspam"),
}


@pytest.mark.parametrize("service", NEEDS)
def test_a_service_starts_after_what_it_needs(system: System, service: str) -> None:
    """Nothing is healthy before its first check, so that there is an interval between two starts at least."""
    interval = timedelta(seconds=float(system.stack.settings["HEALTH_INTERVAL"].removesuffix("s")))
    for need in NEEDS[service]:
        assert system.first_starts[service] - system.first_starts[need] >= interval, need


def test_passwords_that_nobody_gave_are_made(system: System) -> None:
    """One for Redis, which others of the stack do not have, and two for the console; health asks with them."""
    made = system.made_passwords()
    assert sorted(made) == ["REDIS_PASSWORD", "RSPAM_enable_password", "RSPAM_password"]
    assert {len(password) for password in made.values()} == {43}
    assert made.items() <= system.secrets().items()  # which no log may have
    assert system.service("mail-redis").run("cat", MADE[0]).strip() == made["REDIS_PASSWORD"]
    assert "No such file" in system.service("imap").run("cat", MADE[0], check=False)
    for service in ("mail-redis", "rspam"):
        assert is_well(system.service(service))


# --- a person's .env


@pytest.fixture(scope="module")
def project() -> Iterator[dict[str, str]]:
    """What another compose project needs to say that is not the matter here; removed afterwards."""
    network = free_network()
    place = network.rpartition(".")[0]
    name = f"postern-stack-{os.getpid()}-half"
    volumes = {"EXIM_EXTERNAL_SPOOL": "exim-external", "VMAIL_DATA": "vmail", "REDIS_DATA": "redis"}
    numbers = {"EXIM_EXTERNAL_IP": 3, "REDIS_IP": 4, "IMAP_IP": 5, "LDAP_IP": 10}
    places = {name: f"{place}.{number}" for name, number in numbers.items()}
    settings = {"COMPOSE_PROJECT_NAME": name, "MAIL_NETWORK": network, "DNSMASQ_IP": f"{place}.31", **places, **volumes}
    try:
        yield settings
    finally:
        remove(name)


@pytest.mark.parametrize(
    ("service", "text", "named"),
    [
        ("exim-external", "", ["DOMAIN is missing", "LDAP_BASE is missing", "LDAP_HOSTS is missing"]),
        (
            "exim-external",
            "DOMAIN=example.test\n",
            ["LDAP_HOSTS is missing", "LDAP_PASSWORD or LDAP_PASSWORD_FILE is missing"],
        ),
        (
            "imap",
            ALL_WRONG,
            ["LDAP_HOSTS", "LDAP_BASE", "MESSAGE_SIZE_LIMIT", "TZ", "MAILBOX_SIZE_LIMIT"],
        ),
        ("ldap", "DOMAIN=example.test\n", ["LDAP_PASSWORD or LDAP_PASSWORD_FILE is missing"]),
        ("mail-redis", "DOMAIN=example.test\nREDIS_PASSWORD_FILE=/nonexistent/file\n", ["/nonexistent/file"]),
    ],
    ids=["nothing", "only the domain", "all wrong", "no password", "no such file"],
)
def test_a_half_written_env_is_told_what_is_missing(
    project: dict[str, str], tmp_path: Path, service: str, text: str, named: list[str]
) -> None:
    """All of it at once and by its variable, with code 78; no value that was secret."""
    env_file = tmp_path / ".env"
    env_file.write_text(text)
    done = compose(env_file, project, "run", "--rm", "--no-deps", "--no-TTY", service)
    output = done.stdout + done.stderr
    assert [word for word in named if word not in output] == [], output
    assert WRONG_PASSWORD not in output
    # A file that is not there is the engine's business: it does not get as far as to our program.
    assert done.returncode != 0 if named == ["/nonexistent/file"] else done.returncode == 78, output


# --- certificates and passwords


@pytest.mark.parametrize("service", ["exim-external", "imap"])
@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("expired", ["TLS_CERTIFICATE", "it expired on"]),
        ("for another name", ["TLS_CERTIFICATE", "it is not for", "other.example.test"]),
        ("empty", ["TLS_CERTIFICATE", "it is empty", "TLS_FULLCHAIN_FILE"]),
        ("another key", ["TLS_CERTIFICATE", "the key is that of another certificate"]),
        ("missing", ["TLS_CERTIFICATE", "No such file"]),
    ],
)
def test_a_bad_certificate_is_refused(
    system: System, tmp_path: Path, service: str, kind: str, words: list[str]
) -> None:
    """Within seconds, with 78, the variable and what is wrong."""
    changes, files = bad_certificate(kind, {"imap": "imap"}.get(service, "mail"), tmp_path)
    refused(system, service, changes, files, words)


@pytest.mark.parametrize("service", ["exim-external", "exim-int-mailout", "imap"])
def test_a_wrong_password_for_the_directory_is_refused(system: System, tmp_path: Path, service: str) -> None:
    """No waiting: it will not become right."""
    system.more_secrets.append(WRONG_PASSWORD)
    password = tmp_path / "password"
    password.write_text(WRONG_PASSWORD)
    refused(system, service, {}, {"/run/secrets/LDAP_PASSWORD": password}, ["LDAP_PASSWORD"])


def test_an_authority_that_is_not_the_directory_s_is_refused(system: System, tmp_path: Path) -> None:
    """The directory's certificate is verified, always."""
    other = Authority(tmp_path / "authority").ca_file
    refused(system, "exim-external", {}, {"/run/secrets/ca": other}, ["LDAP_CA"])


def refused(system: System, service: str, changes: dict[str, str], files: dict[str, Path], words: list[str]) -> None:
    """A twin with these changes ends with 78 and these words, soon and without a secret."""
    with system.twin(service, changes, files) as twin:
        code = twin.wait_end(60)
        logs = twin.logs()
        assert (code, [word for word in words if word not in logs]) == (78, []), logs
        state = twin.state()
        assert instant(state["FinishedAt"]) - instant(state["StartedAt"]) < timedelta(seconds=20)


def bad_certificate(kind: str, name: str, folder: Path) -> tuple[dict[str, str], dict[str, Path]]:
    """Variables and files of a service whose certificate is bad in this way."""
    if kind == "missing":
        return {"TLS_CERTIFICATE": "/run/secrets/nothing"}, {}
    place = folder / "authority"
    authority = Authority(place)
    if kind == "for another name":
        authority.server("DNS:other.example.test")
    else:
        authority.server(f"DNS:{name}.example.test", ends="20200101000000Z" if kind == "expired" else "21000101000000Z")
    certificate = next(place.glob("server*.pem"))
    key = certificate.with_suffix(".key")
    key.chmod(0o644)
    if kind == "empty":
        certificate.write_text("")
    files = {"/run/secrets/letsencrypt-fullchain": certificate, "/run/secrets/letsencrypt-privkey": key}
    if kind == "another key":
        del files["/run/secrets/letsencrypt-privkey"]
    return {}, files


def compose(env_file: Path, settings: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """Compose with this .env; `settings` are what the .env is not about."""
    command = ["docker", "compose", "--project-directory", str(ROOT), "--env-file", str(env_file)]
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "POSTERN_VERSION", "DOCKER_HOST") if name in os.environ}
    return subprocess.run(
        [*command, *arguments], env={**kept, **settings}, capture_output=True, text=True, timeout=110, check=False
    )


def instant(text: str) -> datetime:
    """A time of the engine's."""
    return datetime.fromisoformat(text[:19]).replace(tzinfo=UTC)
