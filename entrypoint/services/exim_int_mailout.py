"""Submission for members and local services: local mail by LMTP, all other to the smarthost."""

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
    """What exim-int-mailout is told."""


def _context(settings: Settings) -> Mapping[str, Any]:
    return {
        **_exim.context(settings, settings.exim_int_mailout_host),
        **_exim.directory(settings),
        **_exim.recipients(settings),
        **_exim.senders(settings),
    }


def _needs(settings: Settings) -> tuple[Need, ...]:
    return (
        _exim.dns_need(settings, settings.exim_smarthost_host),
        _exim.ldap_need(settings, settings.wait_s),
        _exim.rspam_need(settings),
        _exim.lmtp_need(settings),
    )


def _probes(_settings: Settings) -> tuple[Probe, ...]:
    return (_exim.smtp_probe(1587),)


SERVICE = Service(
    name="exim-int-mailout",
    image="exim",
    settings=Settings,
    programs=_exim.program,
    writes=(_exim.SPOOL,),
    probes=_probes,
    needs=_needs,
    measures=lambda _settings: _exim.measures(),
    checks=lambda _settings: _exim.check(1587),
    context=_context,
    secrets=lambda settings: {"ldap_password": settings.ldap_password},
    certificate_for=lambda settings: (settings.exim_int_mailout_host,),
)
