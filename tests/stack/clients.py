"""Clients of the stack: SMTP with the answers as values, since tests are about refusals as much as about success."""

from __future__ import annotations

import base64
import contextlib
import re
import smtplib
import socket
import ssl
import subprocess
from dataclasses import dataclass, replace
from email.message import EmailMessage

from tools.demo.mail import message
from tools.demo.world import CLIENT, OUTSIDE

NUL = b"\0"
SOMEONE = f"someone@{OUTSIDE}"

Answer = tuple[int, str]


@dataclass(frozen=True)
class Door:
    """A port of a service as clients see it; `tls` is "", "starttls" or "tls" (from the first byte)."""

    service: str
    port: int
    tls: str = "starttls"

    def __str__(self) -> str:
        return f"{self.service}-{self.port}"

    def without_tls(self) -> Door:
        """The same port, for a client that does not ask for TLS."""
        return replace(self, tls="")


MX = Door("exim-external", 1025)
MX_SUBMISSION = Door("exim-external", 1587)
MX_SUBMISSIONS = Door("exim-external", 1465, "tls")
SUBMISSION = Door("exim-int-mailout", 1587)
MAILOUT = (Door("exim-ext-mailout", 1025), Door("exim-ext-mailout", 1587), Door("exim-ext-mailout", 1465, "tls"))
FOR_MEMBERS = (SUBMISSION, MX_SUBMISSION, MX_SUBMISSIONS)


class Session(smtplib.SMTP):
    """smtplib's client, with the answers as values; with `tls` it begins with the first byte.

    Its names are those of this machine's clients: certificates are compared with localhost.
    """

    _host: str  # smtplib's name for the server, which STARTTLS compares

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        super().__init__(local_hostname=CLIENT, timeout=60)
        self._host = "localhost"
        code, text = self.connect(host, port)
        if code != 220:
            raise smtplib.SMTPConnectError(code, text)
        self.ehlo()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # After an interruption the next answer is that to another command; smtplib would complain about it instead.
        with contextlib.suppress(OSError, smtplib.SMTPException):
            if kind is None:
                self.sent("QUIT")
        self.close()

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        plain = socket.create_connection((host, port), timeout)
        return self._tls.wrap_socket(plain, server_hostname="localhost") if self._tls else plain

    def behind_tls(self, tls: ssl.SSLContext) -> Session:
        """This session, after STARTTLS and another EHLO."""
        self.starttls(context=tls)
        self.ehlo()
        return self

    def sent(self, command: str | bytes) -> Answer:
        """The answer to a command, sent byte for byte."""
        self.send((command.encode() if isinstance(command, str) else command) + b"\r\n")
        return self.answered()

    def answered(self) -> Answer:
        """The next answer, with its lines joined."""
        code, text = self.getreply()
        return code, text.decode(errors="replace")

    def logged_in(self, user: str | bytes, password: str, mechanism: str = "PLAIN") -> Answer:
        """The answer to AUTH. (smtplib's own login knows ASCII only.)"""
        name, word = user.encode() if isinstance(user, str) else user, password.encode()
        if mechanism == "PLAIN":
            return self.sent(f"AUTH PLAIN {encoded(b''.join((NUL, name, NUL, word)))}")
        code, text = self.sent("AUTH LOGIN")
        for part in (name, word):
            if code == 334:
                code, text = self.sent(encoded(part))
        return code, text

    def submitted(self, sender: str, recipients: str | list[str], content: EmailMessage | bytes) -> Answer:
        """The last answer to a message, or the first that is no acceptance."""
        raw = content if isinstance(content, bytes) else bytes(content)
        self.sent("RSET")
        to = [recipients] if isinstance(recipients, str) else recipients
        for command in (f"MAIL FROM:<{sender}>", *(f"RCPT TO:<{one}>" for one in to), "DATA"):
            code, text = self.sent(command)
            if code not in (250, 354):
                return code, text
        return self.finished(raw)

    def finished(self, content: bytes) -> Answer:
        """The answer to the text of a message, after DATA."""
        lines = re.sub(rb"(?m)^\.", b"..", re.sub(rb"\r?\n", b"\r\n", content))
        return self.sent(lines.rstrip(b"\r\n") + b"\r\n.")


def encoded(raw: bytes) -> str:
    """In base64, which AUTH wants."""
    return base64.b64encode(raw).decode()


def new_mail(sender: str, recipient: str, subject: str = "Test") -> EmailMessage:
    """A message that no filter minds."""
    return message(sender, recipient, subject, "This is a message for a test.\n")


def swaks(*arguments: str) -> subprocess.CompletedProcess[str]:
    """swaks, a client that is not ours; its exit code says how far it got."""
    return subprocess.run(
        ["swaks", "--timeout", "60", *arguments], capture_output=True, text=True, timeout=110, check=False
    )
