"""DNS: one UDP question for the A record of a name, made and read by hand (RFC 1035).

Every refusal is curable: a server that has just started does not know its zones or its upstream yet.
"""

from __future__ import annotations

import os
import socket
import struct

from entrypoint.errors import ProbeError
from entrypoint.light import TYPE_CHECKING
from entrypoint.probe import Probe
from entrypoint.probes.talk import Deadline, describe, resolve

if TYPE_CHECKING:
    from collections.abc import Iterator

_RCODES = {1: "FORMERR", 2: "SERVFAIL", 3: "NXDOMAIN", 4: "NOTIMP", 5: "REFUSED"}
_ASK_AGAIN_S = 1.0  # datagrams get lost
_TYPE_A = 1


def ask_dns(probe: Probe) -> str:
    """`probe.query` and one of its addresses; "localhost" is asked for when there is no query."""
    name = probe.query or "localhost"
    deadline = Deadline(probe.timeout_s)
    family, kind, number, _, address = resolve(probe.host, probe.port, socket.SOCK_DGRAM, deadline)[0]
    with socket.socket(family, kind, number) as sock:
        try:
            sock.connect(address)  # only this server's datagrams, and its "port unreachable"
            reply = _exchange(sock, _question(name), deadline)
        except OSError as error:
            raise ProbeError("answer", describe(error, deadline)) from None
    return _judge(name, reply)


def _question(name: str) -> bytes:
    """A query with a random transaction id, recursion desired."""
    labels = [label.encode() for label in name.rstrip(".").split(".")]
    if not name.isascii() or not all(0 < len(label) < 64 for label in labels):
        raise ProbeError("answer", f"{name!r} cannot be a host name", curable=False)
    coded = b"".join(bytes([len(label)]) + label for label in labels)
    return os.urandom(2) + b"\1\0\0\1\0\0\0\0\0\0" + coded + b"\0\0\1\0\1"


def _exchange(sock: socket.socket, question: bytes, deadline: Deadline) -> bytes:
    """The reply to this very question; strangers' and late ones are passed over."""
    while True:
        sock.settimeout(deadline.left_s())
        sock.send(question)
        reply = _reply(sock, question, Deadline(min(_ASK_AGAIN_S, deadline.left_s())))
        if reply:
            return reply


def _reply(sock: socket.socket, question: bytes, deadline: Deadline) -> bytes:
    try:
        while True:
            sock.settimeout(deadline.left_s())
            reply = sock.recv(4096)
            is_reply = len(reply) >= len(question) and reply[2] & 0x80
            if is_reply and reply[:2] == question[:2] and reply[12 : len(question)].lower() == question[12:].lower():
                return reply
    except TimeoutError:
        return b""


def _judge(name: str, reply: bytes) -> str:
    code = reply[3] & 0x0F
    if code:
        raise ProbeError("answer", f"{_RCODES.get(code, f'code {code}')} for {name}")
    try:
        address = next(_addresses(reply), "")
    except (IndexError, OSError, struct.error):
        raise ProbeError("answer", f"a broken answer for {name}") from None
    if not address:
        raise ProbeError("answer", f"no address for {name}")
    return f"{name} is {address}"


def _addresses(reply: bytes) -> Iterator[str]:
    """The addresses in the answer section. Some error of those below when the reply ends too early."""
    position = _after_name(reply, 12) + 4
    for _ in range(int.from_bytes(reply[6:8])):
        position = _after_name(reply, position)
        kind, _class, _ttl, length = struct.unpack_from("!HHIH", reply, position)
        data = reply[position + 10 : position + 10 + length]
        position += 10 + length
        if kind == _TYPE_A and length == 4:
            yield socket.inet_ntoa(data)


def _after_name(reply: bytes, position: int) -> int:
    """The position behind a name: labels until an empty one, or until a pointer of two bytes."""
    while reply[position]:
        if reply[position] >= 0xC0:
            return position + 2
        position += 1 + reply[position]
    return position + 1
