#!/usr/bin/python3 -I
"""The demo's outside world: a mail server that takes everything, checks DKIM, and tells what came.

sink run         take mail on port 25, until SIGTERM
sink messages    what came, as a JSON list, oldest first
sink message ID  one message, byte for byte
sink health      whether the server answers

Messages are files in /sink, a tmpfs: they go with the container.
"""

from __future__ import annotations

import asyncio
import email
import email.policy
import itertools
import json
import signal
import smtplib
import ssl
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = Path("/sink")
PORT = 25
HOST_NAME = "sink.outside.test"
CERTIFICATE = Path("/run/secrets/letsencrypt-fullchain")
KEY = Path("/run/secrets/letsencrypt-privkey")
SIZE_LIMIT_BYTES = 64 * 1024**2  # above the stack's own limit, so that it is never this one which is met

Facts = dict[str, Any]


def main(arguments: Sequence[str]) -> int:
    """Run a command; the exit code."""
    match arguments:
        case ["run"]:
            asyncio.run(serve())
        case ["messages"]:
            print(json.dumps(messages(FOLDER), indent=1))
        case ["message", number] if number.isdecimal():
            sys.stdout.buffer.write((FOLDER / f"{number}.eml").read_bytes())
        case ["health"]:
            return health()
        case _:
            print(__doc__, file=sys.stderr)
            return 64
    return 0


async def serve() -> None:
    """Take mail until SIGTERM."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    tls = tls_context()
    server = await listen(Keeper(FOLDER), "0.0.0.0", PORT, tls)  # noqa: S104  # it is alone in its container
    print(f"listening on port {PORT}, {'with' if tls else 'without'} STARTTLS", file=sys.stderr)
    await stop.wait()
    server.close()


async def listen(keeper: Keeper, host: str, port: int, tls: ssl.SSLContext | None) -> asyncio.Server:
    """A server that gives mail to the keeper."""
    from aiosmtpd.smtp import SMTP

    loop = asyncio.get_running_loop()
    options: Facts = {"data_size_limit": SIZE_LIMIT_BYTES, "enable_SMTPUTF8": True, "tls_context": tls}
    return await loop.create_server(lambda: SMTP(keeper, hostname=HOST_NAME, loop=loop, **options), host, port)


def tls_context() -> ssl.SSLContext | None:
    """TLS with the certificate that was mounted; None without one (Compose mounts an empty file then)."""
    if not (CERTIFICATE.is_file() and CERTIFICATE.read_bytes()):
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE, KEY)
    return context


class Keeper:
    """Keeps each message: ID.eml, and ID.json with all that only the session knew."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count(1)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name
        """The answer to the end of a message, when it is kept."""
        secured = server.transport.get_extra_info("ssl_object")
        facts = {
            "id": f"{next(self._numbers):06}",
            "received": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "peer": session.peer[0],
            "helo": session.host_name,
            "tls": secured.version() if secured else None,
            "mail_from": envelope.mail_from,
            "rcpt_tos": envelope.rcpt_tos,
        }
        # Asks DNS, and must not hold up the others.
        await asyncio.to_thread(keep, self._folder, facts, envelope.content)
        return f"250 2.0.0 kept as {facts['id']}"


def keep(folder: Path, facts: Facts, content: bytes) -> None:
    """Write the message and what is known of it; the .json comes last and at once, as `messages` goes by it."""
    headers = email.message_from_bytes(content, policy=email.policy.default)
    names = ("message_id", "from", "to", "subject")
    facts |= {name: text(headers[name.replace("_", "-")]) for name in names}
    facts |= {"size_bytes": len(content), "dkim": dkim_verdicts(content)}
    number = facts["id"]
    (folder / f"{number}.eml").write_bytes(content)
    new = folder / f"{number}.new"
    new.write_text(json.dumps(facts))
    new.replace(folder / f"{number}.json")
    print(json.dumps(facts), file=sys.stderr, flush=True)


def text(header: object) -> str | None:
    """A header as text; what is no text at all in it becomes a question mark."""
    return None if header is None else str(header).encode(errors="replace").decode()


def dkim_verdicts(content: bytes, ask_dns: Callable[..., bytes] | None = None) -> list[Facts]:
    """One verdict a signature: `pass`, or `fail` with a reason; DNS is that of the container."""
    import dkim
    from dkim.util import parse_tag_value

    ask = {"dnsfunc": ask_dns} if ask_dns else {}
    checker = dkim.DKIM(content)
    found: list[Facts] = []
    for index, value in enumerate(value for name, value in checker.headers if name.lower() == b"dkim-signature"):
        facts: Facts = {"domain": None, "selector": None}
        try:
            tags = parse_tag_value(value)
            facts = {"domain": tags[b"d"].decode(), "selector": tags[b"s"].decode()}
            good, reason = checker.verify(index, **ask), "the signature does not fit the message"
        except Exception as error:  # noqa: BLE001  # whatever is wrong with a message of the world, or with its DNS
            good, reason = False, f"{type(error).__name__}: {error}"
        found.append({**facts, "result": "pass"} if good else {**facts, "result": "fail", "reason": reason})
    return found


def messages(folder: Path) -> list[Facts]:
    """What came, oldest first."""
    return [json.loads(path.read_text()) for path in sorted(folder.glob("*.json"))]


def health() -> int:
    """0 if the server answers, with one line that says so or why not."""
    try:
        with smtplib.SMTP("127.0.0.1", PORT, timeout=5) as smtp:
            print(f"healthy: {smtp.ehlo()[0]} after EHLO")
    except (OSError, smtplib.SMTPException) as error:
        print(f"cannot talk to port {PORT}: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
