"""A DNS resolver that is asked for records: dnspython, which the host has and the images do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import dns.exception
import dns.name
import dns.rdata
import dns.rdatatype
import dns.resolver

from entrypoint.errors import Unavailable, UsageError
from entrypoint.settings import kinds

TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Answer:
    """What is there: each record as in a zone file, in lower case but for TXT, which is its joined text.

    `trouble` is why nothing can be said about the name; `alias` is where a CNAME leads.
    """

    data: tuple[str, ...] = ()
    trouble: str = ""
    alias: str = ""


class Resolver:
    """Asks each question once. `place` is ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT; "" is the system's resolver."""

    def __init__(self, place: str = "") -> None:
        self._known: dict[tuple[str, str], Answer] = {}
        try:
            self._resolver = dns.resolver.Resolver(configure=not place)
        except dns.resolver.NoResolverConfiguration:
            raise Unavailable("cannot ask a resolver: this system has none; name one (--resolver ADDRESS)") from None
        if place:
            address, port = _parsed(place)
            self._resolver.nameservers, self._resolver.port = [address], port
        self._resolver.lifetime = TIMEOUT_S
        self.name = place or ", ".join(map(str, self._resolver.nameservers))

    def ask(self, name: str, rdtype: str) -> Answer:
        """The records of one type; Unavailable when the resolver does not answer at all."""
        if (name, rdtype) not in self._known:
            self._known[name, rdtype] = self._ask(name, rdtype)
        return self._known[name, rdtype]

    def _ask(self, name: str, rdtype: str) -> Answer:
        try:
            found = self._resolver.resolve(name + ".", rdtype, search=False, raise_on_no_answer=False)
        except dns.resolver.NXDOMAIN:
            return Answer()
        except dns.resolver.NoNameservers as error:
            return Answer(trouble=self._refusal(error))
        except (dns.exception.Timeout, OSError) as error:
            why = f"no answer within {TIMEOUT_S:g} s" if isinstance(error, dns.exception.Timeout) else error.strerror
            raise self._unavailable(str(why)) from None
        except dns.exception.DNSException as error:  # a name that is too long, a broken answer
            return Answer(trouble=str(error))
        alias = _text(found.canonical_name)
        return Answer(tuple(_shown(rdata) for rdata in found.rrset or ()), alias="" if alias == name.lower() else alias)

    def _refusal(self, error: dns.resolver.NoNameservers) -> str:
        """The resolver's own word, such as SERVFAIL; Unavailable when there was none."""
        for *_, trouble, response in error.kwargs.get("errors", ()):
            if response is None:
                raise self._unavailable(str(getattr(trouble, "strerror", "") or trouble).lower()) from None
            return str(trouble)
        return "no answer"

    def _unavailable(self, why: str) -> Unavailable:
        return Unavailable(
            f"cannot ask the resolver {self.name}: {why}; name another one (--resolver ADDRESS[:PORT]), "
            "or only print (--no-check)"
        )


def _parsed(place: str) -> tuple[str, int]:
    host, colon, port = place.rpartition(":")
    if not colon or (":" in host and not host.endswith("]")):
        host, port = place, "53"
    try:
        return str(kinds.address.parse(host.strip("[]"))), kinds.port.parse(port)
    except ValueError as error:
        raise UsageError(
            f"cannot use --resolver {place}: it {error}; it is ADDRESS or ADDRESS:PORT, "
            "such as 9.9.9.9 or 127.0.0.1:5353"
        ) from None


def _shown(rdata: dns.rdata.Rdata) -> str:
    if rdata.rdtype == dns.rdatatype.TXT:
        strings: Sequence[bytes] = getattr(rdata, "strings", ())
        return b"".join(strings).decode(errors="backslashreplace")
    if rdata.rdtype == dns.rdatatype.TLSA:  # dnspython breaks the hash into words
        usage, selector, matching, *rest = rdata.to_text().split()
        return f"{usage} {selector} {matching} {''.join(rest)}".lower()
    return rdata.to_text().lower()


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()
