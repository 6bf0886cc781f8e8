"""Small real servers in threads: each speaks just enough of its protocol, on a socket of the loopback."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Self

Converse = Callable[["Peer"], None]


class Peer:
    """The server's end of one connection."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._unread = b""

    def send(self, data: bytes) -> None:
        self._sock.sendall(data)

    def recv(self) -> bytes:
        """What the client sends next; empty at the end."""
        data, self._unread = self._unread or self._sock.recv(65_536), b""
        return data

    def take(self, count: int) -> bytes:
        """Exactly so many bytes, fewer only at the end."""
        while len(self._unread) < count and (data := self._sock.recv(65_536)):
            self._unread += data
        taken, self._unread = self._unread[:count], self._unread[count:]
        return taken

    def line(self) -> str:
        """The next line, empty at the end."""
        while b"\n" not in self._unread and (data := self._sock.recv(65_536)):
            self._unread += data
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode().rstrip("\r")

    def start_tls(self, context: ssl.SSLContext) -> None:
        self._sock = context.wrap_socket(self._sock, server_side=True)

    def close(self) -> None:
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


class Server:
    """Listens on 127.0.0.1 and holds `converse` with each client, one after the other.

    `tls` starts it with TLS from the first byte.
    """

    def __init__(self, converse: Converse, tls: ssl.SSLContext | None = None, port: int = 0) -> None:
        self._converse = converse
        self._tls = tls
        self._peer: Peer | None = None
        self._listener = socket.create_server(("127.0.0.1", port))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        if self._peer:
            self._peer.close()
        self._thread.join(10)
        self._listener.close()
        assert not self._thread.is_alive()

    def _serve(self) -> None:
        with suppress(OSError):  # the listener is shut down
            while True:
                self._serve_one(self._listener.accept()[0])

    def _serve_one(self, sock: socket.socket) -> None:
        self._peer = Peer(sock)
        with suppress(OSError):  # clients leave when they like
            if self._tls:
                self._peer.start_tls(self._tls)
            self._converse(self._peer)
        self._peer.close()


def silence(peer: Peer) -> None:
    """Say nothing until the client leaves."""
    while peer.recv():
        pass


def says(data: bytes) -> Converse:
    """Send `data` at once, then be silent."""

    def converse(peer: Peer) -> None:
        peer.send(data)
        silence(peer)

    return converse


def closes(_peer: Peer) -> None:
    """Hang up."""


@dataclass
class Lines:
    """A server of a protocol of lines. A client's line gets the reply of the key it starts with.

    With `tls`, TLS begins after the reply to a line with STARTTLS or STLS; `within` are the replies
    in there, and what is said first in there.
    """

    greeting: str
    replies: Mapping[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    greeting_within: str = ""
    within: Mapping[str, str] = field(default_factory=dict)
    heard: list[str] = field(default_factory=list)

    def __call__(self, peer: Peer) -> None:
        peer.send(self.greeting.encode())
        replies = self.replies
        while line := peer.line():
            self.heard.append(line)
            peer.send(
                next(text for key, text in [*replies.items(), ("", "500 what?\r\n")] if line.startswith(key)).encode()
            )
            if self.tls and line.upper().endswith(("STARTTLS", "STLS")):
                peer.start_tls(self.tls)
                peer.send(self.greeting_within.encode())
                replies = {**self.replies, **self.within}


@dataclass
class Redis:
    """AUTH and PING over RESP; `answers` are given instead of the usual ones."""

    password: bytes = b""
    answers: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, peer: Peer) -> None:
        allowed = not self.password
        while count := peer.line():
            words = [self._word(peer) for _ in range(int(count[1:]))]
            allowed = allowed or (words[0] == b"AUTH" and words[-1] == self.password)
            usual = "+OK" if words[0] == b"AUTH" else "+PONG"
            refusal = (
                "-WRONGPASS invalid username-password pair"
                if words[0] == b"AUTH"
                else "-NOAUTH Authentication required."
            )
            peer.send((self.answers.get(words[0].decode(), usual if allowed else refusal) + "\r\n").encode())

    def _word(self, peer: Peer) -> bytes:
        return peer.take(int(peer.line()[1:]) + 2)[:-2]


