"""DNS: each local domain's mail comes to the MX, and the names that people use are known.

All other records (SPF, DKIM, DMARC, PTR, …) are those of `entrypoint doctor dns`.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from entrypoint.environment.case import Case
from entrypoint.ladder import Broken, Rung, Skipped, Told, take

if TYPE_CHECKING:
    from dns.resolver import Resolver

SERVER = "DNS"
_TIMEOUT_S = 5.0
# Who has to be found by whom: members and other servers. The other names are inside only.
_PUBLIC = {"imap": "IMAP_HOST", "exim-external": "EXIM_EXTERNAL_HOST", "exim-ext-mailout": "EXIM_EXT_MAILOUT_HOST"}


def rungs(case: Case, resolver: Resolver | None = None) -> list[Rung]:
    """MX and addresses. One rung says why nothing was asked, if so."""
    if case.value("DNS_UPSTREAM") == ("none",):
        return [Rung("resolver", None, "DNS_UPSTREAM=none: the world is not asked", "", 0.0, SERVER)]
    made = [resolver] if resolver else []
    first = take("resolver", SERVER, "", lambda: _told(made) if made else _resolver(case, made))
    return [first, *_questions(case, made[0])] if made else [first]


def _questions(case: Case, resolver: Resolver) -> Iterator[Rung]:
    if case.uses("exim-external"):
        yield from _mx(case, resolver, case.value("EXIM_LOCAL_DOMAINS") or ())
    hosts = {case.value(name): name for service, name in _PUBLIC.items() if case.uses(service)}
    for host, name in hosts.items():
        if host:
            yield _host(resolver, host, name)


def _told(made: list[Resolver]) -> Told:
    return f"{' '.join(map(str, made[0].nameservers))} is asked", ""


def _resolver(case: Case, made: list[Resolver]) -> Told:
    """The one that containers will ask, too."""
    try:
        from dns.resolver import NoResolverConfiguration, Resolver
    except ImportError:
        raise Skipped("dnspython is not installed, which only the host needs: pip install 'postern[host]'") from None
    upstream = case.value("DNS_UPSTREAM") or ("system",)
    try:
        resolver = Resolver(configure=upstream == ("system",))
    except NoResolverConfiguration:
        raise Broken("this machine has no resolver", "name one in /etc/resolv.conf, or in DNS_UPSTREAM") from None
    if upstream != ("system",):
        resolver.nameservers = list(upstream)
    resolver.lifetime = _TIMEOUT_S
    made.append(resolver)
    return _told(made)


def _ask(resolver: Resolver, name: str, rdtype: str) -> list[str]:
    """The records as in a zone file, in lower case; none where there are none. Broken without any answer."""
    from dns.exception import DNSException
    from dns.resolver import NXDOMAIN

    try:
        found = resolver.resolve(f"{name}.", rdtype, search=False, raise_on_no_answer=False)
    except NXDOMAIN:
        return []
    except (DNSException, OSError) as error:
        why = " ".join(str(error).split()) or type(error).__name__
        raise Broken(f"{name} {rdtype} is not answered: {why}", "check the resolver (DNS_UPSTREAM)") from None
    return [record.to_text().lower() for record in found.rrset or ()]


def _mx(case: Case, resolver: Resolver, domains: tuple[str, ...]) -> Iterator[Rung]:
    wanted = case.value("EXIM_EXTERNAL_HOST")

    def asking(domain: str) -> Told:
        records = sorted(_ask(resolver, domain, "MX"), key=lambda record: int(record.split()[0]))
        found = [record.split()[-1].rstrip(".") for record in records]
        if wanted in found:
            return f"{domain} has the MX {' '.join(found)}", ""
        cure = f"publish `{domain}. MX 10 {wanted}.`, or set EXIM_EXTERNAL_HOST to the name that is published"
        raise Broken(f"{domain} has the MX {' '.join(found)}, not {wanted}" if found else f"{domain} has no MX", cure)

    for domain in domains if wanted else ():
        yield take("mx", SERVER, "", partial(asking, domain))


def _host(resolver: Resolver, host: str, variable: str) -> Rung:
    def asking() -> Told:
        found = [*_ask(resolver, host, "A"), *_ask(resolver, host, "AAAA")]
        if not found:
            raise Broken(
                f"{host} has no address", f"publish `{host}. A …`, or set {variable} to a name that is published"
            )
        return f"{host} is {' '.join(found)}", ""

    return take("address", SERVER, "", asking)
