"""The smarthost: the only role that talks to the world. It takes mail of known hosts, and signs it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Any

from entrypoint.copies import dkim_copy, dkim_keys
from entrypoint.plan import Need, Probe
from entrypoint.quoting import Quoted, exim
from entrypoint.service import Service
from entrypoint.services import _exim
from entrypoint.settings.concerns import Smarthost
from entrypoint.settings.relays import Relay, RelayLogin
from entrypoint.settings.schema import concern

# Servers of the world put off or are away for hours, which nobody here can cure.
LATE_S = 86_400.0


@concern
class Settings(_exim.EximSettings, Smarthost):
    """What exim-ext-mailout is told."""


def _context(settings: Settings) -> Mapping[str, Any]:
    default = settings.default_relay_host
    return {
        **_exim.context(settings, settings.exim_ext_mailout_host),
        "ciphers": _exim.server_ciphers(),
        "relay_hosts": _relay_hosts(settings),
        "relays": [(domain, _target(to)) for domain, to in _relays(settings)],
        "default_relay": _target(default) if default else Quoted(""),
        "logins": list(_logins(settings)),
        "dkim_keys_by_domain": [(domain, str(dkim_copy(domain))) for domain, _ in dkim_keys(settings)],
    }


def _relay_hosts(settings: Settings) -> Quoted:
    """An Exim host list with ; between its items. A name that DNS does not know is passed over."""
    names = [host for host in settings.exim_relay_hosts if not _is_address(host)]
    addresses = [host for host in settings.exim_relay_hosts if _is_address(host)]
    addresses += [str(net) for net in settings.exim_whitelist_net]
    items: list[str] = [exim(item) for item in addresses]
    if names:
        items += ["+ignore_unknown", *(exim(name) for name in names)]
    return Quoted(" ; ".join(items))


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_network(host)
    except ValueError:
        return False
    return True


def _target(relay: Relay) -> Quoted:
    return Quoted(f"{exim(relay.host)}::{relay.port}")


def _relays(settings: Settings) -> Iterator[tuple[str, Relay]]:
    yield from settings.relay_domains
    if settings.exim_ext_msaccount:
        named = {domain for domain, _ in settings.relay_domains}
        for domain in settings.exim_ext_msdomains:
            if domain not in named:
                yield domain, settings.exim_ext_msrelay


def _logins(settings: Settings) -> Iterator[RelayLogin]:
    yield from settings.relay_logins
    if settings.exim_ext_msaccount and settings.exim_ext_pw:
        host = settings.exim_ext_msrelay.host
        yield RelayLogin(host, settings.exim_ext_msaccount, settings.exim_ext_pw)


def _needs(settings: Settings) -> tuple[Need, ...]:
    return _exim.dns_need(settings, settings.exim_external_host), _exim.rspam_need(settings)


def _probes(_settings: Settings) -> tuple[Probe, ...]:
    return _exim.smtp_probe(1025), _exim.smtp_probe(1587)


SERVICE = Service(
    name="exim-ext-mailout",
    image="exim",
    profiles=("global",),
    settings=Settings,
    programs=_exim.program,
    writes=(_exim.SPOOL,),
    probes=_probes,
    needs=_needs,
    measures=lambda _settings: _exim.measures(LATE_S),
    checks=lambda _settings: _exim.check(1025),
    context=_context,
    certificate_for=lambda settings: (settings.exim_ext_mailout_host, settings.exim_smarthost_host),
)
