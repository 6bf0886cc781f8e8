"""A relay of the world, for tests: it runs in the sink's image, takes every login, and remembers what it was told.

Its ports are good and bad in different ways; what was sent to each is in /sink/relay.jsonl, a line a fact. Recipients
of refusing.test are refused on port 25.
"""

from __future__ import annotations

import asyncio
import base64
import email
import json
import signal
import ssl
from functools import partial
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult

HOST = "relay.outside.test"
FACTS = "/sink/relay.jsonl"
# Port: certificate (none: no TLS), and whether a login is asked for.
PORTS = {
    25: ("good", False),
    587: ("good", True),
    588: ("untrusted", True),
    589: ("", True),
    590: ("othername", True),
    591: ("good", True),
}
ONLY_PLAIN = 591


class Keeper:
    """What one port is told."""

    def __init__(self, port: int) -> None:
        self._port = port

    def login(self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        """Everybody may; who it was is written down."""
        words = {"login": data.login, "password": data.password}
        self._note(mechanism=mechanism, **{name: base64.b64encode(word).decode() for name, word in words.items()})
        return AuthResult(success=True)

    async def handle_RCPT(  # noqa: N802  # aiosmtpd's name
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        """Refuse those who are there to be refused."""
        if address.endswith("@refusing.test"):
            return "550 5.7.1 Nobody wants this here"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802  # aiosmtpd's name
        """Keep what tests ask about."""
        mail = email.message_from_bytes(envelope.content)
        signed = "DKIM-Signature" in mail
        self._note(message_id=mail["Message-ID"], recipients=envelope.rcpt_tos, tls=bool(session.ssl), signed=signed)
        return "250 2.0.0 Ok"

    def _note(self, **facts: Any) -> None:
        with open(FACTS, "a") as file:  # noqa: PTH123  # one line at once, in the container only
            file.write(json.dumps({"port": self._port, **facts}) + "\n")


async def serve() -> None:
    """All ports, until SIGTERM."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    for port, (certificate, login) in PORTS.items():
        await loop.create_server(partial(session, port, certificate, login), "0.0.0.0", port)
    await stop.wait()


def session(port: int, certificate: str, login: bool) -> SMTP:
    """A client's session at one of the ports."""
    keeper = Keeper(port)
    options: dict[str, Any] = {"hostname": HOST, "loop": asyncio.get_running_loop()}
    if certificate:
        options["tls_context"] = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        options["tls_context"].load_cert_chain(f"/keys/{certificate}.pem", f"/keys/{certificate}.key")
    if login:
        options |= {"authenticator": keeper.login, "auth_required": True, "auth_require_tls": bool(certificate)}
        options["auth_exclude_mechanism"] = ["LOGIN"] if port == ONLY_PLAIN else []
    return SMTP(keeper, **options)


if __name__ == "__main__":
    asyncio.run(serve())
