"""The lower rungs, shared by everything over TCP: name, connection, TLS, and lines to and fro.

One deadline holds for the whole conversation, so that a server which sends a byte now and then
cannot keep a probe busy.
"""

from __future__ import annotations

import socket
import time

from entrypoint.errors import ProbeError
from entrypoint.light import TYPE_CHECKING
from entrypoint.probe import Probe

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Self, TypeAlias

    Address: TypeAlias = tuple[Any, ...]  # as connect() takes it: (host, port) and for IPv6 two more
    Found: TypeAlias = Sequence[tuple[socket.AddressFamily, socket.SocketKind, int, str, Address]]

_LIMIT_BYTES = 1_048_576
_QUOTE_LIMIT = 200


class Deadline:
    """The end of the time that one probe may take."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends = time.monotonic() + seconds

    def left_s(self) -> float:
        """What is left, never 0 or less: TimeoutError then."""
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def describe(error: OSError, deadline: Deadline) -> str:
    """The error without its number and its Python."""
    if isinstance(error, TimeoutError):
        return f"no answer within {round(deadline.seconds, 1):g} s"
    if isinstance(error, (ConnectionResetError, BrokenPipeError)):
        return "closed the connection"
    return (error.strerror or type(error).__name__).lower()


def resolve(host: str, port: int, kind: socket.SocketKind, deadline: Deadline) -> Found:
    """The addresses of `host`, of which there is at least one."""
    name = host.encode() if host.isascii() else host  # text makes Python load its tables for IDNA
    try:
        return socket.getaddrinfo(name, port, type=kind, flags=socket.AI_NUMERICHOST)
    except (OSError, UnicodeError):
        return _found(host, _look_up(name, port, kind, deadline), deadline)


def _look_up(name: str | bytes, port: int, kind: socket.SocketKind, deadline: Deadline) -> list[Found | Exception]:
    """What the resolver says; nothing when it takes too long.

    It may wait for its name servers for half a minute, and no signal ends that: hence the thread.
    """
    import threading  # health mostly asks an address

    outcome: list[Found | Exception] = []

    def look_up() -> None:
        try:
            outcome.append(socket.getaddrinfo(name, port, type=kind))
        except (OSError, UnicodeError) as error:
            outcome.append(error)

    thread = threading.Thread(target=look_up, daemon=True)
    thread.start()
    thread.join(deadline.seconds)
    return outcome


def _found(host: str, outcome: list[Found | Exception], deadline: Deadline) -> Found:
    if not outcome:
        raise ProbeError("name", f"no answer for {host} within {round(deadline.seconds, 1):g} s")
    result = outcome[0]
    if isinstance(result, UnicodeError):
        raise ProbeError("name", f"{host!r} cannot be a host name", curable=False)
    if isinstance(result, OSError):
        raise ProbeError("name", f"{host} is not known ({describe(result, deadline)})")
    assert not isinstance(result, Exception)
    return result


def connect(probe: Probe, deadline: Deadline) -> socket.socket:
    """A connection to the first address that accepts one; no address may use up the others' time."""
    found = resolve(probe.host, probe.port, socket.SOCK_STREAM, deadline)
    reason: OSError = TimeoutError()
    for rest, (family, kind, number, _, address) in zip(range(len(found), 0, -1), found, strict=True):
        sock = socket.socket(family, kind, number)
        try:
            sock.settimeout(deadline.left_s() / rest)
            sock.connect(address)
        except OSError as error:
            sock.close()
            reason = error
        else:
            return sock
    raise ProbeError("tcp", describe(reason, deadline))


def read_password(probe: Probe) -> bytes:
    """What is in the password file, less one line feed at its end (editors and `echo` leave it)."""
    try:
        with open(probe.password_file, "rb") as file:  # noqa: PTH123  # pathlib takes 9 ms to import
            return file.read().removesuffix(b"\n")
    except OSError as error:
        why = (error.strerror or "").lower()
        raise ProbeError("login", f"cannot read {probe.password_file}: {why}", curable=False) from None


