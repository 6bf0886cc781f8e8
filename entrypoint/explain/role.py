"""What all Exim roles have for explaining: how findings are worded, of sessions and of routes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from entrypoint.explain.daemons import Daemon
from entrypoint.explain.directory import Directory
from entrypoint.explain.exim import Exim, Host, Reply, Route
from entrypoint.explain.findings import BAD, GOOD, NOTE, UNKNOWN, Finding
from entrypoint.explain.questions import Question
from entrypoint.explain.rules import meaning, told
from entrypoint.service import Service

SMARTHOST, MX, IMAP = "exim-ext-mailout", "exim-external", "imap"
SUBMISSION_PORT = 1587
_WAYS = {
    "to_mx": ("one of ours: it goes to the MX", ("EXIM_LOCAL_DOMAINS", "EXIM_EXTERNAL_HOST")),
    "relay_for_domain": ("its domain has a relay of its own", ("RELAY_DOMAINS",)),
    "default_relay": ("the world's: it goes through the relay for everything", ("DEFAULT_RELAY_HOST",)),
    "world": ("the world's: it goes to the servers that DNS names", ()),
    "to_imap": ("it is brought to the mailboxes by LMTP", ("IMAP_HOST",)),
    "to_smarthost": ("the world's: it is handed to the smarthost", ("EXIM_SMARTHOST_HOST", "EXIM_SMARTHOST_PORT")),
}


class Role:
    """What all roles have."""

    ends: frozenset[str] = frozenset({"address"})  # after these bad findings there is nothing more to ask

    def __init__(
        self, question: Question, service: Service[Any], settings: Any, daemon: Daemon, directory: Directory
    ) -> None:
        self.question, self.service, self.settings, self.directory = question, service, settings, directory
        self.daemon, self.exim = daemon, Exim(daemon)
        self.further: list[tuple[str, Question]] = []

    def route(self) -> Iterator[Finding]:
        raise NotImplementedError

    def send(self) -> Iterator[Finding]:
        raise NotImplementedError

    def login(self) -> Iterator[Finding]:
        raise NotImplementedError

    def says(self, step: str, state: str, text: str, *settings: str, asked: str = "") -> Finding:
        return Finding(service=self.service.name, step=step, state=state, text=text, settings=settings, asked=asked)

    def answered(self, step: str, reply: Reply, state: str, text: str, *settings: str) -> Finding:
        """An answer of a simulated session; what is put off is not known."""
        state = UNKNOWN if reply.put_off else state
        return self.says(step, state, text, *(settings or meaning(reply)[1]), asked="exim -bhc")

    def bad_address(self, reply: Reply) -> Finding:
        return self.says("address", BAD, f"Exim cannot read it as an address: {told(reply)}", asked="exim -bhc")

    def domain(self, domain: str, *, local: bool) -> Finding:
        """Whose the domain is."""
        text, state = ("one of our domains", GOOD) if local else ("none of our domains", NOTE)
        return self.says("domain", state, f"{domain} is {text}", "EXIM_LOCAL_DOMAINS", asked="exim -be")

    def routed(self, route: Route) -> Finding:
        """Where it is brought to."""
        if route.failure:
            state = UNKNOWN if route.passing else BAD
            return self.says("route", state, f"nowhere to bring it to: {route.failure}", asked="exim -bt")
        way, settings = _WAYS.get(route.router, (f"by the router {route.router}", ()))
        text = f"{way}: {', '.join(map(_place, route.hosts))}"
        return self.says("route", GOOD, text, *settings, asked="exim -bt")


def _place(host: Host) -> str:
    return f"{host}, MX {host.preference}" if host.preference else str(host)
