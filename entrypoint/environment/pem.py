"""Certificate, key, authorities and DKIM keys on the host: there, fitting, and used by somebody."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from entrypoint.certificates import ON_THE_HOST, check_authorities, check_key, doubts, refusals
from entrypoint.environment.case import IN_CONTAINERS, Case
from entrypoint.environment.files import unusable
from entrypoint.environment.findings import Finding
from entrypoint.errors import CheckError
from entrypoint.settings.concerns import SYSTEM_CA, Ldap, Smarthost, Tls, Trust
from entrypoint.settings.schema import concern

# Where docker-compose.yaml puts these files in the containers.
_CA = f"{IN_CONTAINERS}/ca"
_PAIR = (f"{IN_CONTAINERS}/letsencrypt-fullchain", f"{IN_CONTAINERS}/letsencrypt-privkey")
_DKIM = f"{IN_CONTAINERS}/dkim-privkey"


@concern
class _Pair(Tls, Trust):
    """A certificate on the host, and who should have signed it."""


def findings(case: Case) -> Iterator[Finding]:
    """Everything that is wrong with these files."""
    yield from _certificate(case)
    yield from _authorities(case)
    yield from _dkim(case)


def authorities(case: Case, variable: str) -> str | None:
    """The file on this machine for TLS_CA or LDAP_CA; "" for the system's, None where it is only in a container."""
    named = case.value(variable)
    if named == SYSTEM_CA:
        return ""
    found = case.host_file("TLS_CA_FILE") if named == _CA else None
    return str(found) if found else None


def hosts_of(case: Case) -> list[str]:
    """The names that members and others know the services by."""
    return [host for each in case.with_settings(Tls) for host in each.certificate_for(case.settings_of(each)) if host]


def _certificate(case: Case) -> Iterator[Finding]:
    services = [service.name for service in case.with_settings(Tls)]
    if not services or (case.value("TLS_CERTIFICATE"), case.value("TLS_KEY")) != _PAIR:
        return  # a file of the container's own
    wanted = ("TLS_FULLCHAIN_FILE", "TLS_PRIVKEY_FILE")
    troubles = [finding for name in wanted for finding in unusable(case, name, services)]
    yield from troubles
    if troubles:
        return
    pair = _pair(case)
    found = [str(refusal) for refusal in refusals(pair, tuple(dict.fromkeys(hosts_of(case))))]
    for refusal in found:
        yield case.error(_on_the_host(refusal), *wanted, services=services)
    # openssl has doubts about what is refused as well, but of no other kind.
    for doubt in () if found else doubts(pair):
        yield case.warning(_on_the_host(doubt), "TLS_FULLCHAIN_FILE", services=services)


def _pair(case: Case) -> _Pair:
    certificate, key = case.host_file("TLS_FULLCHAIN_FILE"), case.host_file("TLS_PRIVKEY_FILE")
    known = authorities(case, "TLS_CA") or SYSTEM_CA
    return _Pair(tls_certificate=str(certificate), tls_key=str(key), tls_level="", tls_ca=known)


def _on_the_host(text: str) -> str:
    """A sentence about a container's files, in the names of the host's."""
    for inside, outside in ON_THE_HOST.items():
        text = text.replace(f"{inside}=", f"{outside}=")
    return text


def _authorities(case: Case) -> Iterator[Finding]:
    """/run/secrets/ca is the file that TLS_CA_FILE names, and nothing without."""
    users = {name: kind for name, kind in (("TLS_CA", Trust), ("LDAP_CA", Ldap)) if case.value(name) == _CA}
    services = sorted({service.name for kind in users.values() for service in case.with_settings(kind)})
    if services and not case.value("TLS_CA_FILE"):
        text = f"{' and '.join(users)}={_CA} needs TLS_CA_FILE, the file on the host with these authorities"
        yield case.error(text, *users, "TLS_CA_FILE", services=services)
    elif not case.value("TLS_CA_FILE"):
        return
    elif not users:
        text = f"TLS_CA_FILE is used by nobody: set LDAP_CA or TLS_CA to {_CA}, whoever shall be checked by it"
        yield case.warning(text, "TLS_CA_FILE")
    elif troubles := list(unusable(case, "TLS_CA_FILE", services)):
        yield from troubles
    else:
        yield from _refused(case, "TLS_CA_FILE", lambda path: check_authorities("TLS_CA", path), services)


def _refused(
    case: Case, name: str, check: Callable[[str], None], services: list[str], path: Path | None = None
) -> Iterator[Finding]:
    try:
        check(str(path or case.host_file(name)))
    except CheckError as refusal:
        yield case.error(_on_the_host(str(refusal)), name, services=services)


def _dkim(case: Case) -> Iterator[Finding]:
    """A selector and its key need each other."""
    services = [service.name for service in case.with_settings(Smarthost)]
    if not services or case.value("DKIM_KEYS") != _DKIM:
        return
    selector, given = case.value("EXIM_DKIM_SELECTOR"), case.value("DKIM_PRIVKEY_FILE")
    if given and not selector and not case.is_given("EXIM_DKIM_SELECTOR"):
        text = "DKIM_PRIVKEY_FILE is used by nobody: mail is signed only with EXIM_DKIM_SELECTOR"
        yield case.warning(text, "DKIM_PRIVKEY_FILE", services=services)
    if not selector:
        return
    if not given:
        text = f"EXIM_DKIM_SELECTOR={selector} needs DKIM_PRIVKEY_FILE, the key on the host (or a folder of keys)"
        yield case.error(text, "EXIM_DKIM_SELECTOR", "DKIM_PRIVKEY_FILE", services=services)
        return
    if troubles := list(unusable(case, "DKIM_PRIVKEY_FILE", services)):
        yield from troubles
        return
    yield from _dkim_keys(case, services)


def _dkim_keys(case: Case, services: list[str]) -> Iterator[Finding]:
    place = case.host_file("DKIM_PRIVKEY_FILE")
    assert place
    domains = case.value("EXIM_LOCAL_DOMAINS") or ()
    keys = {domain: place / f"{domain}.pem" for domain in domains} if place.is_dir() else {"": place}
    without = [domain for domain, key in keys.items() if domain and not key.exists()]
    if without:
        names = "DKIM_PRIVKEY_FILE", "EXIM_LOCAL_DOMAINS"
        text = f"DKIM_PRIVKEY_FILE={place} has no {' and no '.join(f'{domain}.pem' for domain in without)}"
        if len(without) == len(keys):
            yield case.error(f"{text}: there is no key to sign with", *names, services=services)
        else:
            yield case.warning(f"{text}: their mail will not be signed", *names, services=services)
    for key in keys.values():
        if os.access(key, os.R_OK):
            yield from _refused(case, "DKIM_PRIVKEY_FILE", lambda path: check_key("DKIM_KEYS", path), services, key)
