"""`serve PORT…` says hello at all addresses; `ask ADDRESS PORT [FROM]` says what comes: hello, or why nothing."""

from __future__ import annotations

import socket
import sys
from threading import Thread


def serve(server: socket.socket) -> None:
    while True:
        client, _ = server.accept()
        client.sendall(b"hello")
        client.close()


def ask(address: str, port: str, source: str = "") -> str:
    try:
        with socket.create_connection((address, int(port)), 1, (source, 0) if source else None) as client:
            return client.recv(5).decode()
    except OSError as error:
        return str(error)


if sys.argv[1] == "serve":
    for number in sys.argv[2:]:
        both = socket.create_server(("::", int(number)), family=socket.AF_INET6, dualstack_ipv6=True)
        Thread(target=serve, args=(both,)).start()
else:
    print(ask(*sys.argv[2:]))
