"""The MX: takes mail from the world for members; on 1587 and 1465 it takes members' own mail."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from entrypoint.plan import Need, Probe
from entrypoint.service import Service
from entrypoint.services import _exim
from entrypoint.settings.concerns import Recipients, Senders
from entrypoint.settings.schema import concern


@concern
class Settings(_exim.EximSettings, Recipients, Senders):
    """What exim-external is told."""


def _context(settings: Settings) -> Mapping[str, Any]:
    return {
        **_exim.context(settings, settings.exim_external_host),
        **_exim.directory(settings),
        **_exim.recipients(settings),
        **_exim.senders(settings),
    }


def _needs(settings: Settings) -> tuple[Need, ...]:
    return (
        _exim.dns_need(settings, settings.imap_host),
        _exim.ldap_need(settings, settings.wait_s),
        _exim.rspam_need(settings),
        _exim.lmtp_need(settings),
    )


def _probes(_settings: Settings) -> tuple[Probe, ...]:
    return _exim.smtp_probe(1025), _exim.smtp_probe(1587)


SERVICE = Service(
    name="exim-external",
    image="exim",
    settings=Settings,
    programs=_exim.program,
    writes=(_exim.SPOOL,),
    probes=_probes,
    needs=_needs,
    measures=lambda _settings: _exim.measures(),
    checks=lambda _settings: _exim.check(1025),
    context=_context,
    secrets=lambda settings: {"ldap_password": settings.ldap_password},
    certificate_for=lambda settings: (settings.exim_external_host,),
)
