"""Where services contradict each other: ports, addresses, domains, relays. Each alone would find nothing wrong."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from entrypoint.environment.case import Case, profiles
from entrypoint.environment.findings import Finding
from entrypoint.errors import SettingsError
from entrypoint.service import Service
from entrypoint.settings.concerns import Imap, Smarthost
from entrypoint.settings.kinds import Network

# As in docker-compose.yaml: whose port of the host it is, and which container has the address.
PUBLISHED: Mapping[str, str] = {
    "SMTP_PORT": "exim-external",
    "SUBMISSION_PORT": "exim-external",
    "SUBMISSIONS_PORT": "exim-external",
    "IMAP_PORT": "imap",
    "IMAPS_PORT": "imap",
    "MANAGESIEVE_PORT": "imap",
    "INT_MAILOUT_SUBMISSION_PORT": "exim-int-mailout",
    "EXT_MAILOUT_SMTP_PORT": "exim-ext-mailout",
    "EXT_MAILOUT_SUBMISSION_PORT": "exim-ext-mailout",
    "EXT_MAILOUT_SUBMISSIONS_PORT": "exim-ext-mailout",
    "RSPAM_CONSOLE_PORT": "rspam",
}
ADDRESSES: Mapping[str, str] = {
    "DNSMASQ_IP": "mail-dnsmasq",
    "REDIS_IP": "mail-redis",
    "RSPAM_IP": "rspam",
    "IMAP_IP": "imap",
    "EXIM_EXT_MAILOUT_IP": "exim-ext-mailout",
    "EXIM_INT_MAILOUT_IP": "exim-int-mailout",
    "EXIM_EXTERNAL_IP": "exim-external",
    "LDAP_IP": "ldap",
    "CLAMAV_IP": "clamav",
    "FETCHMAIL_IP": "fetchmail",
    "SINK_IP": "sink",
}
_DEFAULT_LDAP_IP = "172.20.0.10"  # the compose file's; without the embedded directory the variable has no default


def findings(case: Case) -> Iterator[Finding]:
    """All contradictions."""
    yield from _ports(case)
    yield from _own_ports(case)
    yield from _console(case)
    yield from _addresses(case)
    yield from _domains(case)
    yield from _mailboxes(case)
    yield from _relays(case)


@dataclass(frozen=True)
class Published:
    """A port of the host. `address` is empty for all addresses of both families."""

    variable: str
    address: str
    port: int

    @classmethod
    def read(cls, variable: str, text: str) -> Published:
        """From `25` or `127.0.0.1:25`."""
        address, _, port = text.rpartition(":")
        return cls(variable, address.strip("[]"), int(port))

    def meets(self, other: Published) -> bool:
        """Whether the kernel lets only one of them listen."""
        return self.port == other.port and any(
            mine == theirs or "*" in {mine, theirs}
            for family, mine in self._places().items()
            if (theirs := other._places().get(family))
        )

    def _places(self) -> dict[int, str]:
        """The address by IP version; * is every one."""
        if not self.address:
            return {4: "*", 6: "*"}
        address = ip_address(self.address)
        return {address.version: "*" if address.is_unspecified else str(address)}

    def __str__(self) -> str:
        where = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.variable}={where}:{self.port}" if where else f"{self.variable}={self.port}"


def published(case: Case) -> list[Published]:
    """The ports of the host that the services in use listen on."""
    given = {name: case.value(name) for name, service in PUBLISHED.items() if case.uses(service)}
    return [Published.read(name, text) for name, text in given.items() if text]


def _ports(case: Case) -> Iterator[Finding]:
    for one, other in itertools.combinations(published(case), 2):
        if one.meets(other):
            services = dict.fromkeys((PUBLISHED[one.variable], PUBLISHED[other.variable]))
            text = f"{one} and {other} are the same port of the host: only one container can have it"
            yield case.error(text, one.variable, other.variable, services=services)


def _console(case: Case) -> Iterator[Finding]:
    """It has no TLS: its password would cross the network in the clear."""
    for port in published(case):
        if port.variable == "RSPAM_CONSOLE_PORT" and not (port.address and ip_address(port.address).is_loopback):
            text = (
                f"{port} is open to other machines, and the console has no TLS: keep it at 127.0.0.1:{port.port}, "
                "behind a reverse proxy"
            )
            yield case.warning(text, port.variable, services=("rspam",))


def _own_ports(case: Case) -> Iterator[Finding]:
    """The port for metrics is in each container, beside those of its daemon."""
    port = case.value("METRICS_PORT")
    for service in case.services if port else ():
        if port in _listened(case, service):
            text = f"METRICS_PORT={port} is a port of the daemon itself: choose another one, such as 9466"
            yield case.error(text, "METRICS_PORT", services=(service.name,))


def _listened(case: Case, service: Service[Any]) -> set[int]:
    reading = case.readings[service.name]
    if isinstance(reading, SettingsError):
        return set()  # told already
    return {probe.port for probe in service.probes(reading.settings)}


def addresses(case: Case) -> dict[str, Any]:
    """The addresses of the containers in use, by variable."""
    found = {name: case.value(name) for name, service in ADDRESSES.items() if case.uses(service)}
    if case.uses("ldap"):
        found["LDAP_IP"] = found["LDAP_IP"] or ip_address(_DEFAULT_LDAP_IP)
    if "demo" in profiles(case.env):
        found["SINK_IP"] = case.value("SINK_IP")
    return {name: address for name, address in found.items() if address}


def _addresses(case: Case) -> Iterator[Finding]:
    network: Network | None = case.value("MAIL_NETWORK")
    found = addresses(case)
    for name, address in found.items():
        if network and (why := _misplaced(address, network)):
            by_default = "" if case.is_given(name) else " (by default)"
            text = f"{name}={address}{by_default} {why}: choose another one in MAIL_NETWORK={network}"
            yield case.error(text, name, "MAIL_NETWORK", services=(ADDRESSES[name],))
    for one, other in itertools.combinations(found, 2):
        if found[one] == found[other]:
            text = f"{one} and {other} are both {found[one]}: each container has an address of its own"
            yield case.error(text, one, other, services=(ADDRESSES[one], ADDRESSES[other]))


def _misplaced(address: Any, network: Network) -> str:
    if address not in network:
        return "is not in the container network"
    if address == network[1]:
        return "is the container network's gateway"
    if address in {network.network_address, network.broadcast_address}:
        return "is no host's address, but the network's own"
    return ""


def _domains(case: Case) -> Iterator[Finding]:
    """Local mail and mail for a relay: Exim would take the first router that wants it."""
    if not case.with_settings(Smarthost):
        return
    local = set(case.value("EXIM_LOCAL_DOMAINS") or ())
    relayed = {"RELAY_DOMAINS": [domain for domain, _ in case.value("RELAY_DOMAINS") or ()]}
    if case.value("EXIM_EXT_MSACCOUNT"):
        relayed["EXIM_EXT_MSDOMAINS"] = list(case.value("EXIM_EXT_MSDOMAINS") or ())
    for name, domains in relayed.items():
        if both := sorted(local.intersection(domains)):
            text = (
                f"{name} and EXIM_LOCAL_DOMAINS both have {' and '.join(both)}: mail is either kept here or passed on; "
                "remove it from one of them"
            )
            yield case.error(text, name, _local(case), services=_names(case, Smarthost))


def _local(case: Case) -> str:
    return "EXIM_LOCAL_DOMAINS" if case.is_given("EXIM_LOCAL_DOMAINS") else "DOMAIN"


def _mailboxes(case: Case) -> Iterator[Finding]:
    """The address that `health --deep` writes to is one of ours."""
    address, local = case.value("HEALTH_MAILBOX"), case.value("EXIM_LOCAL_DOMAINS")
    if address and local and case.with_settings(Imap) and address.rpartition("@")[2] not in local:
        text = f"HEALTH_MAILBOX={address} is in no domain of EXIM_LOCAL_DOMAINS: its mail would leave"
        yield case.error(text, "HEALTH_MAILBOX", _local(case), services=_names(case, Imap))


def _relays(case: Case) -> Iterator[Finding]:
    """A login that no relay asks for, and a relay that is ourselves."""
    services = _names(case, Smarthost)
    if not services:
        return
    used = _relay_hosts(case)
    for login in case.value("RELAY_LOGINS") or ():
        if login.host not in {host for hosts in used.values() for host in hosts}:
            where = "DEFAULT_RELAY_HOST or RELAY_DOMAINS"
            text = f"RELAY_LOGINS has a login at {login.host}, which is no relay of {where}: it is never used"
            yield case.warning(text, "RELAY_LOGINS", services=services)
    ourselves = _ourselves(case)
    for name, hosts in used.items():
        for host in hosts:
            if host in ourselves:
                text = f"{name} has {host}, which is {ourselves[host]}: mail to the world would go in a circle"
                yield case.error(text, name, services=services)


def _relay_hosts(case: Case) -> dict[str, list[str]]:
    default = case.value("DEFAULT_RELAY_HOST")
    found = {
        "DEFAULT_RELAY_HOST": [default.host] if default else [],
        "RELAY_DOMAINS": list(dict.fromkeys(relay.host for _, relay in case.value("RELAY_DOMAINS") or ())),
    }
    microsoft = case.value("EXIM_EXT_MSRELAY")
    if case.value("EXIM_EXT_MSACCOUNT") and microsoft:
        found["EXIM_EXT_MSRELAY"] = [microsoft.host]
    return found


def _ourselves(case: Case) -> dict[str, str]:
    """Names and addresses of our own Exims, with the service."""
    found = {}
    for stem in ("EXIM_EXTERNAL", "EXIM_INT_MAILOUT", "EXIM_EXT_MAILOUT"):
        for value in (case.value(f"{stem}_HOST"), case.value(f"{stem}_IP")):
            if value:
                found[str(value)] = stem.lower().replace("_", "-")
    return found


def _names(case: Case, concern: type) -> list[str]:
    return [service.name for service in case.with_settings(concern)]
