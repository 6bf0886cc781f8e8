"""Exim, asked in words: what it would answer in a session, where it would bring a message, what an expansion gives.

A simulated session (-bh) runs the access lists of the running configuration against the real directory and DNS,
delivers nothing and logs nothing. Its trace has the lists' conditions in it, with passwords: only the names of lists
and the lines of rules are read. The options -oMaa and -oMai make it the session of somebody who has logged in, -oMi
that of a port. (Exim specification, chapter 5, "Options for testing", and -oM.)
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from entrypoint.errors import Unavailable
from entrypoint.explain.daemons import Daemon
from entrypoint.quoting import exim as quoted
from entrypoint.services._exim import CONFIG, EXIM

STRANGER = "192.0.2.1"  # an address of nobody's (RFC 5737), and a name of nobody's (RFC 2606)
_NAME = "stranger.invalid"
_STAGES = ("connection", "EHLO", "MAIL FROM", "RCPT TO")
_RULE = re.compile(
    r'(?m)^>>> processing "(\w+)" \(\S+ (\d+)\)$'
    r'|^>>> \w+: condition test (deferred) in ACL "(\w+)"$'
    r'|^>>> end of ACL "(\w+)": (?:implicit )?(\w+)$'
)
_REPLY = re.compile(r"(?m)(?:^\d{3}-.*\n)*^(\d{3}) ?(.*)$")
_HOST = re.compile(r"(?m)^  host (\S+) +\[(\S+)\](?: MX=(\d+))?(?: port=(\d+))?")
_ROUTED = re.compile(r"(?m)^  router = (\w+), transport = (\w+)$")
_FAILED = re.compile(r"(?m)(failed to verify|is undeliverable|cannot be resolved at this time)(?:: )?(.*)$")
_PASSING = "cannot be resolved at this time"
_SMTP = {"smtp": 25, "smtps": 465, "submission": 587}


@dataclass(frozen=True, kw_only=True)
class Reply:
    """What a client gets to read, and who said so: a rule of an access list, or Exim itself."""

    stage: str
    code: int
    text: str
    rule: str  # acl_mx_rcpt: deny in line 105 of /run/config/exim.conf
    acl: str = ""

    @property
    def accepted(self) -> bool:
        return self.code // 100 == 2

    @property
    def put_off(self) -> bool:
        return self.code // 100 == 4

    @property
    def malformed(self) -> bool:
        """Whether it was no address for Exim: nothing has been asked about it then."""
        return self.code in {500, 501, 555}

    def __str__(self) -> str:
        return f"{self.code} {self.text}"


@dataclass(frozen=True, kw_only=True)
class Host:
    """A place that mail would be brought to."""

    name: str
    address: str
    preference: str  # of an MX record
    port: int

    def __str__(self) -> str:
        return f"{self.name} [{self.address}], port {self.port}"


@dataclass(frozen=True, kw_only=True)
class Route:
    """Where a message would go; or why not, and whether that may pass by itself."""

    router: str = ""
    transport: str = ""
    hosts: tuple[Host, ...] = ()
    failure: str = ""
    passing: bool = False


class Exim:
    """The Exim of this container."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def session(self, *, client: str, port: int, sender: str, recipient: str, login: str = "") -> Reply:
        """The answer to RCPT TO, or to what was refused before it. Nobody else's port is connected to but for
        what the access lists themselves verify (callouts).
        """
        lines = (f"EHLO {_NAME}", f"MAIL FROM:<{sender}>", f"RCPT TO:<{recipient}>", "QUIT")
        who = ("-oMaa", "plain", "-oMai", login) if login else ()
        said = self._daemon.ask(
            EXIM, "-oMi", f"127.0.0.1.{port}", *who, "-bhc", client, stdin="".join(f"{line}\r\n" for line in lines)
        )
        return self._read(said.out, said.err, said.code)

    def _read(self, out: str, trace: str, ended: int) -> Reply:
        """The first refusal, or else the answer to RCPT TO. Of the trace nothing is quoted, for what it has in it."""
        replies = [(int(code), text) for code, text in _REPLY.findall(out)][: len(_STAGES)]
        if not replies:
            raise Unavailable(f"cannot ask exim: it does not begin a session (it ended with {ended})")
        number = next((at for at, (code, _) in enumerate(replies) if code >= 400), len(replies) - 1)
        code, text = replies[number]
        acl, rule = _last_rule(trace, refused=code >= 400)
        return Reply(stage=_STAGES[number], code=code, text=self._daemon.plain(text), rule=rule, acl=acl)

    def verify(self, address: str) -> Route:
        """Whether Exim knows the recipient, as it does at RCPT."""
        return self._routed("-bv", address)

    def route(self, address: str) -> Route:
        """Where Exim would bring a message for the address."""
        return self._routed("-bt", address)

    def _routed(self, option: str, address: str) -> Route:
        said = self._daemon.ask(EXIM, option, "--", address)
        if failed := _FAILED.search(said.out):
            return Route(failure=self._daemon.plain(failed[2]) or failed[1], passing=failed[1] == _PASSING)
        if option == "-bv" and said.code == 0:
            return Route()
        routed = _ROUTED.search(said.out)
        if not routed:
            return Route(failure=self._daemon.plain(said.out or said.err) or f"it ended with {said.code}")
        router, transport = routed.groups()
        default = self._port(transport)
        hosts = tuple(
            Host(name=name, address=address, preference=mx or "", port=int(port) if port else default)
            for name, address, mx, port in _HOST.findall(said.out)
        )
        return Route(router=router, transport=transport, hosts=hosts)

    def _port(self, transport: str) -> int:
        word = self.option(transport, "port")
        return int(word) if word.isdigit() else _SMTP.get(word, 25)

    def option(self, transport: str, name: str) -> str:
        """An option of a transport as the configuration has it."""
        said = self._daemon.ask(EXIM, "-bP", "transport", transport)
        found = re.search(rf"(?m)^{name} = (.*)$", said.out)
        return found[1].strip() if found else ""

    def expanded(self, text: str) -> str:
        """What an expansion gives; Unavailable with Exim's reason when it fails. (By stdin: it may hold a password.)"""
        return self._answer(self._daemon.ask(EXIM, "-be", stdin=f"{text}\n").out)

    def expanded_from(self, sender: str, text: str) -> str:
        """The same for a message that this sender has written: $rh_from: and its like are known."""
        message = f"From: <{sender}>\n\n"
        return self._answer(self._daemon.ask(EXIM, "-bem", "/dev/stdin", text, stdin=message).out, prompt="")

    def _answer(self, out: str, prompt: str = "> ") -> str:
        line = out.removeprefix(prompt).partition("\n")[0]
        if line.startswith("Failed:"):
            raise Unavailable(f"cannot ask exim: {self._daemon.plain(line.removeprefix('Failed:'))}")
        return line.strip()

    def is_local(self, domain: str) -> bool:
        """Whether the domain is one of the configuration's own."""
        return self.expanded(f"${{if match_domain{{{quoted(domain)}}}{{+local_domains}}{{yes}}{{no}}}}") == "yes"


def _last_rule(trace: str, *, refused: bool) -> tuple[str, str]:
    """The access list that was the last to be used, and its rule that has decided."""
    verb = line = ""
    acl = rule = ""
    for word, number, deferred, waiting, ended, outcome in _RULE.findall(trace):
        name = waiting or ended
        if word:
            verb, line = word, number
        elif refused == (bool(deferred) or outcome != "ACCEPT"):
            acl, rule = name, f"{name}: {verb} in line {line} of {CONFIG}"
        else:
            acl, rule = "", ""
    return acl, rule or "Exim itself"
