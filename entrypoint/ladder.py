"""The way to the directory and to one of its people, rung by rung: name, TCP, TLS, login, base, filters, attributes.

For people who look for what is wrong: each rung says what was found, or why it broke and what to do about it, and how
long it took. Above a broken rung nothing is asked. Every server of LDAP_HOSTS is climbed, as any may be asked one day.
The settings need not be a service's: whatever filters are in them are asked.
"""

from __future__ import annotations

import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from entrypoint.console import DIM, GREEN, RED, table
from entrypoint.errors import ProbeError
from entrypoint.probe import Probe
from entrypoint.probes import ldap
from entrypoint.probes.ldap import Entry, Question
from entrypoint.probes.talk import Deadline, Talk, resolve
from entrypoint.quoting import ldap_filter
from entrypoint.settings import kinds
from entrypoint.settings.concerns import Exim, Ldap, Members, Recipients, Senders
from entrypoint.settings.ldap_filters import Pattern

if TYPE_CHECKING:
    from ldap3 import Connection

SOON_DAYS = 14
_TIMEOUT_S = 10.0
_SHOWN = 3  # entries that are named
_COLOURS = {"ok": GREEN, "failed": RED, "skipped": DIM}
NO_USER = "no probe user is named (--probe-user ADDRESS)"


@dataclass(frozen=True)
class Rung:
    """One step. `ok` is None for one that was not tried. A cure beside ok is advice: it will break soon."""

    name: str
    ok: bool | None
    told: str
    cure: str
    after_s: float
    server: str = ""

    @property
    def word(self) -> str:
        """`ok`, `failed` or `skipped`."""
        return "skipped" if self.ok is None else "ok" if self.ok else "failed"

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


