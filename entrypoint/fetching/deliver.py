"""One fetched message from stdin into the mailbox of a member: scanned by rspamd, then by LMTP with verified TLS.

The provider has accepted it long ago, so nobody is there to be told that it is refused. Spam of any score goes to Junk
therefore, marked as exim-external marks it. What has a virus, or cannot be scanned or delivered now, stays at the
provider: 75, on which fetchmail leaves it there, and tries again in the next round.

    DELIVER_TO    the member; LMTP_HOST, LMTP_PORT, TLS_CA: the mail store, and whom its certificate is verified by
    RSPAM         rspamd's worker, as host:port
    LIMIT_BYTES   the largest message
"""

from __future__ import annotations

import http.client
import json
import os
import re
import smtplib
import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message as Headers
from email.parser import BytesHeaderParser
from typing import Any

EX_TEMPFAIL = 75
CONNECT_S, SCAN_S, DELIVER_S = 10.0, 60.0, 60.0
MARKS = ("X-Spam-Flag", "X-Spam-Score", "X-Spam-Status", "X-Spam-Level", "X-Spam")
# What asks about the connection of a sender has nothing to ask here, and a recipient who is not in To is usual.
_SETTINGS = json.dumps(
    {"symbols_disabled": ["GREYLIST_CHECK", "GREYLIST_SAVE", "FORGED_RECIPIENTS"], "groups_disabled": ["hfilter"]}
)
_CHUNK = 1024**2
_TO_JUNK = {"add header", "rewrite subject", "reject"}
_MARK = re.compile(rb"(?mi)^(?:" + b"|".join(name.encode() for name in MARKS) + rb")[ \t]*:.*\n(?:[ \t].*\n)*")
_ADDRESS = re.compile(r"<?([!-~]{1,64}@[A-Za-z0-9.-]{1,253})>?")


class RefusedMessage(Exception):
    """The message stays where it is; the text says why."""


@dataclass(frozen=True)
class Verdict:
    """rspamd's: what to do, the score, and the virus, if it has found one."""

    action: str
    score: float
    virus: str = ""


@dataclass(frozen=True)
class Message:
    """A message as it came, with what is asked of its headers. `body` here is all of it."""

    body: bytes
    headers: Headers = field(repr=False)

    @classmethod
    def of(cls, body: bytes) -> Message:
        """The message without marks of others, which say nothing here. Its lines end with LF, as fetchmail has them."""
        head, blank, rest = body.replace(b"\r\n", b"\n").partition(b"\n\n")
        clean = _MARK.sub(b"", head + b"\n").removesuffix(b"\n")
        return cls(clean + blank + rest, BytesHeaderParser().parsebytes(clean + b"\n\n"))

    @property
    def id(self) -> str:
        """Message-ID without <>, and without what is in no good one."""
        return re.sub(r"[^!-;=?-~]", "", str(self.headers.get("Message-ID", "")))[:200]

    @property
    def sender(self) -> str:
        """The envelope's, which the provider has written into it; "" for none."""
        found = _ADDRESS.fullmatch(str(self.headers.get("Return-Path", "")).strip())
        return found[1] if found else ""

    def marked(self, verdict: Verdict) -> bytes:
        """With our own marks in front."""
        marks = f"X-Spam-Score: {verdict.score:.2f}\n" if verdict.action != "no action" else ""
        marks += "X-Spam-Flag: YES\n" if verdict.action in _TO_JUNK else ""
        return marks.encode() + self.body


def main() -> int:
    """0 when the mail store has it; 75 when it stays at the provider."""
    env = os.environ
    recipient, limit = env["DELIVER_TO"], int(env["LIMIT_BYTES"])
    content = sys.stdin.buffer.read(limit + 1)
    message = Message.of(content)
    story = f"to=<{recipient}> id=<{message.id}> size={len(content)}"
    try:
        insist_on_size(content, limit)
        verdict = scan(message, recipient, env["RSPAM"])
        reply = deliver(message.marked(verdict), message.sender, recipient, env)
    except RefusedMessage as why:
        say(f"refused {story} because={why}")
        return EX_TEMPFAIL
    say(f"delivered {story} action=<{verdict.action}> score={verdict.score:.2f} reply={reply}")
    return 0


def say(text: str) -> None:
    """One line for the log (entrypoint.logs.parsers.fetchmail)."""
    print(f"deliver: {' '.join(text.split())}", file=sys.stderr, flush=True)


def insist_on_size(content: bytes, limit: int) -> None:
    """RefusedMessage for one of which there is more, and the rest of it read all the same: fetchmail writes it."""
    if len(content) <= limit:
        return
    while sys.stdin.buffer.read(_CHUNK):
        pass
    raise RefusedMessage(f"it is larger than {limit} bytes (MESSAGE_SIZE_LIMIT)")


def scan(message: Message, recipient: str, server: str) -> Verdict:
    """rspamd's verdict on what may be delivered; RefusedMessage for a virus, and where there is no verdict."""
    verdict = _ask(message, recipient, server)
    if verdict.virus:
        raise RefusedMessage(f"it has the virus {verdict.virus}: look at it there, and remove it")
    if verdict.action == "soft reject":
        raise RefusedMessage("rspamd puts it off (soft reject)")
    return verdict


def _ask(message: Message, recipient: str, server: str) -> Verdict:
    """rspamd's answer. It is told no address: that of the provider says nothing of the sender."""
    connection = http.client.HTTPConnection(server, timeout=CONNECT_S)
    try:
        connection.connect()
        connection.sock.settimeout(SCAN_S)
        headers = {"Rcpt": recipient, "Deliver-To": recipient, "From": message.sender, "Settings": _SETTINGS}
        connection.request("POST", "/checkv2", message.body, headers)
        answer = connection.getresponse()
        found = json.loads(answer.read()) if answer.status == http.HTTPStatus.OK else {}
        return Verdict(str(found["action"]), float(found["score"]), _virus(found))
    except (OSError, http.client.HTTPException, ValueError, LookupError, TypeError) as error:
        raise RefusedMessage(f"rspamd gives no verdict ({str(error) or type(error).__name__})") from None
    finally:
        connection.close()


def _virus(found: Mapping[str, Any]) -> str:
    symbol = found.get("symbols", {}).get("CLAM_VIRUS")
    return ", ".join(symbol.get("options", ())) or "unknown" if symbol else ""


def deliver(message: bytes, sender: str, recipient: str, env: Mapping[str, str]) -> str:
    """What the mail store says when it has it."""
    tls = ssl.create_default_context(cafile=env["TLS_CA"])
    try:
        with smtplib.LMTP(env["LMTP_HOST"], int(env["LMTP_PORT"]), timeout=DELIVER_S) as session:
            session.ehlo()
            session.starttls(context=tls)
            session.ehlo()
            _insist(session.mail(sender, ["BODY=8BITMIME"]))
            _insist(session.rcpt(recipient))
            return _insist(session.data(message.replace(b"\n", b"\r\n")))
    except (OSError, smtplib.SMTPException) as error:
        raise RefusedMessage(f"{env['LMTP_HOST']} does not take it ({error})") from None


def _insist(answer: tuple[int, bytes]) -> str:
    code, words = answer
    told = f"{code} {words.decode('utf-8', 'replace')}"
    if code // 100 != 2:  # RFC 5321, 4.2.1
        raise RefusedMessage(told)
    return told


if __name__ == "__main__":
    sys.exit(main())
