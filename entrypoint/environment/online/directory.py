"""The directory: the ladder of `entrypoint.ladder`, with the settings of all services that ask it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from entrypoint.environment import pem
from entrypoint.environment.case import Case
from entrypoint.errors import SettingsError
from entrypoint.ladder import Rung, climb
from entrypoint.settings.concerns import Common, Exim, Ldap, Members, Recipients, Senders
from entrypoint.settings.reading import read, read_file
from entrypoint.settings.schema import Var, concern

_NOT_CLIMBED = "directory"
_UNREACHABLE = ("name", "tcp")


def rungs(case: Case, probe_user: str) -> list[Rung]:
    """Every server of LDAP_HOSTS; one rung says why none was asked, if so."""
    if not case.with_settings(Ldap):
        return []
    try:
        settings = _settings(case)
    except SettingsError as error:
        return [_skipped("the settings have to be right first", error)]
    authorities = pem.authorities(case, "LDAP_CA")
    if authorities is None:
        return [_skipped(f"LDAP_CA={settings.ldap_ca} cannot be found on this machine")]
    found = climb(replace(settings, ldap_ca=authorities), probe_user, known=_known(case))
    return [_softened(rung, case, found) for rung in found]


def _skipped(told: str, error: SettingsError | None = None) -> Rung:
    why = f": {error.mistakes[0]}" if error else ""
    return Rung(_NOT_CLIMBED, None, f"{told}{why}", "", 0.0, "LDAP")


def _settings(case: Case) -> Any:
    """As one value: the concerns that some service in use has."""
    wanted = tuple(kind for kind in (Members, Recipients, Senders, Exim) if case.with_settings(kind))
    settings: type[Any] = concern(type("Asked", (*wanted, Common), {}))

    def read_here(v: Var, path: Path) -> str:
        return read_file(v, case.path(str(path)) if case.file else path)

    return read(case.env, settings, known=case.known.values(), read_file=read_here).settings


def _known(case: Case) -> dict[str, str]:
    """What mail-dnsmasq will know, and DNS on the host may not."""
    found = dict(case.value("DNS_HOSTS") or ())
    hosts = case.value("LDAP_HOSTS") or ()
    if case.value("LDAP_IP") and hosts:
        found[urlsplit(hosts[0]).hostname or ""] = str(case.value("LDAP_IP"))
    return found


def _softened(rung: Rung, case: Case, rungs: list[Rung]) -> Rung:
    """The embedded directory may not run yet: then it is not the settings' fault."""
    broken = any(each.server == rung.server and each.name in _UNREACHABLE and each.ok is False for each in rungs)
    is_ours = case.uses("ldap") and urlsplit(rung.server).hostname == case.value("DIRECTORY_HOST")
    if broken and is_ours and rung.ok is False:
        return replace(rung, ok=None, told=f"{rung.told}: the service ldap does not run (yet)", cure="")
    return rung


def is_spare(rung: Rung, rungs: Sequence[Rung]) -> bool:
    """Whether it is one directory server of several, and another one answers well."""
    servers = {each.server for each in rungs if each.server.startswith("ldap")}
    well = servers - {each.server for each in rungs if each.ok is False}
    return rung.server in servers and bool(well)
