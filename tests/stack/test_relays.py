"""Relays in the world: exim-ext-mailout hands mail to them, with logins, and never over TLS that it cannot verify."""

from __future__ import annotations

import base64
import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from tests.containers import Container, container, wait_until
from tests.stack.clients import SOMEONE, SUBMISSION, new_mail
from tests.stack.system import HOSTILE, REFUSING_DOMAIN, RELAY, RELAY_PLACE, System
from tests.stack.test_out import answer_to
from tools.demo import keys
from tools.demo.world import OUTSIDE

pytestmark = pytest.mark.stack

USER = "postern+relay@example.test"
PASSWORD = f"^a:b^^{HOSTILE}ä"
# The same host by another name: a relay that knows nothing but PLAIN, for which Exim has no form of a caret in front.
PLAIN_RELAY = f"plain.{OUTSIDE}"
PLAIN_PASSWORD = f"a^:b^^{HOSTILE}ä^"
SEND = """
import smtplib, sys
host, sender, recipient = sys.argv[1:]
with smtplib.SMTP(host, 1025, local_hostname="sink.outside.test", timeout=60) as smtp:
    smtp.sendmail(sender, [recipient], sys.stdin.buffer.read())
"""


@dataclass(frozen=True)
class Relays:
    """The relay, and an exim-ext-mailout that uses it and trusts the sink's address."""

    system: System
    relay: Container
    mailout: Container

    def send(self, recipient: str, by: str = "sink") -> EmailMessage:
        """A message of alice that comes to the mailout from a container of the stack.

        For rspamd the sink is a host of outside.test, which may send for that domain: so that is the envelope's.
        """
        mail = new_mail("alice@example.test", recipient)
        sender = self.system.service(by)
        sender.run("python3", "-c", SEND, self.mailout.address(), SOMEONE, recipient, stdin=mail.as_string())
        return mail

    def facts(self, **wanted: Any) -> list[dict[str, Any]]:
        """What the relay was told, as far as it is of this kind."""
        text = self.relay.run("sh", "-c", "cat /sink/relay.jsonl 2>/dev/null || true")
        found = [json.loads(line) for line in text.splitlines()]
        return [facts for facts in found if facts.items() >= wanted.items()]


@pytest.fixture(scope="module")
def relays(system: System, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Relays]:
    """Both containers, running."""
    folder = tmp_path_factory.mktemp("relays")
    make_certificates(folder, system.world.folder)
    system.more_secrets += [PASSWORD, PLAIN_PASSWORD]
    logins = folder / "logins"
    logins.write_text(f"# relays\n{RELAY} {USER}:{PASSWORD}\n{PLAIN_RELAY} {USER}:{PLAIN_PASSWORD}\n")
    mounts = {"/relay.py": Path(__file__).parent / "relay.py", "/keys": folder, "/run/secrets/RELAY_LOGINS": logins}
    bad = {"untrusted.test": 588, "plaintext.test": 589, "othername.test": 590}
    domains = [
        *(f"{domain}={RELAY}:{port}" for domain, port in bad.items()),
        f"partner.test={RELAY}:587",
        f"plain.test={PLAIN_RELAY}:591",
    ]
    options = ("--user=5025:0", "--tmpfs=/sink:mode=1777", "--entrypoint=python3")
    place = system.network_options(system.place(RELAY_PLACE))
    changes = {
        "EXIM_RELAY_HOSTS": system.place(99),
        "RELAY_DOMAINS": " ".join(domains),
        "DEFAULT_RELAY_HOST": f"{RELAY}:587",
        "RELAY_LOGINS_FILE": "/run/secrets/RELAY_LOGINS",
    }
    with (
        container("sink", "-I", "/relay.py", files=mounts, options=[*options, *place]) as relay,
        system.twin("exim-ext-mailout", changes, mounts) as mailout,
    ):
        relay.wait_healthy()
        mailout.wait_healthy()
        yield Relays(system, relay, mailout)


