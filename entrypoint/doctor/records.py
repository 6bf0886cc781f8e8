"""The DNS records that the mail of a domain needs, made of the settings: what `doctor dns` prints and compares.

Each record says what it is for. Which ones a person can do without is theirs to say (`--skip`); only TLSA is optional
by itself, because it is worth nothing without DNSSEC.
"""

from __future__ import annotations

import hashlib
import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import quote

from entrypoint import keys
from entrypoint.errors import Refused
from entrypoint.service import known_variables
from entrypoint.settings import concerns, read
from entrypoint.settings.kinds import Address
from entrypoint.settings.schema import Var, concern

KINDS = ("host", "mx", "spf", "dkim", "dmarc", "mta-sts", "tls-rpt", "tlsa", "srv", "ptr")
# What stands for the address of the machine where it is not known (RFC 5737: never anybody's).
NO_ADDRESS = ip_address("192.0.2.1")
POLICY_S = 604_800
CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.DOTALL)


@concern
class Known(
    concerns.Common, concerns.Hosts, concerns.Exim, concerns.Smarthost, concerns.Imap, concerns.Tls, concerns.Compose
):
    """The settings that DNS records are made of."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """A record as it should be.

    `name` is complete, without the last dot; `data` is as in a zone file, but that of TXT, which is the text itself.
    """

    kind: str  # one of KINDS
    zone: str
    name: str
    type: str
    data: str
    why: str
    also_good: frozenset[str] = frozenset()  # other data that do the same
    optional: bool = False


@dataclass(frozen=True)
class Needed:
    """All records, the MTA-STS policy of each domain, and what could not be found out."""

    records: tuple[Record, ...]
    policies: Mapping[str, str]
    notes: tuple[str, ...]


def settings_of(env: Mapping[str, str]) -> Known:
    """The settings; SettingsError as for a service. No secret is needed, so no secret's file is read."""
    return read(env, Known, known=known_variables(), read_file=_unread).settings


def _unread(v: Var, _path: Path) -> str:
    return v.example or "not read"


def needed(known: Known, addresses: Sequence[Address], skip: Sequence[str] = (), mode: str = "testing") -> Needed:
    """The records of all local domains, with the names of the machine first; without those of the kinds in `skip`."""
    maker = _Maker(known, addresses or (NO_ADDRESS,), mode)
    records = tuple(record for record in maker.records() if record.kind not in skip)
    policies = {} if "mta-sts" in skip else dict.fromkeys(known.exim_local_domains, maker.policy)
    return Needed(records, policies, tuple(note for note, kind in maker.notes if kind not in skip))


def public_port(published: str) -> int | None:
    """The port as the world sees it; None when it is published for this machine only."""
    where, _, number = published.rpartition(":")
    if where and ip_address(where.strip("[]")).is_loopback:
        return None
    return int(number)


def on_host(path: str | None) -> Path | None:
    """A file that .env names, as Compose finds it: relative paths begin where docker-compose.yaml is, which is here."""
    return Path(path) if path else None


