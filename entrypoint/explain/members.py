"""exim-external and exim-int-mailout: mail of the world for members, and mail of members, who are in the directory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from entrypoint.errors import ProbeError, Unavailable
from entrypoint.explain.exim import STRANGER, Reply, Route
from entrypoint.explain.findings import BAD, GOOD, NOTE, UNKNOWN, Finding
from entrypoint.explain.people import Examined, Filter, examine
from entrypoint.explain.questions import Question
from entrypoint.explain.role import IMAP, MX, SMARTHOST, SUBMISSION_PORT, Role
from entrypoint.explain.rules import told
from entrypoint.plan import Probe
from entrypoint.probes.mail import log_in
from entrypoint.quoting import exim as quoted
from entrypoint.services._exim import CONFIG, MX_PORT
from entrypoint.settings.ldap_filters import LdapSearch

# Exim's word for it (4.98.2).
_SEVERAL = "more than one entry"


@dataclass(frozen=True)
class _Asks:
    """A question of an authenticator's: its name in the templates, and Exim's variable with the login."""

    mechanism: str
    name: str
    login: str


_QUESTIONS = {
    "EXIM_INT_MAILOUT_LDAP_PLAIN": _Asks("PLAIN", "find_plain", "auth2"),
    "EXIM_INT_MAILOUT_LDAP_AUTH": _Asks("LOGIN", "find_login", "auth1"),
}
# Somebody in the world whom nobody is (RFC 2606), to ask who may write there at all.
_ANYBODY = "anybody@elsewhere.invalid"


class Members(Role):
    """What these two say."""

    ends = frozenset({"address", "login", "sender"})

    # --- a route

    def route(self) -> Iterator[Finding]:
        address = self.question.name
        reply = self._reply(self.question.sender, address)
        if reply.malformed:
            yield self.bad_address(reply)
            return
        domain = address.rpartition("@")[2]
        local = self.exim.is_local(domain)
        yield self.domain(domain, local=local)
        if not local:
            yield from self._answered(reply, local=False)
            yield from self._leaving(address, self.question.sender)
            return
        known = self.exim.verify(address)
        yield from self._recipient(address, known)
        yield from self._answered(reply, local=True)
        if not known.failure:
            yield from self._arriving(address)

    def _reply(self, sender: str, recipient: str) -> Reply:
        """What a stranger is answered at the MX; at the other role, what somebody is who has logged in."""
        client = self.question.client or STRANGER
        if self.service.name == MX:
            sender = sender or _ANYBODY
            return self.exim.session(client=client, port=MX_PORT, sender=sender, recipient=recipient)
        # Bounces have no sender, and whoever has logged in may send them.
        return self.exim.session(
            client=client, port=SUBMISSION_PORT, sender="", recipient=recipient, login=sender or "nobody"
        )

    def _answered(self, reply: Reply, *, local: bool) -> Iterator[Finding]:
        """What the client is told that brings it; no server of the world may send to the world through us."""
        world = self.service.name == MX
        stranger = self.question.client or f"a server of the world ({STRANGER})"
        who = stranger if world else "who has logged in"
        if local:
            state = GOOD if reply.accepted else BAD
            yield self.answered("session", reply, state, f"{who} gets {told(reply)}")
        elif world and reply.accepted:
            yield self.answered("session", reply, BAD, f"{who} may send to the world through us: {told(reply)}")
        elif world:
            yield self.answered("session", reply, NOTE, f"{who} may not send there through us: {told(reply)}")

    def _recipient(self, address: str, known: Route) -> Iterator[Finding]:
        """Who it is for the directory, and whether Exim knows it."""
        yield from self._examined(address, self._recipients()).findings
        if not known.failure:
            text, state = "it is a recipient for Exim, which asks the directory each time", GOOD
        elif known.passing:
            text, state = f"Exim cannot say whether it is a recipient: {known.failure}", UNKNOWN
        else:
            text, state = f"it is no recipient for Exim: {known.failure}", BAD
        yield self.says("recipient", state, text, "EXIM_LDAP_USER_FILTER", asked="exim -bv")

    def _recipients(self) -> Filter:
        # Exim is content with several; imap is not, and says so.
        return Filter(variable="EXIM_LDAP_USER_FILTER", pattern=self.settings.exim_ldap_user_filter, several=NOTE)

    def _examined(self, name: str, by: Filter) -> Examined:
        return examine(self.directory, self.service.name, name, by)

    def _arriving(self, address: str) -> Iterator[Finding]:
        yield self.routed(self.exim.route(address))
        self.further.append((IMAP, Question(about="route", name=address)))

    def _leaving(self, address: str, sender: str) -> Iterator[Finding]:
        route = self.exim.route(address)
        yield self.routed(route)
        if route.router == "to_smarthost":
            ours = getattr(self.settings, f"{self.service.name.replace('-', '_')}_ip")
            further = Question(about="route", name=address, sender=sender, client=str(ours))
            self.further.append((SMARTHOST, further))

    # --- a login

    def login(self) -> Iterator[Finding]:
        yield from self._log_in(self.question.name, *_QUESTIONS)
        if self.question.password:
            yield self._with_password(self.question.name, self.question.password.reveal())

    def _log_in(self, login: str, *variables: str) -> Iterator[Finding]:
        """Whether Exim finds exactly one entry to log in as; if not, why."""
        try:
            dns = {variable: self._dn(login, variable) for variable in variables}
        except Unavailable as error:
            yield self.says("login", UNKNOWN, str(error), "LDAP_HOSTS", asked="exim -be")
            return
        for dn in dict.fromkeys(dns.values()):
            by = [variable for variable in variables if dns[variable] == dn]
            how = f"AUTH {' and '.join(_QUESTIONS[variable].mechanism for variable in by)}"
            if dn:
                text = f"Exim knows the login {login} ({how}): {dn}; its password decides"
                yield self.says("login", GOOD, text, *by, asked="exim -be")
            else:
                yield from self._examined(login, self._logins(by[0])).findings
                text = f"Exim knows no login {login} ({how}){self._whole_address(login)}"
                yield self.says("login", BAD, text, *by, asked="exim -be")

    def _dn(self, login: str, variable: str) -> str:
        """The entry that Exim's authenticator finds for a login, by its own question to the letter; "" for none, and
        for more than one.
        """
        asks = _QUESTIONS[variable]
        text = str(self.service.context(self.settings)[asks.name])
        self._insist_on_same(text)
        text = text.replace(f"${{quote_ldap:${asks.login}}}", f"${{quote_ldap:{quoted(login)}}}")
        try:
            return self.exim.expanded(f"${{lookup ldapdn{{ {text}}}{{$value}}}}")
        except Unavailable as error:
            if _SEVERAL in str(error):
                return ""
            raise

    def _insist_on_same(self, text: str) -> None:
        """The question is made of the settings; the running configuration was, too, unless a reload was refused."""
        if text not in Path(CONFIG).read_text(encoding="utf-8"):
            raise Unavailable(f"cannot ask exim: {CONFIG} is not what the settings make of it; entrypoint reload")

    def _logins(self, variable: str) -> Filter:
        search: LdapSearch = getattr(self.settings, variable.lower())
        return Filter(variable=variable, pattern=search.filter, base=search.base, scope=search.scope)

    def _whole_address(self, login: str) -> str:
        if "@" in login:
            return ""
        return f"; log in with the whole address, such as {login}@{self.settings.exim_local_domains[0]}"

    def _with_password(self, login: str, password: str) -> Finding:
        """A real login at this Exim, over TLS; a wrong password is in its log, as anybody's."""
        probe = Probe(
            kind="smtp",
            host="127.0.0.1",
            port=SUBMISSION_PORT,
            tls="starttls",
            server_name=self._own_host(),
            ca_file="/run/tls/pair.pem",
            timeout_s=20.0,
        )
        try:
            said = log_in(probe, login, password)
        except ProbeError as error:
            lasts = error.stage == "login" and not error.curable
            text = f"Exim {error.reason}" if lasts else f"cannot log in at Exim: {error}"
            return self.says("password", BAD if lasts else UNKNOWN, text, asked="AUTH PLAIN")
        return self.says("password", GOOD, f"the password is right for sending: {said}", asked="AUTH PLAIN")

    def _own_host(self) -> str:
        host: str = getattr(self.settings, f"{self.service.name.replace('-', '_')}_host")
        return host

    # --- sending

    def send(self) -> Iterator[Finding]:
        login, sender, recipient = self.question.name, self.question.sender, self.question.recipient
        yield from self._log_in(login, "EXIM_INT_MAILOUT_LDAP_PLAIN")
        yield from self._as(login, sender)
        if recipient:
            yield from self._to(login, sender, recipient)
        else:
            yield self._world_in_general(login, sender)

    def _submitted(self, login: str, sender: str, recipient: str) -> Reply:
        client = self.question.client or STRANGER
        return self.exim.session(client=client, port=SUBMISSION_PORT, sender=sender, recipient=recipient, login=login)

    def _as(self, login: str, sender: str) -> Iterator[Finding]:
        """Whether the sender is one of the person's addresses, by the rule that asks it."""
        reply = self._submitted(login, sender, _ANYBODY)
        if reply.stage == "MAIL FROM" and reply.malformed:
            yield self.bad_address(reply)
        elif reply.put_off and reply.stage != "RCPT TO":
            text = f"{sender} is put off as its sender, {told(reply)}"
            yield self.answered("sender", reply, UNKNOWN, text)
        elif reply.stage != "RCPT TO":
            own = ", ".join(self._addresses(login)) or "none"
            text = f"{sender} is refused as its sender, {told(reply)}; its own addresses: {own}"
            yield self.answered("sender", reply, BAD, text)
        elif self.settings.spoof_protection:
            text = f"{login} may write as {sender}, in the envelope and in From:, which is its own address"
            yield self.answered("sender", reply, GOOD, text, "SPOOF_PROTECTION")
        else:
            text = f"{login} may write as {sender}, since everybody may write as anybody"
            yield self.answered("sender", reply, NOTE, text, "SPOOF_PROTECTION")

    def _addresses(self, login: str) -> list[str]:
        s = self.directory.settings
        entries = self._examined(login, self._logins("EXIM_INT_MAILOUT_LDAP_PLAIN")).entries
        return [
            each for e in entries for name in (s.ldap_mail_attribute, s.ldap_alias_attribute) for each in e.of(name)
        ]

    def _world_in_general(self, login: str, sender: str) -> Finding:
        reply = self._submitted(login, sender, _ANYBODY)
        text = f"{login} may write {'to the world' if reply.accepted else 'only to members'}"
        if reply.put_off:
            text = f"{login} gets {told(reply)}"
        return self.answered("world", reply, NOTE, text, "EXIM_PUBLIC_LDAP_USER_FILTER")

    def _to(self, login: str, sender: str, recipient: str) -> Iterator[Finding]:
        reply = self._submitted(login, sender, recipient)
        if reply.malformed:
            yield self.bad_address(reply)
            return
        domain = recipient.rpartition("@")[2]
        local = self.exim.is_local(domain)
        yield self.domain(domain, local=local)
        if local and not reply.accepted:
            yield from self._examined(recipient, self._recipients()).findings
        yield self._taken(login, reply, f"for {recipient}" if local else "for the world")
        if reply.accepted:
            yield from self._arriving(recipient) if local else self._leaving(recipient, sender)

    def _taken(self, login: str, reply: Reply, what: str) -> Finding:
        state = GOOD if reply.accepted else BAD
        return self.answered("recipient", reply, state, f"mail of {login} {what} gets {told(reply)}")
