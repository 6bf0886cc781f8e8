"""`entrypoint doctor tls`: what the published ports show to clients, beside what is in the files on the host.

Most people find out too late that a certificate was renewed and not taken; here it is told for each port.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from entrypoint import service
from entrypoint.certificates import SOON_DAYS, check_certificate
from entrypoint.console import GREEN, RED, YELLOW, has_colour, table
from entrypoint.doctor import served
from entrypoint.doctor.records import CERTIFICATE, Known, on_host, settings_of
from entrypoint.doctor.served import TOO_OLD, Place
from entrypoint.environment import in_use
from entrypoint.errors import CheckError, ProbeError, UsageError
from entrypoint.settings.concerns import SYSTEM_CA, Tls

OK, WARNING, WRONG = "ok", "warning", "wrong"
_HEADS = ("result", "port", "name", "tls", "versions", "days", "told")
_COLOURS = {OK: GREEN, WARNING: YELLOW, WRONG: RED}

# Service, field of its published port, field of its name, and the protocol in which STARTTLS is said.
_PORTS = (
    ("exim-external", "smtp_port", "exim_external_host", "smtp"),
    ("exim-external", "submission_port", "exim_external_host", "smtp"),
    ("exim-external", "submissions_port", "exim_external_host", ""),
    ("imap", "imap_port", "imap_host", "imap"),
    ("imap", "imaps_port", "imap_host", ""),
    ("imap", "managesieve_port", "imap_host", "sieve"),
    ("exim-int-mailout", "int_mailout_submission_port", "exim_int_mailout_host", "smtp"),
    ("exim-ext-mailout", "ext_mailout_smtp_port", "exim_ext_mailout_host", "smtp"),
    ("exim-ext-mailout", "ext_mailout_submission_port", "exim_ext_mailout_host", "smtp"),
    ("exim-ext-mailout", "ext_mailout_submissions_port", "exim_ext_mailout_host", ""),
)
# What begins without TLS on the ports that everybody uses.
_STARTTLS = {25: "smtp", 587: "smtp", 2525: "lmtp", 143: "imap", 110: "pop3", 4190: "sieve"}
USUAL_PORTS = (25, 465, 587, 143, 993, 4190)


@dataclass(frozen=True)
class Finding:
    """One port, or the files on the host (port 0)."""

    service: str
    name: str
    port: int
    starttls: str
    versions: tuple[str, ...]
    days: int | None
    faults: tuple[str, ...]
    doubts: tuple[str, ...]

    @property
    def result(self) -> str:
        return WRONG if self.faults else WARNING if self.doubts else OK


@dataclass(frozen=True)
class _Files:
    """What is on the host: the certificate in use there, if any, and who is believed."""

    named: str
    certificate: str
    authorities: tuple[Path, ...]


def main(env: Mapping[str, str], *, host: str, ports: Sequence[int], starttls: str | None, as_json: bool) -> int:
    """Print a row for each port; 1 when one of them is wrong, else 0."""
    if host:
        found = of_host(host, ports or USUAL_PORTS, starttls, env)
    elif ports or starttls is not None:
        raise UsageError("cannot use --port or --starttls alone: name the host (--host)")
    else:
        found = of_stack(env)
    print(json.dumps([_as_json(finding) for finding in found], indent=2) if as_json else _as_text(found))
    return int(any(finding.result == WRONG for finding in found))


def of_host(host: str, ports: Sequence[int], starttls: str | None, env: Mapping[str, str]) -> list[Finding]:
    """What any host shows, to a client that knows the system's authorities, and TLS_CA_FILE if it is set."""
    own = on_host(env.get("TLS_CA_FILE"))
    files = _Files("", "", tuple(filter(None, (Path(SYSTEM_CA), own))))
    protocols = [_STARTTLS.get(port, "") if starttls is None else starttls for port in ports]
    return [
        _look(Place("", host, host, port, protocol), files) for port, protocol in zip(ports, protocols, strict=True)
    ]


def of_stack(env: Mapping[str, str]) -> list[Finding]:
    """The files on the host, and each published port of the services that run here."""
    known = settings_of(env)
    used = {each.name for each in in_use([service.find(name) for name in service.names()], env)}
    places = list(_places(known, used))
    own, files = _files(known, sorted({place.name for place in places}))
    return [*own, *(_look(place, files) for place in places)]


