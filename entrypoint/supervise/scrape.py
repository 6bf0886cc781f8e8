"""Metrics for whoever asks: an answer to GET /metrics out of the supervisor's loop, which it never holds up.

Clients are few, their requests small, and they have little time: who wants more gets an error or
nothing. No TLS and no login: the port is for the network of the containers, and shows no addresses.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, MutableMapping
from contextlib import suppress
from typing import Any

import structlog

from entrypoint.openmetrics import CONTENT_TYPE
from entrypoint.supervise.channels import Dispatcher

CLIENTS = 8
REQUEST_LIMIT_BYTES = 8 * 1024
PATIENCE_S = 5.0
_PIECE_BYTES = 64 * 1024

Channels = MutableMapping[int, Any]
log = structlog.get_logger()


class Scrapes:
    """The listening socket and its clients, as long as they are there, among the loop's channels."""

    def __init__(self, port: int, text: Callable[[], str], channels: Channels) -> None:
        """OSError when nobody can listen on the port; `text` makes what a good request gets."""
        self._listener = _Listener(port, self._accept)
        self._channels = channels
        self._text = text
        self._clients: set[_Client] = set()
        channels[self._listener.fd] = self._listener

    def _accept(self, connection: socket.socket) -> None:
        if len(self._clients) >= CLIENTS:
            connection.close()
            return
        client = _Client(connection, self._text, self._forget)
        self._clients.add(client)
        self._channels[client.fd] = client

    def _forget(self, client: _Client) -> None:
        self._clients.discard(client)
        self._channels.pop(client.fd, None)

    def look(self) -> None:
        """Leave those whose time is over."""
        for client in [client for client in self._clients if client.left_s() <= 0]:
            client.close()

    def deadline_s(self) -> float | None:
        """Seconds until somebody's time is over."""
        return min((max(0.0, client.left_s()) for client in self._clients), default=None)


class _Listener(Dispatcher):
    def __init__(self, port: int, accept: Callable[[socket.socket], None]) -> None:
        self._socket = socket.create_server(("", port), backlog=CLIENTS)
        self._socket.setblocking(False)
        self._accept = accept
        super().__init__(self._socket.fileno())

    def handle_read_event(self) -> None:
        """Take one in; the next round takes the next."""
        with suppress(OSError):  # it has gone again
            connection, _ = self._socket.accept()
            connection.setblocking(False)
            self._accept(connection)


class _Client(Dispatcher):
    def __init__(self, connection: socket.socket, text: Callable[[], str], forget: Callable[[_Client], None]) -> None:
        super().__init__(connection.fileno())
        self._connection = connection
        self._text = text
        self._forget = forget
        self._request = b""
        self._answer = b""
        self._end = time.monotonic() + PATIENCE_S

    def left_s(self) -> float:
        """Seconds that it still has."""
        return self._end - time.monotonic()

    def readable(self) -> bool:
        """Until it has asked."""
        return not self.closed and not self._answer

    def writable(self) -> bool:
        """From then on."""
        return not self.closed and bool(self._answer)

    def handle_read_event(self) -> None:
        """Take a piece of the request, and answer it when it is whole."""
        try:
            piece = self._connection.recv(_PIECE_BYTES)
        except BlockingIOError:
            return
        except OSError:
            piece = b""
        if not piece:
            self.close()
            return
        self._request += piece
        if b"\r\n\r\n" in self._request or b"\n\n" in self._request:
            self._answer = self._answer_to(self._request.split(b"\n", 1)[0].split())
        elif len(self._request) > REQUEST_LIMIT_BYTES:
            self._answer = _response("431 Request Header Fields Too Large")

    def _answer_to(self, words: list[bytes]) -> bytes:
        if len(words) != 3 or not words[2].startswith(b"HTTP/1."):  # method, path, version
            return _response("400 Bad Request")
        if words[0] != b"GET":
            return _response("405 Method Not Allowed", "Allow: GET\r\n")
        if words[1].split(b"?")[0] != b"/metrics":
            return _response("404 Not Found")
        return _response("200 OK", f"Content-Type: {CONTENT_TYPE}\r\n", self._text())

    def handle_write_event(self) -> None:
        """Send what it takes now; the end of the answer is the end of the connection."""
        if self.closed:  # by its other event of this round
            return
        try:
            sent = self._connection.send(self._answer)
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        self._answer = self._answer[sent:]
        if not self._answer:
            self.close()

    def handle_error(self) -> None:
        """A mistake of ours costs one answer, and nobody else anything."""
        super().handle_error()
        self.close()

    def close(self) -> None:
        """Hang up."""
        if not self.closed:
            self.closed = True
            self._forget(self)
            self._connection.close()


def _response(status: str, headers: str = "", body: str = "") -> bytes:
    body = body or f"{status}\n"
    data = body.encode()
    length = f"Content-Length: {len(data)}\r\n"
    return f"HTTP/1.1 {status}\r\n{headers}{length}Connection: close\r\n\r\n".encode() + data