class Talk:
    """A conversation with one server. `stage` is what errors call the present rung.

    For ldap3 it is the socket: `recv` and `sendall`.
    """

    def __init__(self, probe: Probe) -> None:
        self.stage = "answer"
        self.secret = b""  # never to be quoted
        self._probe = probe
        self._deadline = Deadline(probe.timeout_s)
        self._unread = b""
        self._received = 0
        self._encrypted = False
        self._sock = connect(probe, self._deadline)
        if probe.tls == "tls":
            self.handshake()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    @property
    def local_address(self) -> str:
        return str(self._sock.getsockname()[0])

    def left_s(self) -> float:
        return self._deadline.left_s()

    def handshake(self) -> None:
        """TLS from the next byte on, with the certificate verified."""
        from entrypoint.probes import tls  # ssl takes 20 ms

        if self._unread:  # sent before TLS, meant to be taken as sent within: CVE-2011-0411
            raise ProbeError("tls", "text follows the agreement on STARTTLS", curable=False)
        try:
            self._sock.settimeout(self.left_s())
            self._sock = tls.wrap(self._sock, self._probe)
            self._encrypted = True
        except OSError as error:
            raise tls.refusal(error, self._probe, self._deadline) from None
        finally:
            if not self._encrypted:
                self._sock.close()

    def certificate(self) -> dict[str, Any]:
        """What the server has shown and was verified, as SSLSocket.getpeercert has it; only once there is TLS."""
        found: dict[str, Any] = self._sock.getpeercert()  # type: ignore[attr-defined]
        return found

    def certificate_der(self) -> bytes:
        """The same, as it was sent."""
        found: bytes = self._sock.getpeercert(binary_form=True)  # type: ignore[attr-defined]
        return found

    def sendall(self, data: bytes) -> None:
        try:
            self._sock.settimeout(self.left_s())
            self._sock.sendall(data)
        except OSError as error:
            raise self._broken(error) from None

    def recv(self, limit: int) -> bytes:
        """At least one byte; the end of the stream is an error."""
        try:
            self._sock.settimeout(self.left_s())
            data = self._sock.recv(limit)
        except OSError as error:
            raise self._broken(error) from None
        if not data:
            raise self.error("closed the connection")
        self._received += len(data)
        if self._received > _LIMIT_BYTES:
            raise self.error("does not stop sending", curable=False)
        return data

    def send_line(self, text: str) -> None:
        self.sendall(text.encode() + b"\r\n")

    def line(self) -> str:
        """The next line, without its end."""
        while b"\n" not in self._unread:
            self._unread += self.recv(4096)
        line, _, self._unread = self._unread.partition(b"\n")
        return line.rstrip(b"\r").decode(errors="backslashreplace")

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        while len(self._unread) < count:
            self._unread += self.recv(4096)
        taken, self._unread = self._unread[:count], self._unread[count:]
        return taken

    def leave(self, text: str) -> None:
        """Say goodbye and wait a moment for the same, so that no server logs a lost connection."""
        try:
            self._deadline = Deadline(min(1.0, self.left_s()))
            self.send_line(text)
            self.line()
        except (ProbeError, TimeoutError):
            pass  # the answer that counts was given before

    def part(self, data: bytes) -> None:
        """Say goodbye where the server's answer is to close the connection. Who closes it first is logged by slapd."""
        try:
            self._deadline = Deadline(min(1.0, self.left_s()))
            self.sendall(data)
            self.recv(1)
        except (ProbeError, TimeoutError):
            return  # as in leave()

    def error(self, reason: str, *, curable: bool = True) -> ProbeError:
        return ProbeError(self.stage, reason, curable=curable)

    def quote(self, text: str) -> str:
        """The server's words, fit for a message: one printable line, not too long, without the secret."""
        secret = self.secret.decode(errors="backslashreplace")
        hidden = text.replace(secret, "…") if secret else text
        line = " ".join("".join(c if c.isprintable() else " " for c in hidden).split())
        return line if len(line) <= _QUOTE_LIMIT else line[:_QUOTE_LIMIT] + "…"

    def _broken(self, error: OSError) -> ProbeError:
        if self._encrypted and not isinstance(error, (TimeoutError, ConnectionError)):
            from entrypoint.probes import tls  # ssl takes 20 ms

            # TLS 1.3 servers may refuse only after the handshake
            return tls.refusal(error, self._probe, self._deadline)
        return self.error(describe(error, self._deadline))
