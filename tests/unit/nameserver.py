"""A real name server on a port of the loopback: answers over UDP from records that a test may change meanwhile."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.zone

# Name without the last dot and type, to data as in a zone file.
Records = dict[tuple[str, str], list[str]]


def records_of(fragment: str) -> Records:
    """The records of a zone fragment with one $ORIGIN or several, read by a parser of master files."""
    found: Records = {}
    for section in fragment.split("\n$ORIGIN ")[1:]:
        origin, _, text = section.partition("\n")
        zone = dns.zone.from_text(f"$TTL 3600\n{text}", origin=origin, relativize=False, check_origin=False)
        for name, _ttl, rdata in zone.iterate_rdatas():
            key = (name.to_text(omit_final_dot=True), dns.rdatatype.to_text(rdata.rdtype))
            found.setdefault(key, []).append(rdata.to_text())
    return found


@contextmanager
def name_server(records: Records, broken: Sequence[str] = ()) -> Iterator[str]:
    """ADDRESS:PORT of a server of these records; names in `broken` end with SERVFAIL."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=_serve, args=(sock, records, broken), daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{sock.getsockname()[1]}"
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stopper:
                stopper.sendto(b"stop", sock.getsockname())
            thread.join(10)


def _serve(sock: socket.socket, records: Records, broken: Sequence[str]) -> None:
    while True:
        question, client = sock.recvfrom(4096)
        if question == b"stop":
            return
        sock.sendto(_reply(dns.message.from_wire(question), records, broken).to_wire(), client)


def _reply(query: dns.message.Message, records: Records, broken: Sequence[str]) -> dns.message.Message:
    reply = dns.message.make_response(query)
    reply.flags |= dns.flags.RA
    asked = query.question[0]
    name = asked.name.to_text(omit_final_dot=True).lower()
    if name in broken:
        reply.set_rcode(dns.rcode.SERVFAIL)
    elif alias := records.get((name, "CNAME")):
        reply.answer.append(dns.rrset.from_text(asked.name, 60, "IN", "CNAME", *alias))
        _add(reply, dns.name.from_text(alias[0]), asked.rdtype, records)
    elif not _add(reply, asked.name, asked.rdtype, records) and name not in {known for known, _ in records}:
        reply.set_rcode(dns.rcode.NXDOMAIN)
    return reply


def _add(reply: dns.message.Message, name: dns.name.Name, rdtype: dns.rdatatype.RdataType, records: Records) -> bool:
    kind = dns.rdatatype.to_text(rdtype)
    data = records.get((name.to_text(omit_final_dot=True).lower(), kind), [])
    if data:
        reply.answer.append(dns.rrset.from_text(name, 60, "IN", kind, *data))
    return bool(data)
