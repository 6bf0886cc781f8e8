"""The ports that the host publishes: the right service behind each, with the certificate that the settings name."""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from ipaddress import ip_address

from entrypoint.environment import pem
from entrypoint.environment.between import PUBLISHED, Published, published
from entrypoint.environment.case import Case
from entrypoint.errors import ProbeError
from entrypoint.ladder import SOON_DAYS, Rung, Skipped, Told, days_left, take
from entrypoint.probe import Probe
from entrypoint.probes import mail
from entrypoint.probes.rspamd import ask_rspamd
from entrypoint.probes.talk import Talk

SERVER = "published ports"
_TIMEOUT_S = 5.0
# Protocol, and how TLS begins.
SPOKEN: Mapping[str, tuple[str, str]] = {
    "SMTP_PORT": ("smtp", "starttls"),
    "SUBMISSION_PORT": ("smtp", "starttls"),
    "SUBMISSIONS_PORT": ("smtp", "tls"),
    "IMAP_PORT": ("imap", "starttls"),
    "IMAPS_PORT": ("imap", "tls"),
    "MANAGESIEVE_PORT": ("managesieve", "starttls"),
    "INT_MAILOUT_SUBMISSION_PORT": ("smtp", "starttls"),
    "EXT_MAILOUT_SMTP_PORT": ("smtp", "starttls"),
    "EXT_MAILOUT_SUBMISSION_PORT": ("smtp", "starttls"),
    "EXT_MAILOUT_SUBMISSIONS_PORT": ("smtp", "tls"),
    "RSPAM_CONSOLE_PORT": ("rspamd", ""),
}


def rungs(case: Case) -> list[Rung]:
    """One for each published port of the services in use."""
    return [_rung(case, port) for port in published(case)]


def _rung(case: Case, port: Published) -> Rung:
    cure = f"is {port} that of another program? Else: the certificate (TLS_FULLCHAIN_FILE, TLS_CA), or a reload"
    return take(str(port), SERVER, cure, lambda: _ask(case, port))


def _address(port: Published) -> str:
    """Where the host reaches it itself."""
    if not port.address or not (address := ip_address(port.address)).is_unspecified:
        return port.address or "127.0.0.1"
    return "127.0.0.1" if address.version == 4 else "::1"


def _ask(case: Case, port: Published) -> Told:
    kind, tls = SPOKEN[port.variable]
    if not tls:
        probe = Probe(kind=kind, host=_address(port), port=port.port, timeout_s=_TIMEOUT_S)
        with _reached(probe) as talk:
            return f"{ask_rspamd(talk, probe)}, without TLS", ""
    host = _host(case, port)
    authorities = pem.authorities(case, "TLS_CA")
    if not host or authorities is None:
        raise Skipped("the settings of its certificate have to be right first")
    probe = Probe(
        kind=kind,
        host=_address(port),
        port=port.port,
        tls=tls,
        server_name=host,
        ca_file=authorities,
        timeout_s=_TIMEOUT_S,
    )
    with _reached(probe) as talk:
        said = mail.QUESTIONS[kind](talk, probe)
        return f"{said}, for {host}", _advice(case, talk)


def _reached(probe: Probe) -> Talk:
    try:
        return Talk(probe)
    except ProbeError as error:
        if error.stage != "tcp":
            raise
        raise Skipped(f"cannot be reached from here ({error.reason}): the service does not run (yet)") from None


def _host(case: Case, port: Published) -> str:
    """The name that clients look for in the certificate."""
    service = next(each for each in case.services if each.name == PUBLISHED[port.variable])
    return service.certificate_for(case.settings_of(service))[0] or ""


def _advice(case: Case, talk: Talk) -> str:
    days = days_left(talk.certificate())
    if talk.certificate_der() not in _certificates(case):
        return "it is not the certificate in TLS_FULLCHAIN_FILE: let the service read it (entrypoint reload)"
    return f"it expires in {days} days: renew it" if days <= SOON_DAYS else ""


def _certificates(case: Case) -> list[bytes]:
    """Those in the file, of which the first is the server's."""
    file = case.host_file("TLS_FULLCHAIN_FILE")
    text = file.read_text(encoding="ascii", errors="replace") if file and file.is_file() else ""
    blocks = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", text, re.DOTALL)
    return [ssl.PEM_cert_to_DER_cert(block) for block in blocks]
