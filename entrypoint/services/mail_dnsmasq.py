"""mail-dnsmasq: the names and addresses of the stack for all containers, and the way to the world's DNS.

Exim asks DNS for every host name and never reads /etc/hosts, so the stack needs a server that knows
its own hosts, in both directions, whatever the world's DNS says about their public addresses.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from entrypoint.plan import Probe, Program
from entrypoint.service import Command, Service, base_env
from entrypoint.settings.concerns import Common, Dns, Hosts
from entrypoint.settings.kinds import Address
from entrypoint.settings.schema import concern

CONFIG = "/run/config/dnsmasq.conf"
HOSTS = "/etc/postern/hosts.d"
RECORDS = "/etc/postern/dnsmasq.d"
PORT = 53  # what resolv.conf cannot change; engines let everybody bind it inside a container


@dataclass(frozen=True)
class Host:
    """An address and its names; the first is the answer to a question for the address."""

    variable: str
    address: Address
    names: tuple[str, ...]


@concern
class Settings(Common, Hosts, Dns):
    """What mail-dnsmasq is told."""

    def contradictions(self) -> Iterator[str]:
        """One name at two addresses would send every second connection to the wrong service."""
        own = {name for host in stack(self) for name in host.names}
        for one, other in itertools.combinations((*stack(self), *others(self)), 2):
            for name in own.intersection(one.names, other.names):
                if one.address != other.address:
                    yield (
                        f"{one.variable} and {other.variable} give {name} two addresses, {one.address} and "
                        f"{other.address}: they accept names of their own, for example imap.example.org and "
                        "mail.example.org (a certificate can have several)"
                    )


def stack(settings: Settings) -> tuple[Host, ...]:
    """The services: by full name, and by the name in the compose file."""
    s = settings
    return (
        Host("IMAP_HOST", s.imap_ip, (s.imap_host, "imap")),
        Host("EXIM_EXTERNAL_HOST", s.exim_external_ip, (s.exim_external_host, "exim-external")),
        Host("EXIM_INT_MAILOUT_HOST", s.exim_int_mailout_ip, (s.exim_int_mailout_host, "exim-int-mailout")),
        Host("EXIM_EXT_MAILOUT_HOST", s.exim_ext_mailout_ip, (s.exim_ext_mailout_host, "exim-ext-mailout")),
        Host("EXIM_SMARTHOST_HOST", s.exim_smarthost_mailout_ip, (s.exim_smarthost_host,)),
        Host("RSPAM_IP", s.rspam_ip, ("rspam",)),
        Host("CLAMAV_IP", s.clamav_ip, ("clamav",)),
        Host("REDIS_IP", s.redis_ip, ("mail-redis", "redis")),
        Host("DNSMASQ_IP", s.dnsmasq_ip, ("mail-dnsmasq",)),
    )


def others(settings: Settings) -> tuple[Host, ...]:
    """Hosts that are not services of the stack, or need not be."""
    given = tuple(Host("DNS_HOSTS", ip_address(address), (name,)) for name, address in settings.dns_hosts)
    directory = _first_directory(settings)
    if settings.ldap_ip is None or not directory:
        return given
    return (Host("LDAP_HOSTS", settings.ldap_ip, (directory,)), *given)


def _first_directory(settings: Settings) -> str:
    """The name of the first directory server; "" when there is none, or only its address."""
    name = urlsplit(settings.ldap_hosts[0]).hostname if settings.ldap_hosts else None
    if name is None:
        return ""
    try:
        ip_address(name)
    except ValueError:
        return name
    return ""


def context(settings: Settings) -> Mapping[str, Any]:
    return {
        "port": PORT,
        "hosts": (*stack(settings), *others(settings)),
        "closed_names": closed_names(settings),
        "system": settings.dns_upstream == ("system",),
        "upstreams": () if settings.dns_upstream in (("system",), ("none",)) else settings.dns_upstream,
        "debug": settings.log_level == "debug",
    }


def closed_names(settings: Settings) -> list[str]:
    """Full names of services about which the world is not asked.

    It may well know an IPv6 address of imap.DOMAIN, which is no way through the container network.
    A service that is called like the domain itself stays open: the domain has MX and TXT records.
    """
    names = dict.fromkeys(host.names[0] for host in stack(settings) if "." in host.names[0])
    return [name for name in names if not f".{settings.domain}".endswith(f".{name}")]


def programs(settings: Settings) -> tuple[Program, ...]:
    argv = ("/usr/sbin/dnsmasq", f"--conf-file={CONFIG}")
    return (
        Program(
            name="dnsmasq",
            argv=argv,
            env=base_env(settings),
            parser="dnsmasq",
            reload="HUP",  # for the hosts and nothing else: dnsmasq(8), NOTES
            restart_for=("/run/config/*", RECORDS),
        ),
    )


def checks(_settings: Settings) -> tuple[Command, ...]:
    argv = ("/usr/sbin/dnsmasq", "--test", f"--conf-file={CONFIG}")
    return (Command(argv=argv, purpose="check dnsmasq.conf"),)


def probes(settings: Settings) -> tuple[Probe, ...]:
    # The probe asks for an A record, which an IPv6 address does not make.
    query = settings.imap_host if settings.imap_ip.version == 4 else "localhost"
    return (Probe(kind="dns", host="127.0.0.1", port=PORT, query=query),)


SERVICE = Service(
    name="mail-dnsmasq",
    image="dnsmasq",
    settings=Settings,
    reads=(HOSTS, RECORDS),
    programs=programs,
    probes=probes,
    checks=checks,
    context=context,
)