class _Maker:
    def __init__(self, known: Known, addresses: Sequence[Address], mode: str) -> None:
        self.known = known
        self.addresses = addresses
        self.mx = known.exim_external_host
        self.out = known.exim_ext_mailout_host
        self.reports = f"mailto:{quote(known.postmaster_address, safe='@')}"
        self._dkim_text = cache(keys.dkim_record)  # often one key for all domains
        self.notes: list[tuple[str, str]] = []  # with the kind of record that is concerned
        lines = ("version: STSv1", f"mode: {mode}", f"mx: {self.mx}", f"max_age: {POLICY_S}")
        self.policy = "".join(f"{line}\n" for line in lines)

    def records(self) -> Iterator[Record]:
        yield from self._hosts()
        yield from self._tlsa()
        for domain in self.known.exim_local_domains:
            yield from self._of_domain(domain)
        yield from self._pointers()

    def _record(self, kind: str, name: str, rdtype: str, data: str, why: str, *, optional: bool = False) -> Record:
        return Record(kind=kind, zone=self._zone(name), name=name, type=rdtype, data=data, why=why, optional=optional)

    def _zone(self, name: str) -> str:
        """The longest of our domains that the name is in; the one above it, where it is in none."""
        ours = {self.known.domain, *self.known.exim_local_domains}
        inside = [domain for domain in ours if name == domain or name.endswith(f".{domain}")]
        return max(inside, key=len) if inside else name.partition(".")[2]

    def _hosts(self) -> Iterator[Record]:
        names = dict.fromkeys((self.mx, self.known.imap_host, self.known.exim_int_mailout_host, self.out))
        for name in names:
            for address in self.addresses:
                rdtype = "A" if address.version == 4 else "AAAA"
                yield self._record("host", name, rdtype, str(address), "The names of this machine.")

    def _of_domain(self, domain: str) -> Iterator[Record]:
        why = f"Mail for {domain} comes here."
        yield self._record("mx", domain, "MX", f"10 {self.mx}.", why)
        yield self._spf(domain)
        yield from self._dkim(domain)
        yield from self._dmarc(domain)
        yield from self._mta_sts(domain)
        yield from self._tls_rpt(domain)
        yield from self._services(domain)

    def _spf(self, domain: str) -> Record:
        why = "SPF (RFC 7208): mail from here comes from these addresses, and from no other ones."
        sources = " ".join(f"ip{address.version}:{address}" for address in self.addresses)
        if relay := self.known.default_relay_host:
            why += (
                f" Mail leaves through {relay.host}: add what that relay tells you, in front of -all, such as "
                f"include:spf.{relay.host}"
            )
        return self._record("spf", domain, "TXT", f"v=spf1 {sources} -all", why)

    def _dkim(self, domain: str) -> Iterator[Record]:
        selector = self.known.exim_dkim_selector
        if not selector:
            self._note("dkim", "no DKIM record: EXIM_DKIM_SELECTOR is not set, so mail is not signed")
            return
        if key := self._dkim_key(domain):
            try:
                text = self._dkim_text(key)
            except Refused as error:
                self._note("dkim", f"no DKIM record of {domain}: {error}")
                return
            why = "DKIM (RFC 6376): the public half of the key that signs what leaves."
            yield self._record("dkim", f"{selector}._domainkey.{domain}", "TXT", text, why)

    def _dkim_key(self, domain: str) -> Path | None:
        place = on_host(self.known.dkim_privkey_file)
        if place is None or not place.exists():
            named = f"DKIM_PRIVKEY_FILE={place} is not there" if place else "DKIM_PRIVKEY_FILE is not set"
            self._note("dkim", f"no DKIM record of {domain}: {named}")
            return None
        key = place / f"{domain}.pem" if place.is_dir() else place
        if not key.exists():
            self._note("dkim", f"no DKIM record of {domain}: there is no {key}, so its mail is not signed")
            return None
        return key

    def _dmarc(self, domain: str) -> Iterator[Record]:
        why = (
            "DMARC (RFC 7489): what others do with mail in your name that has neither SPF nor DKIM. Begin with none, "
            "read the reports, then change it to quarantine or reject."
        )
        text = f"v=DMARC1; p=none; rua={self.reports}"
        yield self._record("dmarc", f"_dmarc.{domain}", "TXT", text, why)
        home = self.known.postmaster_address.rpartition("@")[2]
        if not (home == domain or home.endswith(f".{domain}") or domain.endswith(f".{home}")):
            why = f"DMARC: {home} takes the reports about {domain} (RFC 7489, 7.1)."
            yield self._record("dmarc", f"{domain}._report._dmarc.{home}", "TXT", "v=DMARC1", why)

    def _mta_sts(self, domain: str) -> Iterator[Record]:
        told = "\n".join(f"  {line}" for line in self.policy.splitlines())
        why = (
            "MTA-STS (RFC 8461): others send to you with TLS and a good certificate only. It counts when a web server "
            f"of yours, mta-sts.{domain}, with a certificate for that name, serves\n"
            f"https://mta-sts.{domain}/.well-known/mta-sts.txt with this policy, and enforce instead of testing "
            f"when the reports are good:\n{told}\nThe id changes whenever the policy does."
        )
        sign = hashlib.sha256(self.policy.encode()).hexdigest()[:16]
        yield self._record("mta-sts", f"_mta-sts.{domain}", "TXT", f"v=STSv1; id={sign}", why)

    def _tls_rpt(self, domain: str) -> Iterator[Record]:
        why = "TLS-RPT (RFC 8460): others report by mail when TLS to you fails."
        text = f"v=TLSRPTv1; rua={self.reports}"
        yield self._record("tls-rpt", f"_smtp._tls.{domain}", "TXT", text, why)

    def _services(self, domain: str) -> Iterator[Record]:
        """RFC 6186, 8314 and 5804. TLS from the first byte comes before STARTTLS."""
        why = "Mail programs find their servers by themselves (RFC 6186, RFC 8314)."
        known = self.known
        services = [
            ("_imaps", 0, known.imaps_port, known.imap_host),
            ("_imap", 10, known.imap_port, known.imap_host),
            ("_submissions", 0, known.submissions_port, self.mx),
            ("_submission", 10, known.submission_port, self.mx),
        ]
        if known.enable_managesieve:
            services.append(("_sieve", 0, known.managesieve_port, known.imap_host))
        for service, priority, published, host in services:
            if (port := public_port(published)) is not None:
                yield self._record("srv", f"{service}._tcp.{domain}", "SRV", f"{priority} 1 {port} {host}.", why)

    def _tlsa(self) -> Iterator[Record]:
        """3 1 1: the key of our own certificate (RFC 7671, 5.1), which may stay the same when that is renewed."""
        chain = self._chain()
        if not chain:
            return
        why = (
            "DANE (RFC 7672), only for a zone with DNSSEC: the key of the certificate. Keep the key when you renew "
            "(certbot: --reuse-key), or publish the next one beside it before; a wrong one stops mail from coming."
        )
        fitting = list(_associations(chain))
        yield Record(
            kind="tlsa",
            zone=self._zone(self.mx),
            name=f"_25._tcp.{self.mx}",
            type="TLSA",
            data=fitting[0],
            why=why,
            also_good=frozenset(fitting),
            optional=True,
        )

    def _chain(self) -> list[str]:
        file = on_host(self.known.tls_fullchain_file)
        if file is None:
            self._note("tlsa", "no TLSA record: TLS_FULLCHAIN_FILE is not set")
            return []
        try:
            found = CERTIFICATE.findall(file.read_text(encoding="ascii", errors="replace"))
        except OSError as error:
            self._note("tlsa", f"no TLSA record: TLS_FULLCHAIN_FILE={file} cannot be read: {error.strerror}")
            return []
        if not found:
            self._note("tlsa", f"no TLSA record: TLS_FULLCHAIN_FILE={file} has no certificate in PEM")
        return found

    def _pointers(self) -> Iterator[Record]:
        why = (
            "The name of the address: set by whoever gave you the address, in a form of theirs. Without it others "
            "refuse your mail."
        )
        for address in self.addresses:
            name = address.reverse_pointer
            yield Record(kind="ptr", zone=name, name=name, type="PTR", data=f"{self.out}.", why=why)

    def _note(self, kind: str, text: str) -> None:
        self.notes.append((text, kind))


def _associations(chain: Sequence[str]) -> Iterator[str]:
    """All TLSA data that fit, 3 1 1 first: 3 is for the certificate itself, 2 for those above it."""
    for number, certificate in enumerate(chain):
        for selector in (1, 0):
            der = keys.public_key_of_certificate(certificate) if selector else ssl.PEM_cert_to_DER_cert(certificate)
            for matching, method in ((1, "sha256"), (2, "sha512")):
                yield f"{2 if number else 3} {selector} {matching} {hashlib.new(method, der).hexdigest()}"