@pytest.mark.parametrize(
    ("domain", "port", "mechanism", "password"),
    [
        ("partner.test", 587, "LOGIN", PASSWORD),
        ("plain.test", 591, "PLAIN", PLAIN_PASSWORD),
        ("everywhere.test", 587, "LOGIN", PASSWORD),
    ],
    ids=["by domain", "by domain with PLAIN", "by default"],
)
def test_mail_goes_with_the_login(relays: Relays, domain: str, port: int, mechanism: str, password: str) -> None:
    """Over TLS, signed, and with user and password to the last byte."""
    mail = relays.send(f"someone@{domain}")
    told = wait_until(lambda: relays.facts(message_id=mail["Message-ID"]), 60, "it is at the relay")
    assert [(facts["port"], facts["recipients"]) for facts in told] == [(port, [f"someone@{domain}"])]
    assert (told[0]["tls"], told[0]["signed"]) == (True, True)
    logins = [facts for facts in relays.facts(port=port) if "login" in facts]
    assert logins == relays.facts(port=port, mechanism=mechanism, login=encoded(USER), password=encoded(password))
    assert logins


@pytest.mark.parametrize(
    ("domain", "port"), [("untrusted.test", 588), ("plaintext.test", 589), ("othername.test", 590)]
)
def test_no_login_without_verified_tls(relays: Relays, domain: str, port: int) -> None:
    """A stranger's certificate, one for another name, no TLS at all: the mail waits, and the password is not told."""
    mail = relays.send(f"someone@{domain}")

    def deferred() -> bool:
        return any(f"== someone@{domain}" in event["event"] for event in relays.mailout.events())

    wait_until(deferred, 60, "it is deferred")
    assert f"someone@{domain}" in relays.mailout.run("exim4", "-bp")
    assert relays.facts(port=port) == []
    assert not relays.facts(message_id=mail["Message-ID"])


def test_only_named_hosts_may_use_them(relays: Relays) -> None:
    """EXIM_RELAY_HOSTS names the sink here and nobody else: not even the stack's own roles."""
    with pytest.raises(AssertionError, match="Relaying is not permitted"):
        relays.send("someone@partner.test", by="exim-int-mailout")


def test_the_passwords_are_in_one_file_of_the_user(relays: Relays) -> None:
    """Mode 0600, below /run, and nowhere in the main configuration."""
    assert relays.mailout.run("stat", "-c", "%a %u", "/run/config/relay_logins").split() == ["600", "5025"]
    for form in (PASSWORD, encoded(PASSWORD)):
        assert form not in relays.mailout.run("cat", "/run/config/exim.conf")


def test_a_refusal_of_the_world_comes_back(system: System, relays: Relays) -> None:
    """The bounce has the words of the server that refused."""
    with system.member(SUBMISSION, "bob") as session:
        mail = new_mail("bob@example.test", f"someone@{REFUSING_DOMAIN}")
        assert session.submitted("bob@example.test", mail["To"], mail)[0] == 250
    assert "Nobody wants this here" in str(system.received("bob", answer_to(mail)))


def test_a_login_in_two_places_is_a_mistake(system: System, tmp_path: Path) -> None:
    """RELAY_LOGINS and RELAY_LOGINS_FILE at once: 78, and no word of either password."""
    logins = tmp_path / "logins"
    logins.write_text(f"{RELAY} {USER}:{PASSWORD}\n")
    changes = {"RELAY_LOGINS": f"{RELAY} {USER}:another-password", "RELAY_LOGINS_FILE": "/run/secrets/RELAY_LOGINS"}
    with system.twin("exim-ext-mailout", changes, {"/run/secrets/RELAY_LOGINS": logins}) as twin:
        assert twin.wait_end() == 78
        assert "RELAY_LOGINS" in twin.logs()
        assert "another-password" not in twin.logs()
        assert PASSWORD not in twin.logs()


def make_certificates(folder: Path, world: Path) -> None:
    """good: of the world's authority for the relay; othername: of it for another host; untrusted: of another one."""
    for name, host, ours in (
        ("good", RELAY, True),
        ("othername", SOMEONE.partition("@")[2], True),
        ("untrusted", RELAY, False),
    ):
        if ours:
            for file in ("ca.pem", "ca.key"):
                shutil.copy(world / file, folder)
        else:
            keys.make_authority(folder, "somebody else")
        keys.make_certificate(folder, [f"DNS:{host}", f"DNS:{PLAIN_RELAY}"])
        for end in ("pem", "key"):
            (folder / f"server.{end}").rename(folder / f"{name}.{end}")
            (folder / f"{name}.{end}").chmod(0o644)
        for file in ("ca.pem", "ca.key"):
            (folder / file).unlink()
    folder.chmod(0o755)


def encoded(text: str) -> str:
    """As the relay writes down what it was told."""
    return base64.b64encode(text.encode()).decode()
