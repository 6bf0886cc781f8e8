"""Mailboxes at other providers, a line each: to whom, what then, from where, and the login, which is last.

    alice@example.org  delete  imaps://imap.example.net  alice@example.net:password

The password is the rest of the line, whatever is in it. Errors name the line, and never show what stands there.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from entrypoint.settings.kinds import email, host_name, port, printable
from entrypoint.settings.schema import Kind, Secret

# Protocol and usual port; those with an s begin with TLS, the others go on with STARTTLS, or not at all.
_SCHEMES = {"imaps": ("IMAP", 993), "imap": ("IMAP", 143), "pop3s": ("POP3", 995), "pop3": ("POP3", 110)}
_SERVER = re.compile(rf"({'|'.join(_SCHEMES)})://([^:/@\s]+)(?::([0-9]+))?/?", re.IGNORECASE)
_FORM = "recipient delete|keep imaps://server login:password"
# fetchmail's own limits are not far above (fetchmail.h, USERNAMELEN, PASSWORDLEN).
_LONGEST_LOGIN, _LONGEST_PASSWORD = 83, 255


@dataclass(frozen=True)
class Mailbox:
    """What is fetched from where, and who gets it."""

    recipient: str
    keep: bool
    protocol: str  # IMAP or POP3
    host: str
    port: int
    tls: str  # tls: from the first byte; starttls
    login: str
    password: Secret

    @property
    def title(self) -> str:
        """What people and logs call it."""
        return f"{self.login} at {self.host}"

    @property
    def name(self) -> str:
        """The same for files: it stays when lines come and go, so what is known of fetched mail does, too."""
        digest = hashlib.sha256(f"{self.login}\0{self.host}\0{self.port}".encode()).hexdigest()
        return f"{self.host}+{digest[:12]}"


def _mailboxes(text: str) -> tuple[Mailbox, ...]:
    found = [(number, _mailbox(number, line)) for number, line in _used(text)]
    seen: dict[str, int] = {}
    for number, mailbox in found:
        if mailbox.name in seen:
            raise ValueError(f"has the same mailbox in the lines {seen[mailbox.name]} and {number}")
        seen[mailbox.name] = number
    return tuple(mailbox for _, mailbox in found)


def _used(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines, which also ends one at U+2028
        if line.strip() and not line.lstrip().startswith("#"):
            yield number, line.strip()


def _mailbox(number: int, line: str) -> Mailbox:
    words = re.split(r"[ \t]+", line, maxsplit=3)
    if len(words) < 4:
        raise ValueError(f"has a line {number} that is not: {_FORM}")
    recipient, then, server, login = words
    scheme, host, at = _server(number, server)
    user, password = _login(number, login)
    protocol, usual = _SCHEMES[scheme]
    return Mailbox(
        recipient=_recipient(number, recipient),
        keep=_keeps(number, then),
        protocol=protocol,
        host=host,
        port=at or usual,
        tls="tls" if scheme.endswith("s") else "starttls",
        login=user,
        password=Secret(password),
    )


def _recipient(number: int, text: str) -> str:
    try:
        return email.parse(text)
    except ValueError:
        raise ValueError(f"has no mail address of a member at the beginning of line {number}") from None


def _keeps(number: int, word: str) -> bool:
    if word.lower() not in {"delete", "keep"}:
        raise ValueError(f"does not say delete or keep as the second word of line {number}")
    return word.lower() == "keep"


def _server(number: int, text: str) -> tuple[str, str, int]:
    match = _SERVER.fullmatch(text)
    try:
        if match:
            return match[1].lower(), host_name(match[2]), port.parse(match[3]) if match[3] else 0
    except ValueError:
        pass
    raise ValueError(
        f"has no server as the third word of line {number}, such as imaps://imap.example.net, imap:// (with STARTTLS), "
        "pop3s:// or pop3://"
    )


def _login(number: int, text: str) -> tuple[str, str]:
    user, colon, password = text.partition(":")
    if not (user and colon and password) or re.search(r"\s", user):
        raise ValueError(f"has no login:password at the end of line {number}")
    if len(user.encode()) > _LONGEST_LOGIN or len(password.encode()) > _LONGEST_PASSWORD:
        raise ValueError(
            f"has a login or a password in line {number} that is too long: {_LONGEST_LOGIN} and {_LONGEST_PASSWORD} "
            "bytes are possible"
        )
    try:
        return printable(user), printable(password)
    except ValueError as error:
        raise ValueError(f"has a line {number} that {error}") from None


mailboxes = Kind(f"lines of the form: {_FORM}", _mailboxes)