def ber(tag: int, *parts: bytes) -> bytes:
    """An element of BER: tag, length, contents."""
    body = b"".join(parts)
    size = len(body).to_bytes(2)
    return bytes([tag]) + (size[1:] if len(body) < 128 else b"\x82" + size) + body


def ber_parts(data: bytes) -> list[tuple[int, bytes]]:
    """The elements that follow one another in `data`."""
    parts = []
    while data:
        size, head = data[1], 2
        if size & 0x80:
            head += size & 0x7F
            size = int.from_bytes(data[2:head])
        parts.append((data[0], data[head : head + size]))
        data = data[head + size :]
    return parts


@dataclass
class Directory:
    """LDAP with one account and one entry. Result codes other than the true ones can be given.

    `find` answers searches below the base: DNs with attributes, for the question as it came.
    A response's tag is the request's plus one, but for extended requests (0x77, 0x78).
    """

    user: str = "cn=mail,dc=example,dc=org"
    password: bytes = b"secret"
    base: str = "dc=example,dc=org"
    bind_code: int | None = None
    search_code: int | None = None
    diagnosis: str = ""
    tls: ssl.SSLContext | None = None
    visible: bool = True
    attributes: Mapping[str, str] = field(default_factory=dict)  # of the entry, one value each
    find: Callable[[bytes], Mapping[str, Mapping[str, list[str]]]] | None = None

    def __call__(self, peer: Peer) -> None:
        while head := peer.take(2):
            size = peer.take(head[1] & 0x7F) if head[1] & 0x80 else head[1:]
            (_, number), (tag, request) = ber_parts(peer.take(int.from_bytes(size)))[:2]
            if tag == 0x42:  # unbind
                return
            for reply in self._replies(tag, request):
                peer.send(ber(0x30, ber(0x02, number), reply))
            if tag == 0x77 and self.tls:
                peer.start_tls(self.tls)

    def _replies(self, tag: int, request: bytes) -> Iterator[bytes]:
        if tag == 0x60:
            yield ber(0x61, self._result(self._bind(request)))
        elif tag == 0x63:
            yield from self._search(request)
        elif tag == 0x77:
            yield ber(0x78, self._result(0 if self.tls else 2))

    def _bind(self, request: bytes) -> int:
        _, (_, name), (_, password) = ber_parts(request)
        good = not password or (name.decode(), password) == (self.user, self.password)  # "" is anonymous
        return self.bind_code if self.bind_code is not None else 0 if good else 49

    def _search(self, request: bytes) -> Iterator[bytes]:
        base = ber_parts(request)[0][1]
        code = self.search_code if self.search_code is not None else 0 if base.decode() in {self.base, ""} else 32
        if self.find and ber_parts(request)[1][1] != b"\0":  # not the base alone
            for dn, attributes in self.find(request).items() if code == 0 else ():
                yield ber(0x64, ber(0x04, dn.encode()), ber(0x30, *(_attribute(*each) for each in attributes.items())))
        elif code == 0 and self.visible:
            one_each = (_attribute(name, [value]) for name, value in self.attributes.items())
            yield ber(0x64, ber(0x04, base), ber(0x30, *one_each))
        yield ber(0x65, self._result(code))

    def _result(self, code: int) -> bytes:
        return ber(0x0A, bytes([code])) + ber(0x04) + ber(0x04, self.diagnosis.encode())


def _attribute(name: str, values: list[str]) -> bytes:
    return ber(0x30, ber(0x04, name.encode()), ber(0x31, *(ber(0x04, value.encode()) for value in values)))


@contextmanager
def name_server(*replies: Callable[[bytes], bytes]) -> Iterator[int]:
    """A UDP server that answers each datagram with all of `replies` of it; gives its port."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=_answer, args=(sock, replies), daemon=True)
        thread.start()
        try:
            yield sock.getsockname()[1]
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stopper:
                stopper.sendto(b"stop", sock.getsockname())
            thread.join(10)


def _answer(sock: socket.socket, replies: tuple[Callable[[bytes], bytes], ...]) -> None:
    while True:
        question, client = sock.recvfrom(4096)
        if question == b"stop":
            return
        for reply in replies:
            sock.sendto(reply(question), client)
