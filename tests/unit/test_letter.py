"""The message of `health --deep`, at a real SMTP server and a mailbox on stdin and stdout."""

from __future__ import annotations

import socket
import sys
import time
from email import message_from_bytes
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from entrypoint import letter
from entrypoint.plan import Letter, Probe

# IMAP enough to find, read and remove messages that are files: their numbers are their names.
MAILBOX = """
import pathlib, re, sys
folder = pathlib.Path(sys.argv[1])
def say(text): sys.stdout.write(text + "\\r\\n"); sys.stdout.flush()
say("* PREAUTH [CAPABILITY IMAP4rev1] ready")
for line in sys.stdin:
    tag, command = line.rstrip().split(" ", 1)
    words = command.split()
    here = sorted(each.name for each in folder.iterdir()) if folder.exists() else []
    if command.startswith("SELECT Junk"): selected = []; say("* 0 EXISTS")
    elif words[0] == "SELECT": selected = here; say(f"* {len(here)} EXISTS")
    elif words[:2] == ["UID", "SEARCH"]:
        wanted = re.search('"(.*?)"', command)[1]
        found = [name for name in selected if wanted and wanted in (folder / name).read_text()]
        say("* SEARCH " + " ".join(found))
    elif words[:2] == ["UID", "FETCH"]:
        text = (folder / words[2]).read_text()
        say(f"* 1 FETCH (UID {words[2]} BODY[] {{{len(text)}}}"); say(text + ")")
    elif words[:2] == ["UID", "EXPUNGE"]: (folder / words[2]).unlink()
    elif words[0] == "LOGOUT": say("* BYE"); say(f"{tag} OK done"); break
    elif words[0] == "CAPABILITY": say("* CAPABILITY IMAP4rev1")
    say(f"{tag} OK done")
"""


class Delivery:
    """Puts messages into the folder; an address that begins with "nobody" is refused."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.senders: list[str | None] = []

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: Any
    ) -> str:
        envelope.rcpt_tos.append(address)
        return "550 5.1.1 Unknown recipient" if address.startswith("nobody") else "250 ok"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.senders.append(envelope.mail_from)
        assert isinstance(envelope.content, bytes)
        (self.folder / str(len(self.senders))).write_bytes(envelope.content.replace(b"\r\n", b"\n"))
        return "250 taken"


@pytest.fixture
def delivery(tmp_path: Path) -> Delivery:
    (tmp_path / "inbox").mkdir()
    return Delivery(tmp_path / "inbox")


def sent(delivery: Delivery, recipient: str = "health@example.org", **fields: Any) -> letter.Journey:
    """How far a message comes."""
    mailbox = (sys.executable, "-c", MAILBOX, str(delivery.folder))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    controller = Controller(delivery, hostname="127.0.0.1", port=port)
    controller.start()
    try:
        entrance = Probe(kind="smtp", host="127.0.0.1", port=port)
        return letter.send(Letter(**{"recipient": recipient, "entrance": entrance, "mailbox": mailbox, **fields}), 1.0)
    finally:
        controller.stop()


def test_it_is_sent_found_read_and_removed(delivery: Delivery) -> None:
    """From nobody, and nothing but it is touched."""
    (delivery.folder / "other").write_text("Subject: of a person")
    journey = sent(delivery)
    assert (journey.ok, journey.folder) == (True, "INBOX")
    assert journey.line.endswith(" s to health@example.org")
    assert journey.accepted_s is not None
    assert journey.seconds is not None
    assert 0 < journey.accepted_s < journey.seconds
    assert delivery.senders == ["<>"]
    assert [each.name for each in delivery.folder.iterdir()] == ["other"]


def test_what_it_says_of_itself() -> None:
    """Automatic, so that nobody answers; no line is too long, ends wrongly or begins with a dot."""
    text = letter._text("health@example.org", "abc")
    mail = message_from_bytes(text)
    assert (mail["Auto-Submitted"], mail["Message-ID"], mail["X-Postern-Health"]) == (
        "auto-generated",
        "<abc@example.org>",
        "abc",
    )
    assert text.endswith(b"\r\n")
    assert text.count(b"\n") == text.count(b"\r\n")
    assert not [line for line in text.splitlines() if line.startswith(b".") or len(line) > 998]


def test_it_is_not_taken(delivery: Delivery) -> None:
    """The server's own words."""
    journey = sent(delivery, "nobody@example.org")
    assert not journey.ok
    assert "a message to nobody@example.org was not taken by smtp://127.0.0.1:" in journey.line
    assert journey.line.endswith("answer: refuses: 550 5.1.1 Unknown recipient")


def test_it_does_not_come_out(delivery: Delivery, tmp_path: Path) -> None:
    """Taken, but not there in time."""
    elsewhere = (sys.executable, "-c", MAILBOX, str(tmp_path / "elsewhere"))
    begin = time.monotonic()
    journey = sent(delivery, mailbox=elsewhere)
    assert not journey.ok
    assert journey.line == "a message to health@example.org was taken, but was not there after 1 s: see the queue"
    assert time.monotonic() - begin < 10


def test_a_mailbox_that_cannot_be_read(delivery: Delivery) -> None:
    """A program that ends, or is not there."""
    for mailbox in (("false",), ("/no/such/program",)):
        journey = sent(delivery, mailbox=mailbox)
        assert not journey.ok
        assert journey.line.startswith("cannot read the mailbox of health@example.org: ")
