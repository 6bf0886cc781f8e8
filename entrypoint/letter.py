"""The message that `health --deep` sends through the whole system: SMTP, verdict, LMTP, IMAP, and away with it.

It goes to a member that nobody uses, and says of itself that it is automatic, so that nothing is sent in return.
"""

from __future__ import annotations

import imaplib
import os
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, localtime

from entrypoint.errors import ProbeError
from entrypoint.plan import Letter
from entrypoint.probes import where
from entrypoint.probes.mail import hand_over

DEADLINE_S = 30.0  # a message takes a second; with greylisting or a full queue it would take minutes
_PAUSE_S = 0.1
_MARK = "X-Postern-Health"
_FOLDERS = ("INBOX", "Junk")
_DAY_S = 86_400


@dataclass(frozen=True, kw_only=True)
class Journey:
    """How far a message came: `line` says so; `accepted_s` is the answer to DATA, `seconds` the whole."""

    ok: bool
    line: str
    folder: str = ""
    accepted_s: float | None = None
    seconds: float | None = None


def send(letter: Letter, deadline_s: float = DEADLINE_S) -> Journey:
    """Send one, wait for it, read it and remove it."""
    begin, name = time.monotonic(), os.urandom(12).hex()
    try:
        hand_over(letter.entrance, letter.recipient, _text(letter.recipient, name))
    except ProbeError as error:
        server = where(letter.entrance)
        return Journey(ok=False, line=f"a message to {letter.recipient} was not taken by {server}: {error}")
    accepted_s = round(time.monotonic() - begin, 3)
    try:
        with _mailbox(letter, deadline_s) as session:
            folder = _wait_for(session, name, begin + deadline_s)
            _remove_old(session)
    except (imaplib.IMAP4.error, OSError, EOFError) as error:
        return Journey(ok=False, line=f"cannot read the mailbox of {letter.recipient}: {error}", accepted_s=accepted_s)
    seconds = round(time.monotonic() - begin, 3)
    if not folder:
        line = f"a message to {letter.recipient} was taken, but was not there after {seconds:.0f} s: see the queue"
        return Journey(ok=False, line=line, accepted_s=accepted_s, seconds=seconds)
    line = f"a message took {seconds:.1f} s to {letter.recipient}"
    return Journey(ok=True, line=line, folder=folder, accepted_s=accepted_s, seconds=seconds)


def _text(recipient: str, name: str) -> bytes:
    message = EmailMessage(policy=SMTP)
    message["Date"] = format_datetime(localtime())
    message["From"] = message["To"] = recipient
    message["Subject"] = "Health check"
    message["Message-ID"] = f"<{name}@{recipient.rpartition('@')[2]}>"
    message["Auto-Submitted"] = "auto-generated"
    message[_MARK] = name
    message.set_content("This message was sent by `entrypoint health --deep`, which removes it again.\n")
    return message.as_bytes()


@contextmanager
def _mailbox(letter: Letter, deadline_s: float) -> Iterator[imaplib.IMAP4]:
    """An IMAP session as the recipient, which is ended when it takes too long."""
    command = ("timeout", f"{deadline_s + 5:g}", *letter.mailbox)
    session = imaplib.IMAP4_stream(f"exec {shlex.join(command)} 2>/dev/null")
    try:
        yield session
    finally:
        with suppress(imaplib.IMAP4.error, OSError, ValueError):
            session.logout()


def _wait_for(session: imaplib.IMAP4, name: str, end: float) -> str:
    """The folder in which the message was read and removed; "" when it did not come in time."""
    while True:
        for folder in _FOLDERS:
            if _read_and_remove(session, folder, f'HEADER {_MARK} "{name}"', name):
                return folder
        if time.monotonic() > end:
            return ""
        time.sleep(_PAUSE_S)


def _read_and_remove(session: imaplib.IMAP4, folder: str, wanted: str, name: str) -> bool:
    """Whether there was such a message, and its text could be read."""
    if session.select(folder)[0] != "OK":
        return False  # a folder that this member does not have
    read = False
    for uid in (session.uid("SEARCH", wanted)[1][0] or b"").split():
        content = session.uid("FETCH", uid.decode(), "(BODY.PEEK[])")[1][0]
        read = isinstance(content, tuple) and name.encode() in content[1]
        session.uid("STORE", uid.decode(), "+FLAGS.SILENT", r"(\Deleted)")
        session.uid("EXPUNGE", uid.decode())
    return read


def _remove_old(session: imaplib.IMAP4) -> None:
    """Those that came too late for whoever waited for them; younger ones may be waited for by somebody else."""
    before = time.strftime("%d-%b-%Y", time.gmtime(time.time() - _DAY_S))
    for folder in _FOLDERS:
        _read_and_remove(session, folder, f'HEADER {_MARK} "" BEFORE {before}', "")
