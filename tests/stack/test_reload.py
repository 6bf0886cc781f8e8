"""Reloads under load: nothing that was acknowledged is lost, and nobody who reads mail is thrown out."""

from __future__ import annotations

import imaplib
import json
import shutil
import smtplib
import ssl
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import cycle, islice
from pathlib import Path

import pytest

from tests.containers import docker, wait_until
from tests.stack.clients import MX, MX_SUBMISSIONS, SOMEONE, SUBMISSION, Door, new_mail
from tests.stack.system import System
from tools.demo import keys
from tools.demo.world import names

pytestmark = [pytest.mark.stack, pytest.mark.timeout(580)]

RELOADS = 20
MOST = 100  # messages of a sender
PAUSE_S = 0.15
# Each service with its daemon.
RELOADED = {"exim-external": "exim", "exim-int-mailout": "exim", "imap": "dovecot"}
Send = Callable[[str], tuple[str, int]]


@dataclass
class Sender:
    """Sends mail until it is told to stop; `acknowledged` has the Message-IDs that were answered with 250."""

    send: Send
    stop: threading.Event
    acknowledged: list[str] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)

    def run(self) -> None:
        """One message after the other, each with a session of its own; who is not answered tries the next one."""
        for count in range(MOST):
            try:
                name, code = self.send(f"Reload {count}")
            except (OSError, smtplib.SMTPException) as error:
                self.refused[type(error).__name__] += 1
            else:
                if code == 250:
                    self.acknowledged.append(name)
                else:
                    self.refused[str(code)] += 1
            if self.stop.wait(PAUSE_S):
                return


@dataclass
class Reader:
    """A member's session in IDLE."""

    session: imaplib.IMAP4_SSL
    tag: bytes = b""

    def begin(self) -> None:
        """IDLE in the inbox."""
        assert self.session.select("INBOX")[0] == "OK"
        self.tag = self.session._new_tag()
        self.session.send(self.tag + b" IDLE\r\n")
        assert self.session.readline().startswith(b"+ ")

    def end(self) -> list[bytes]:
        """What it was told meanwhile; AssertionError when the session is not the same any more."""
        self.session.send(b"DONE\r\n")
        told = self._lines()
        assert self.session.noop()[0] == "OK"
        return told

    def _lines(self) -> list[bytes]:
        lines: list[bytes] = []
        while not (line := self.session.readline()).startswith(self.tag):
            assert line, f"the session has ended after {lines[-3:]}"
            lines.append(line)
        assert b"OK" in line
        return lines


@pytest.fixture
def pairs(system: System, tmp_path: Path) -> Iterator[tuple[str, str]]:
    """Certificates with their keys, one after the other for ever: each is good."""
    found = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        for file in ("ca.pem", "ca.key"):
            shutil.copy(system.world.folder / file, folder)
        keys.make_certificate(folder, names(system.world.domain))
        found.append(((folder / "server.pem").read_text(), (folder / "server.key").read_text()))
    return cycle(found)


def test_reloads_under_load_lose_nothing_and_nobody(system: System, pairs: Iterator[tuple[str, str]]) -> None:
    """20 reloads of both Exims and imap while mail flows through both and members wait for it in IDLE."""
    began = datetime.now(UTC).isoformat()
    stop = threading.Event()
    senders = {"alice": Sender(from_outside(system, "alice"), stop), "bob": Sender(from_member(system, "bob"), stop)}
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        readers = [Reader(stack.enter_context(system.imap(uid))) for uid in ("alice", "alice", "bob", "bob", "erin")]
        for reader in readers:
            reader.begin()
        runs = [pool.submit(sender.run) for sender in senders.values()]
        try:
            for certificate, key in islice(pairs, RELOADS):
                reload_all(system, certificate, key)
        finally:
            stop.set()
        for run in runs:
            run.result()
        told = [reader.end() for reader in readers]
    assert all(signals(system, service, began) >= RELOADS for service in RELOADED)
    certificate = (system.world.folder / "secrets" / "server.pem").read_text()
    for door in (Door("imap", 1993, "tls"), MX_SUBMISSIONS):
        assert ssl.get_server_certificate(system.where(door)).strip() == certificate.strip()
    for uid, sender in senders.items():
        print(f"{uid}: {len(sender.acknowledged)} acknowledged, not taken: {dict(sender.refused)}")
        assert len(sender.acknowledged) >= RELOADS
        arrive(system, uid, sender.acknowledged)
    assert all(any(b"EXISTS" in line for line in lines) for lines in told[:4])
    assert "Sent SIGTERM" not in docker("logs", "--since", began, system.service("imap").name)


def from_outside(system: System, uid: str) -> Send:
    """By the MX."""

    def send(subject: str) -> tuple[str, int]:
        mail = new_mail(SOMEONE, system.world.address(uid), subject)
        with system.smtp(MX) as session:
            return mail["Message-ID"], session.submitted(SOMEONE, mail["To"], mail)[0]

    return send


def from_member(system: System, uid: str) -> Send:
    """By the submission server, as alice."""
    sender = system.world.address("alice")

    def send(subject: str) -> tuple[str, int]:
        mail = new_mail(sender, system.world.address(uid), subject)
        with system.smtp(SUBMISSION) as session:
            code, _ = session.logged_in(sender, system.world.password("alice"))
            return mail["Message-ID"], session.submitted(sender, mail["To"], mail)[0] if code == 235 else code

    return send


def reload_all(system: System, certificate: str, key: str) -> None:
    """SIGHUP to all, with another certificate, until all have taken it."""
    secrets = system.world.folder / "secrets"
    before = {service: reloaded_at(system, service) for service in RELOADED}
    (secrets / "server.pem").write_text(certificate)
    (secrets / "server.key").write_text(key)
    for service in RELOADED:
        docker("kill", "--signal", "HUP", system.service(service).name)

    def taken(service: str) -> bool:
        """A reload that had begun before may end now, too, without having seen this pair."""
        pair = system.service(service).run("cat", "/run/tls/pair.pem")
        return pair == certificate + key and reloaded_at(system, service) > before[service]

    wait_until(lambda: all(map(taken, RELOADED)), 60, "all are reloaded")


def reloaded_at(system: System, service: str) -> float:
    """When it was reloaded last, well; 0 before the first time."""
    reload = json.loads(system.service(service).run("cat", "/run/entrypoint/state.json"))["reload"]
    return float(reload["at"]) if reload and reload["ok"] else 0.0


def signals(system: System, service: str, since: str) -> int:
    """How often its daemon was told to read its files again."""
    lines = docker("logs", "--since", since, system.service(service).name).splitlines()
    events = [json.loads(line) for line in lines if line.startswith("{")]
    return sum(e["event"] == "sending a signal" and e.get("daemon") == RELOADED[service] for e in events)


def arrive(system: System, uid: str, wanted: list[str]) -> None:
    """Wait until each message is in the member's inbox, once."""
    with system.imap(uid) as session:

        def missing() -> set[str]:
            assert session.select("INBOX", readonly=True)[0] == "OK"
            _, data = session.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])")
            found = Counter(part[1].decode().split()[-1] for part in data if isinstance(part, tuple))
            assert all(found[name] <= 1 for name in wanted)
            return set(wanted) - set(found)

        for service in ("exim-external", "exim-int-mailout"):
            system.hurry(service)
        wait_until(lambda: not missing(), 120, f"all of {len(wanted)} messages in the inbox of {uid}")
