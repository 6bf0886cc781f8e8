"""exim-ext-mailout: who may send through it, where it brings mail, and for whom it signs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from entrypoint.explain.exim import Reply, Route
from entrypoint.explain.findings import BAD, GOOD, NOTE, Finding
from entrypoint.explain.questions import Question
from entrypoint.explain.role import MX, SUBMISSION_PORT, Role
from entrypoint.explain.rules import told

_RELAYS = {"relay_for_domain", "default_relay"}


class Smarthost(Role):
    """What it says; only about routes."""

    def route(self) -> Iterator[Finding]:
        address, sender = self.question.name, self.question.sender
        client = self.question.client or str(self.settings.exim_int_mailout_ip)
        reply = self.exim.session(client=client, port=SUBMISSION_PORT, sender=sender, recipient=address)
        if reply.malformed:
            yield self.bad_address(reply)
            return
        yield self._relaying(self._named(client), reply)
        route = self.exim.route(address)
        domain = address.rpartition("@")[2]
        yield self._by_relay(route, domain)
        if route.router == "to_mx":
            ours = str(self.settings.exim_ext_mailout_ip)
            self.further.append((MX, Question(about="route", name=address, sender=sender, client=ours)))
        elif not route.failure:
            yield from self._log_in_there(route, domain)
            yield from self._signed(route, sender)

    def _named(self, client: str) -> str:
        s = self.settings
        ours = {str(s.exim_int_mailout_ip): "exim-int-mailout", str(s.exim_external_ip): "exim-external"}
        ours[str(s.imap_ip)] = "imap"
        return f"{ours[client]} ({client})" if client in ours else client

    def _relaying(self, who: str, reply: Reply) -> Finding:
        if reply.accepted:
            text = f"{who} may send through it, {told(reply)}"
            return self.answered("session", reply, GOOD, text, "EXIM_RELAY_HOSTS", "EXIM_WHITELIST_NET")
        return self.answered("session", reply, BAD, f"{who} gets {told(reply)}")

    def _by_relay(self, route: Route, domain: str) -> Finding:
        finding = self.routed(route)
        named = {name for name, _ in self.settings.relay_domains}
        if route.router == "relay_for_domain" and domain.lower() not in named:
            return replace(finding, settings=("EXIM_EXT_MSDOMAINS", "EXIM_EXT_MSRELAY"))
        return finding

    def _log_in_there(self, route: Route, domain: str) -> Iterator[Finding]:
        """Whether there is a login for a relay."""
        if route.router not in _RELAYS:
            return
        s = self.settings
        of_microsoft = dict.fromkeys(s.exim_ext_msdomains, s.exim_ext_msrelay) if s.exim_ext_msaccount else {}
        relay = {**of_microsoft, **dict(s.relay_domains)}.get(domain.lower(), s.default_relay_host)
        logins = {login.host for login in s.relay_logins} | {each.host for each in of_microsoft.values()}
        with_login = relay is not None and relay.host in logins
        text = "we log in there" if with_login else "we have no login there: it has to know us by our address"
        yield self.says("relay", NOTE, text, "RELAY_LOGINS")

    def _signed(self, route: Route, sender: str) -> Iterator[Finding]:
        """The key that DKIM signs with, by the transport's own expansion for this sender."""
        settings = ("EXIM_DKIM_SELECTOR", "DKIM_KEYS")
        by = self.exim.option(route.transport, "dkim_domain")
        if not by:
            yield self.says("signature", NOTE, "not signed: there is no DKIM selector", *settings, asked="exim -bP")
        elif not sender:
            yield self.says("signature", NOTE, "signed, if the sender's domain has a DKIM key", *settings)
        elif domain := self.exim.expanded_from(sender, by):
            selector = self.exim.expanded(self.exim.option(route.transport, "dkim_selector"))
            text = f"signed for {domain} with the selector {selector} (a TXT record {selector}._domainkey.{domain})"
            yield self.says("signature", GOOD, text, *settings, asked="exim -bem")
        else:
            text = f"not signed: there is no DKIM key for {sender.rpartition('@')[2] or 'this sender'}"
            yield self.says("signature", NOTE, text, *settings, asked="exim -bem")
