"""SPF as a receiver evaluates it (RFC 7208), for one question: may this address send for this domain?

Macros are not expanded: a mechanism with one matches nobody here, but its look-up counts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import ip_address, ip_network

from entrypoint.doctor.resolver import Resolver
from entrypoint.settings.kinds import Address

LOOKUPS = 10  # RFC 7208, 4.6.4: with more, a receiver may give up
_STOP = 50  # loops end here
_TERM = re.compile(
    r"(?P<sign>[+?~-]?)(?P<name>all|include|a|mx|ptr|ip4|ip6|exists)"
    r"(?::(?P<value>[^/]+))?(?P<bits>/[0-9]+)?(?P<bits6>//[0-9]+)?",
    re.IGNORECASE,
)
_MODIFIER = re.compile(r"[a-z][a-z0-9_.-]*=\S*", re.IGNORECASE)


class SpfError(Exception):
    """The record is wrong, so that receivers take no notice of it or refuse mail."""


@dataclass(frozen=True)
class Verdict:
    """`result` is pass, fail, softfail, neutral or none."""

    result: str
    lookups: int


def records(texts: Sequence[str]) -> list[str]:
    """The SPF records among TXT records."""
    return [text for text in texts if re.match(r"v=spf1( |$)", text, re.IGNORECASE)]


def evaluate(resolver: Resolver, domain: str, record: str, address: Address) -> Verdict:
    """What a receiver finds out; SpfError for a record that it cannot understand."""
    run = _Run(resolver, address)
    result = run.record(domain, record)
    return Verdict(result, run.lookups)


class _Run:
    def __init__(self, resolver: Resolver, address: Address) -> None:
        self.resolver = resolver
        self.address = address
        self.lookups = 0

    def record(self, domain: str, text: str) -> str:
        redirect = ""
        matched = ""
        for word in text.split()[1:]:
            if _MODIFIER.fullmatch(word) and ":" not in word.partition("=")[0]:
                name, _, value = word.partition("=")
                redirect = value if name.lower() == "redirect" else redirect
                continue
            term = _TERM.fullmatch(word)
            if not term:
                raise SpfError(f"{word!r} is no mechanism of SPF")
            # Terms behind the one that matches are not asked, and do not count.
            if not matched and self._matches(term, domain):
                matched = {"": "pass", "+": "pass", "-": "fail", "~": "softfail", "?": "neutral"}[term["sign"]]
        if matched or not redirect:
            return matched or "neutral"
        self._count()
        return self.record(redirect, self._record_of(redirect))

    def _matches(self, term: re.Match[str], domain: str) -> bool:
        name, value = term["name"].lower(), term["value"] or domain
        if name == "all":
            return True
        if name in {"ip4", "ip6"}:
            return self._in_network(value + (term["bits"] or ""))
        self._count()
        if "%" in value or name == "ptr":
            return False
        if name == "include":
            return self.record(value, self._record_of(value)) == "pass"
        if name == "exists":
            return bool(self.resolver.ask(value, "A").data)
        hosts = (
            [value] if name == "a" else [data.split()[1].rstrip(".") for data in self.resolver.ask(value, "MX").data]
        )
        return any(self._is_address_of(host, term) for host in hosts if host)

    def _in_network(self, text: str) -> bool:
        try:
            net = ip_network(text, strict=False)
        except ValueError:
            raise SpfError(f"{text!r} is no network") from None
        return net.version == self.address.version and self.address in net

    def _is_address_of(self, host: str, term: re.Match[str]) -> bool:
        four = self.address.version == 4
        bits = (term["bits"] if four else term["bits6"]) or ("/32" if four else "/128")
        found = self.resolver.ask(host, "A" if four else "AAAA").data
        return any(
            self.address in ip_network(f"{ip_address(one)}{bits.replace('//', '/')}", strict=False) for one in found
        )

    def _record_of(self, domain: str) -> str:
        found = records(self.resolver.ask(domain, "TXT").data)
        if len(found) != 1:
            raise SpfError(f"{domain}, which it names, has {len(found) or 'no'} SPF record{'s' if found else ''}")
        return found[0]

    def _count(self) -> None:
        self.lookups += 1
        if self.lookups > _STOP:
            raise SpfError(f"it needs more than {_STOP} look-ups; {LOOKUPS} are allowed")