def _places(known: Known, used: set[str]) -> Iterator[Place]:
    for name, port, host, starttls in _PORTS:
        if name not in used or (starttls == "sieve" and not known.enable_managesieve):
            continue
        where, _, number = str(getattr(known, port)).rpartition(":")
        address = where.strip("[]")
        # Every address of the machine is also 127.0.0.1; a published one may not be.
        local = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(address, address)  # noqa: S104
        yield Place(name, getattr(known, host), local, int(number), starttls)


def _files(known: Known, hosts: Sequence[str]) -> tuple[list[Finding], _Files]:
    """A finding of the files themselves, as each container would judge them."""
    authorities = tuple(filter(None, (Path(SYSTEM_CA), on_host(known.tls_ca_file))))
    certificate, key = known.tls_fullchain_file, known.tls_privkey_file
    if not (certificate and key):
        missing = "TLS_FULLCHAIN_FILE and TLS_PRIVKEY_FILE are not set: nothing to compare with"
        return [Finding("", "files", 0, "", (), None, (), (missing,))], _Files("", "", authorities)
    faults = []
    try:
        pair = Tls(tls_certificate=certificate, tls_key=key, tls_level=known.tls_level)
        check_certificate(pair, tuple(hosts))
    except CheckError as error:
        told = str(error).replace("TLS_CERTIFICATE=", "TLS_FULLCHAIN_FILE=").replace("TLS_KEY=", "TLS_PRIVKEY_FILE=")
        faults.append(told)
    chain = _chain_in(certificate)
    days = int(served.days_left(chain[0])) if chain else None
    doubts = _soon(days) if not faults else ()
    finding = Finding("", "files", 0, "", (), days, tuple(faults), doubts)
    return [finding], _Files(f"TLS_FULLCHAIN_FILE={certificate}", chain[0] if chain else "", authorities)


def _chain_in(file: str) -> list[str]:
    try:
        return CERTIFICATE.findall(Path(file).read_text(encoding="ascii", errors="replace"))
    except OSError:
        return []


def _look(place: Place, files: _Files) -> Finding:
    def finding(
        versions: tuple[str, ...], days: int | None, faults: Sequence[str], doubts: Sequence[str] = ()
    ) -> Finding:
        return Finding(
            place.service, place.name, place.port, place.starttls, versions, days, tuple(faults), tuple(doubts)
        )

    try:
        shown = served.ask(place)
    except ProbeError as error:
        return finding((), None, [str(error)])
    days = served.days_left(shown.chain[0])
    faults = list(_faults(place, shown, files, days))
    return finding(shown.versions, int(days), faults, () if days < 0 else _soon(int(days)))


def _soon(days: int | None) -> tuple[str, ...]:
    return (f"expires in {days} days: renew it",) if days is not None and days <= SOON_DAYS else ()


def _faults(place: Place, shown: served.Shown, files: _Files, days: float) -> Iterator[str]:
    certificate = shown.chain[0]
    if old := TOO_OLD & set(shown.versions):
        yield f"offers TLS {' and '.join(sorted(old))}, which are broken"
    if days < 0:
        yield f"the certificate expired {int(-days)} days ago"
    if not served.is_for(certificate, place.name):
        yield f"the certificate is for {', '.join(served.names(certificate)) or 'no host'}"
    if words := served.doubt_of_chain(shown.chain, files.authorities):
        yield f"no chain to a known authority ({words})"
    if files.certificate and _flat(files.certificate) != _flat(certificate):
        yield (
            f"not the certificate in {files.named}: renewed but not taken? "
            f"docker compose kill -s HUP {place.service}, then read its log (docs/how-to/reload.md)"
        )


def _flat(pem: str) -> str:
    return "".join(pem.split())


def _as_text(found: Sequence[Finding]) -> str:
    rows = [row for finding in found for row in _rows(finding)]
    return table(_HEADS, rows, right=("port", "days"), colours=_COLOURS, coloured=has_colour())


def _rows(finding: Finding) -> Iterator[dict[str, str]]:
    """One row, and a further one for each further sentence."""
    first, *others = (*finding.faults, *finding.doubts) or ("",)
    yield {
        "result": finding.result,
        "port": str(finding.port or ""),
        "name": finding.name,
        "tls": "" if not finding.port else "STARTTLS" if finding.starttls else "TLS",
        "versions": " ".join(finding.versions),
        "days": "" if finding.days is None else str(finding.days),
        "told": first,
    }
    for other in others:
        yield {"told": other}


def _as_json(finding: Finding) -> dict[str, object]:
    return {**asdict(finding), "result": finding.result}