class Broken(Exception):
    """The rung does not hold."""

    def __init__(self, reason: str, cure: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.cure = cure


class Skipped(Exception):
    """There is nothing to be asked."""


Told = tuple[str, str]  # what was found, and advice, if any
Step = tuple[str, str, Callable[[], Told]]  # name, the cure for a ProbeError, and what is done


def take(name: str, server: str, cure: str, act: Callable[[], Told]) -> Rung:
    """One rung: what `act` has to tell, or why it breaks; `cure` is for a ProbeError."""
    begin = time.monotonic()
    try:
        ok, (told, advice) = True, act()
    except Skipped as skipped:
        ok, told, advice = None, str(skipped), ""
    except Broken as broken:
        ok, told, advice = False, broken.reason, broken.cure
    except ProbeError as error:
        ok, told, advice = False, error.reason, cure
    return Rung(name, ok, told, advice, round(time.monotonic() - begin, 4), server)


def days_left(certificate: Mapping[str, Any]) -> int:
    """Until a certificate, as SSLSocket.getpeercert has it, ends to be valid."""
    return int((ssl.cert_time_to_seconds(str(certificate["notAfter"])) - time.time()) // 86_400)


def climb(settings: Ldap, probe_user: str = "", *, known: Mapping[str, str] | None = None) -> list[Rung]:
    """Every rung of every server of LDAP_HOSTS.

    `probe_user` is the mail address of a person who has to be found; without one those rungs are skipped. `known` are
    addresses of names that DNS may not have, such as those of the container network.
    """
    ldap.load()
    return [rung for url in settings.ldap_hosts for rung in _Climb(settings, url, probe_user, known or {}).rungs()]


def as_text(rungs: Sequence[Rung], *, coloured: bool = False) -> str:
    """A table for each server, with the cures below what is broken."""
    servers = list(dict.fromkeys(rung.server for rung in rungs))
    return "\n\n".join(_one_table(server, [r for r in rungs if r.server == server], coloured) for server in servers)


def _one_table(server: str, rungs: list[Rung], coloured: bool) -> str:
    rows = [row for rung in rungs for row in _rows(rung)]
    shown = table(("rung", "result", "time", "told"), rows, right=("time",), colours=_COLOURS, coloured=coloured)
    return f"{server}\n{shown}" if server else shown


def _rows(rung: Rung) -> Iterator[dict[str, str]]:
    spent = "" if rung.ok is None else f"{rung.after_s * 1000:.0f} ms"
    yield {"rung": rung.name, "result": rung.word, "time": spent, "told": rung.told}
    if rung.cure:
        yield {"told": f"→ {rung.cure}"}


class _Climb:
    """One server. The attributes are what the rungs below have reached."""

    talk: Talk
    session: Connection
    person: Entry | None = None

    def __init__(self, settings: Ldap, url: str, user: str, known: Mapping[str, str]) -> None:
        scheme, _, place = url.partition("://")
        host, _, port = place.rpartition(":")
        self.url, self.host, self.scheme, self.settings, self.user = url, host, scheme, settings, user
        self.known = known.get(host, "")
        self.probe = Probe(
            kind="ldap",
            host=self.known or host,
            port=int(port),
            server_name=host,
            ca_file=settings.ldap_ca,
            timeout_s=_TIMEOUT_S,
        )

    def rungs(self) -> list[Rung]:
        """From the ground up; the connection is closed at the end."""
        found: list[Rung] = []
        try:
            for step in self._lower():
                found.append(self._rung(step, _below(found)))
            skip = _below(found)
            found += [self._rung(step, skip) for step in self._upper()]
            if not skip:
                ldap.leave(self.talk, self.session)
        finally:
            if hasattr(self, "talk"):
                self.talk.__exit__()
        return found

    def _rung(self, step: Step, skip: str) -> Rung:
        name, cure, act = step
        return Rung(name, None, skip, "", 0.0, self.url) if skip else take(name, self.url, cure, act)

    def _lower(self) -> Iterator[Step]:
        variable = "STARTTLS on port 389, ldaps:// on port 636"
        yield "name", "check LDAP_HOSTS; a name that DNS does not have gets an address by LDAP_IP", self._name
        yield "tcp", "check host and port in LDAP_HOSTS, and firewalls on the way; is the server started?", self._tcp
        yield "tls", f"check LDAP_CA (own authority: TLS_CA_FILE) and LDAP_HOSTS ({variable})", self._tls
        yield "bind", "check LDAP_USER and LDAP_PASSWORD", self._bind
        yield "base", "check LDAP_BASE, and what LDAP_USER may read", self._base

    def _upper(self) -> Iterator[Step]:
        if isinstance(self.settings, Members):
            yield "members", "check LDAP_ITERATE_FILTER, or LDAP_GROUP, of which it is made", self._members
        questions = _questions(self.settings, self.user)
        for (base, scope, text), variables in questions.items():
            yield "user", f"check {' and '.join(variables)}", self._asking(base, scope, text, variables)
        if not questions:
            yield "user", "", self._nobody
        yield "attributes", "", self._attributes

    def _name(self) -> Told:
        if self.known:
            return f"{self.host} is {self.known}, as these settings say", ""
        found = resolve(self.host, self.probe.port, socket.SOCK_STREAM, Deadline(_TIMEOUT_S))
        return f"{self.host} is {' '.join(dict.fromkeys(str(address[0]) for *_, address in found))}", ""

    def _tcp(self) -> Told:
        self.talk = Talk(self.probe)
        return f"port {self.probe.port} accepts connections", ""

    def _tls(self) -> Told:
        if self.scheme == "ldaps":
            self.talk.stage = "tls"
            self.talk.handshake()
            self.session = ldap.begin(self.talk)
        else:
            self.session = ldap.begin(self.talk)
            ldap.start_tls(self.talk, self.session)
        days = days_left(self.talk.certificate())
        told = f"the certificate is trusted, and for {self.host}; it ends in {days} days"
        return told, "renew the directory's certificate" if days <= SOON_DAYS else ""

    def _bind(self) -> Told:
        user = self.settings.ldap_user
        ldap.bind(self.talk, self.session, user, self.settings.ldap_password.reveal().encode())
        return f"logged in as {user}", ""

    def _base(self) -> Told:
        ldap.find_base(self.talk, self.session, self.settings.ldap_base, self.settings.ldap_user)
        return f"{self.settings.ldap_base} exists", ""

    def _members(self) -> Told:
        assert isinstance(self.settings, Members)
        pattern = _filled(self.settings.ldap_iterate_filter, self.user)
        found = self._ask(Question(self.settings.ldap_base, "sub", pattern, ("1.1",)), limit=1)
        if not found:
            raise Broken(
                f"LDAP_ITERATE_FILTER finds nobody: {pattern}",
                "check it, or LDAP_GROUP, of which it is made; has the group members, and do they have memberOf?",
            )
        return f"LDAP_ITERATE_FILTER finds members, such as {found[0].dn}", ""

    def _nobody(self) -> Told:
        raise Skipped(NO_USER if not self.user else "these settings have no filter")

    def _asking(self, base: str, scope: str, text: str, variables: list[str]) -> Callable[[], Told]:
        def act() -> Told:
            found = self._ask(Question(base or self.settings.ldap_base, scope, text, self._wanted()), limit=_SHOWN)
            if len(found) == 1:
                self.person = self.person or found[0]
                return f"{found[0].dn} ({', '.join(variables)})", ""
            if found:
                raise Broken(
                    f"{' and '.join(variables)} {_verb(variables, 'find')} several entries for {self.user}: "
                    f"{' and '.join(entry.dn for entry in found)}",
                    "an address is that of one person: remove it from the others",
                )
            raise self._not_found(text, variables)

        return act

    def _not_found(self, text: str, variables: list[str]) -> Exception:
        """Is it the address that is unknown, or the filter that wants more than the address?"""
        s = self.settings
        value = ldap_filter(self.user)
        address = f"(|({s.ldap_mail_attribute}={value})({s.ldap_alias_attribute}={value}))"
        near = self._ask(Question(s.ldap_base, "sub", address, (*self._wanted(), "memberOf")), limit=_SHOWN)
        finds = f"{' and '.join(variables)} {_verb(variables, 'find')} nobody for {self.user}"
        if not near:
            return Broken(
                f"{finds}: no entry below {s.ldap_base} has this {s.ldap_mail_attribute} or {s.ldap_alias_attribute}",
                "check the address, LDAP_BASE, and the names of the attributes",
            )
        self.person = self.person or near[0]
        if variables == ["EXIM_PUBLIC_LDAP_USER_FILTER"]:
            return Skipped(f"{finds}: {near[0].dn} may not write to the world")
        groups = near[0].of("memberOf")
        member = f"is in {' and in '.join(groups)}" if groups else f"has no memberOf that {s.ldap_user} may see"
        return Broken(
            f"{finds}, though {near[0].dn} has the address; it {member}",
            f"put it into the group, or check the filter: {text}",
        )

    def _wanted(self) -> tuple[str, ...]:
        s = self.settings
        quota = (s.ldap_quota_attribute,) if isinstance(s, Members) else ()
        return (s.ldap_mail_attribute, s.ldap_alias_attribute, *quota)

    def _attributes(self) -> Told:
        if self.person is None:
            raise Skipped(NO_USER if not self.user else "no entry was found")
        s, person = self.settings, self.person
        told = [_primary(s, person)]
        if aliases := person.of(s.ldap_alias_attribute):
            told.append(f"{s.ldap_alias_attribute} {' '.join(aliases)}")
        if isinstance(s, Members):
            told.append(_quota(s, person))
        return ", ".join(told), ""

    def _ask(self, question: Question, limit: int) -> list[Entry]:
        return ldap.search(self.talk, self.session, question, limit)


def _below(rungs: list[Rung]) -> str:
    """Why nothing above can be asked; "" when all hold."""
    return next((f"{rung.name} has to be mended first" for rung in rungs if rung.ok is False), "")


def _verb(variables: list[str], verb: str) -> str:
    return verb if len(variables) > 1 else f"{verb}s"


def _questions(settings: Ldap, user: str) -> dict[tuple[str, str, str], list[str]]:
    """Base ("": LDAP_BASE), scope and filter, with the variables that ask so: mostly all the same."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for variable, base, scope, pattern in _filters(settings) if user else ():
        found.setdefault((base, scope, _filled(pattern, user)), []).append(variable)
    return found


def _filters(settings: Ldap) -> Iterator[tuple[str, str, str, Pattern]]:
    if isinstance(settings, Members):
        yield "LDAP_USER_FILTER", "", "sub", settings.ldap_user_filter
        yield "LDAP_PASS_FILTER", "", "sub", settings.ldap_pass_filter
    if isinstance(settings, Recipients):
        yield "EXIM_LDAP_USER_FILTER", "", "sub", settings.exim_ldap_user_filter
    if isinstance(settings, Senders):
        for variable in ("exim_int_mailout_ldap_auth", "exim_int_mailout_ldap_plain"):
            search = getattr(settings, variable)
            base = "" if search.base == settings.ldap_base else search.base
            yield variable.upper(), base, search.scope, search.filter
        yield "EXIM_PUBLIC_LDAP_USER_FILTER", "", "sub", settings.exim_public_ldap_user_filter


def _filled(pattern: Pattern, user: str) -> str:
    """The filter as it is asked for this person."""
    local, _, domain = user.partition("@")
    values = {"user|username": local, "local_part": local, "user|domain": domain, "domain": domain}
    return "".join(
        text if kind == "literal" else str(ldap_filter(values.get(text, user))) for kind, text in pattern.parts
    )


def _primary(settings: Ldap, person: Entry) -> str:
    """The one primary address, which names the mailbox."""
    attribute = settings.ldap_mail_attribute
    found = person.of(attribute)
    if len(found) != 1:
        raise Broken(
            f"{person.dn} has {len(found)} values of {attribute}: {' '.join(found)}"
            if found
            else f"{person.dn} has no {attribute}",
            f"{attribute} is the one primary address; further ones belong into {settings.ldap_alias_attribute}",
        )
    try:
        address = kinds.email.parse(found[0])
    except ValueError as error:
        raise Broken(f"{attribute} is {found[0]!r}, which {error}", "correct it in the directory") from None
    domain = address.rpartition("@")[2]
    if isinstance(settings, Exim) and domain not in settings.exim_local_domains:
        raise Broken(
            f"{attribute} is {address}, whose domain is not in EXIM_LOCAL_DOMAINS",
            "add the domain, or correct the address: nobody can write to it",
        )
    return f"{attribute} {address}"


def _quota(settings: Members, person: Entry) -> str:
    """What Dovecot makes a limit of, by adding an M."""
    attribute = settings.ldap_quota_attribute
    found = person.of(attribute)
    if not found:
        return f"no {attribute}, so MAILBOX_SIZE_LIMIT counts"
    if len(found) > 1 or not re.fullmatch(r"[0-9]{1,12}", found[0]):
        raise Broken(
            f"{attribute} is {' and '.join(map(repr, found))}, which is no number of megabytes",
            "write one whole number, such as 500; or remove the attribute, and MAILBOX_SIZE_LIMIT counts",
        )
    return f"{attribute} {found[0]} MB" + (" (no limit)" if int(found[0]) == 0 else "")
