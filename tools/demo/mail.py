"""Clients: mail from outside, mail of members, and how both arrive. Certificates are verified everywhere."""

from __future__ import annotations

import imaplib
import json
import smtplib
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any, TypeVar

from tools.console import ToolError
from tools.demo.stack import Stack
from tools.demo.world import CLIENT, World

T = TypeVar("T")

TIMEOUT_S = 30.0
ARRIVES_S = 60.0
POLL_S = 0.1

# Service and port in the container.
MX = ("exim-external", 1025)
SUBMISSION = ("exim-int-mailout", 1587)
IMAPS = ("imap", 1993)


def message(sender: str, recipient: str, subject: str, body: str) -> EmailMessage:
    """A message as a mail program writes it."""
    new = EmailMessage()
    new["From"], new["To"], new["Subject"] = sender, recipient, subject
    new["Date"], new["Message-ID"] = formatdate(localtime=True), make_msgid(domain=sender.partition("@")[2])
    new.set_content(body)
    return new


@dataclass(frozen=True)
class Clients:
    """Programs on this machine that talk to a stack through its published ports."""

    stack: Stack
    world: World

    def tls(self) -> ssl.SSLContext:
        """TLS that believes the world's authority only."""
        return ssl.create_default_context(cafile=str(self.world.ca_file))

    @contextmanager
    def smtp(self, door: tuple[str, int], login: tuple[str, str] | None = None) -> Iterator[smtplib.SMTP]:
        """A session behind STARTTLS, and behind AUTH with a login."""
        with smtplib.SMTP(*self.stack.port(*door), local_hostname=CLIENT, timeout=TIMEOUT_S) as session:
            session.starttls(context=self.tls())
            if login:
                session.login(*login)
            yield session

    @contextmanager
    def imap(self, login: tuple[str, str]) -> Iterator[imaplib.IMAP4_SSL]:
        """A session over IMAPS, logged in."""
        host, port = self.stack.port(*IMAPS)
        with imaplib.IMAP4_SSL(host, port, ssl_context=self.tls(), timeout=TIMEOUT_S) as session:
            session.login(*login)
            yield session

    def login(self, uid: str) -> tuple[str, str]:
        """A member's login: the address, and the password."""
        return self.world.address(uid), self.world.password(uid)

    def from_outside(self, mail: EmailMessage) -> str:
        """Bring a message to the MX as a server of the world does; returns the TLS version."""
        with self.smtp(MX) as session:
            session.send_message(mail)
            return tls_version(session)

    def from_member(self, uid: str, mail: EmailMessage) -> str:
        """Submit a member's message; returns the TLS version."""
        with self.smtp(SUBMISSION, self.login(uid)) as session:
            session.send_message(mail)
            return tls_version(session)

    def in_mailbox(self, uid: str, message_id: str, folder: str = "INBOX", within_s: float = ARRIVES_S) -> bytes:
        """The message as the member reads it, as soon as it is there."""
        with self.imap(self.login(uid)) as session:
            found = wait_for(lambda: find(session, folder, message_id), within_s)
        if found is None:
            raise ToolError(f"cannot find {message_id} in {folder} of {uid} after {within_s:.0f} s")
        return found

    def in_sink(self, message_id: str, within_s: float = ARRIVES_S) -> dict[str, Any]:
        """What the world got and found out about it, as soon as it is there (see images/sink)."""
        found = wait_for(lambda: next((m for m in self.sink() if m["message_id"] == message_id), None), within_s)
        if found is None:
            raise ToolError(f"cannot find {message_id} in the sink after {within_s:.0f} s")
        return found

    def sink(self) -> list[dict[str, Any]]:
        """All that the world got."""
        found: list[dict[str, Any]] = json.loads(self.stack.execute("sink", "sink", "messages"))
        return found


def find(session: imaplib.IMAP4, folder: str, message_id: str) -> bytes | None:
    """The message with this ID in the folder; None when it is not there."""
    # Selecting the folder anew shows what came since.
    if session.select(folder, readonly=True)[0] != "OK":
        return None
    numbers = session.search(None, "HEADER", "Message-ID", f'"{message_id}"')[1][0].split()
    if not numbers:
        return None
    content = session.fetch(numbers[0].decode(), "(BODY.PEEK[])")[1][0]
    assert isinstance(content, tuple)
    return content[1]


def tls_version(session: smtplib.SMTP) -> str:
    """What the connection is encrypted with."""
    return (session.sock.version() if isinstance(session.sock, ssl.SSLSocket) else None) or "no TLS"


def wait_for(ask: Callable[[], T | None], within_s: float) -> T | None:
    """The first answer that is not None; None when there is none in this time."""
    deadline = time.monotonic() + within_s
    while (answer := ask()) is None and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return answer
