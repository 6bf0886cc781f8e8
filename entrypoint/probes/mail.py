"""SMTP, LMTP, IMAP, POP3 and ManageSieve: greeting, capabilities, if wanted STARTTLS, and a goodbye.

A server that greets in another protocol stays wrong however long one waits: host or port are mistaken.
"""

from __future__ import annotations

import socket

from entrypoint.errors import ProbeError
from entrypoint.light import TYPE_CHECKING
from entrypoint.probe import Probe
from entrypoint.probes.talk import Talk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

Words = frozenset[str]  # capabilities and their parameters, in upper case


def ask_smtp(talk: Talk, probe: Probe) -> str:
    return _ask_smtp(talk, probe, f"EHLO {_own_name(talk)}")


def ask_lmtp(talk: Talk, probe: Probe) -> str:
    return _ask_smtp(talk, probe, f"LHLO {_own_name(talk)}")


def _ask_smtp(talk: Talk, probe: Probe, hello: str) -> str:
    greeting = talk.quote(_smtp_reply(talk)[0])
    offered = _offers(talk, probe, lambda: _smtp_command(talk, hello), lambda: _smtp_command(talk, "STARTTLS"))
    talk.leave("QUIT")
    return _described(f"{greeting[:3]} {greeting[4:].partition(' ')[0]}".strip(), probe, offered)


def hand_over(probe: Probe, recipient: str, message: bytes) -> str:
    """The server's words for a message that it takes, from nobody (<>), so that nothing comes back.

    ProbeError when it does not. `message` has CRLF at the ends of its lines and no line that begins with a dot.
    """
    with Talk(probe) as talk:
        _smtp_reply(talk)
        hello = f"EHLO {_own_name(talk)}"
        _offers(talk, probe, lambda: _smtp_command(talk, hello), lambda: _smtp_command(talk, "STARTTLS"))
        _smtp_command(talk, "MAIL FROM:<>")
        _smtp_command(talk, f"RCPT TO:<{recipient}>")
        talk.send_line("DATA")
        answer = talk.line()
        if not answer.startswith("354"):
            raise talk.error(f"refuses DATA: {talk.quote(answer)}", curable=answer.startswith("4"))
        talk.sendall(message + b".\r\n")
        taken = talk.quote(_smtp_reply(talk)[-1])
        talk.leave("QUIT")
        return taken


def log_in(probe: Probe, user: str, password: str) -> str:
    """The server's words to a login that it takes (AUTH PLAIN); ProbeError, stage login, when it does not."""
    from base64 import b64encode

    with Talk(probe) as talk:
        _smtp_reply(talk)
        hello = f"EHLO {_own_name(talk)}"
        _offers(talk, probe, lambda: _smtp_command(talk, hello), lambda: _smtp_command(talk, "STARTTLS"))
        talk.stage, talk.secret = "login", b64encode(f"\0{user}\0{password}".encode())
        talk.send_line(f"AUTH PLAIN {talk.secret.decode()}")
        taken = talk.quote(_smtp_reply(talk)[-1])
        talk.leave("QUIT")
        return taken


def _own_name(talk: Talk) -> str:
    """Our name for EHLO; the address instead where a server would refuse the name's characters."""
    name = socket.gethostname()
    if name.isascii() and name.replace("-", "").replace(".", "").isalnum():
        return name
    return f"[IPv6:{talk.local_address}]" if ":" in talk.local_address else f"[{talk.local_address}]"


def _smtp_command(talk: Talk, text: str) -> Words:
    talk.send_line(text)
    return _words(line[4:] for line in _smtp_reply(talk))


def _smtp_reply(talk: Talk) -> list[str]:
    """The lines of a 2xx reply. RFC 5321: 4xx will pass, 5xx will not."""
    lines = [talk.line()]
    while lines[-1][3:4] == "-":
        lines.append(talk.line())
    code = lines[-1][:3]
    if not (code.isascii() and code.isdigit()):
        raise _stranger(talk, "SMTP", lines[-1])
    if not code.startswith("2"):
        raise talk.error(f"refuses: {talk.quote(lines[-1])}", curable=code.startswith("4"))
    return lines


def ask_imap(talk: Talk, probe: Probe) -> str:
    greeting = _imap_greeting(talk)
    offered = _offers(talk, probe, lambda: _imap_command(talk, "CAPABILITY"), lambda: _imap_command(talk, "STARTTLS"))
    talk.leave("a LOGOUT")
    return _described(greeting, probe, offered)


def _imap_greeting(talk: Talk) -> str:
    line = talk.line()
    words = line.upper().split()
    if words[:2] == ["*", "BYE"]:  # too many connections, or going down
        raise talk.error(f"refuses: {talk.quote(line)}")
    if words[:2] not in (["*", "OK"], ["*", "PREAUTH"]):
        raise _stranger(talk, "IMAP", line)
    return " ".join(words[:2])


def _imap_command(talk: Talk, name: str) -> Words:
    talk.send_line(f"a {name}")
    lines = [talk.line()]
    while not lines[-1].startswith("a "):
        lines.append(talk.line())
    if not lines[-1].upper().startswith("A OK"):
        raise talk.error(f"refuses {name}: {talk.quote(lines[-1][2:])}", curable=False)
    return _words(line for line in lines[:-1] if line.upper().startswith("* CAPABILITY "))


def ask_pop3(talk: Talk, probe: Probe) -> str:
    _pop3_reply(talk, curable=True)  # such as too many connections
    offered = _offers(talk, probe, lambda: _pop3_capabilities(talk), lambda: _pop3_command(talk, "STLS"))
    talk.leave("QUIT")
    return _described("+OK", probe, offered)


def _pop3_reply(talk: Talk, *, curable: bool = False) -> None:
    line = talk.line()
    if line.startswith("-ERR"):
        raise talk.error(f"refuses: {talk.quote(line)}", curable=curable)
    if not line.startswith("+OK"):
        raise _stranger(talk, "POP3", line)


def _pop3_command(talk: Talk, name: str) -> None:
    talk.send_line(name)
    _pop3_reply(talk)


def _pop3_capabilities(talk: Talk) -> Words:
    _pop3_command(talk, "CAPA")
    lines = [talk.line()]
    while lines[-1] != ".":
        lines.append(talk.line())
    return _words(lines[:-1]) | ({"STARTTLS"} if "STLS" in lines else set())


def ask_managesieve(talk: Talk, probe: Probe) -> str:
    """The server speaks first, with its capabilities, and again after STARTTLS (RFC 5804)."""
    offered = _offers(talk, probe, lambda: _sieve_reply(talk), lambda: _sieve_command(talk, "STARTTLS"))
    talk.leave("LOGOUT")
    return _described("OK", probe, offered)


def _sieve_command(talk: Talk, name: str) -> Words:
    talk.send_line(name)
    return _sieve_reply(talk)


def _sieve_reply(talk: Talk) -> Words:
    lines = [talk.line()]
    while lines[-1].startswith('"'):
        lines.append(talk.line())
    status = lines[-1].upper().split(maxsplit=1)[:1]
    if status in (["BYE"], ["NO"]):
        raise talk.error(f"refuses: {talk.quote(lines[-1])}", curable=status == ["BYE"])
    if status != ["OK"]:
        raise _stranger(talk, "ManageSieve", lines[-1])
    return _words(line.replace('"', " ") for line in lines[:-1])


def _offers(talk: Talk, probe: Probe, capabilities: Callable[[], Words], starttls: Callable[[], object]) -> Words:
    """What is offered before TLS and within it, after a look whether `probe.expect` is there."""
    offered = capabilities()
    if probe.tls == "starttls":
        _require(talk, offered, "STARTTLS")
        starttls()
        talk.handshake()
        offered |= capabilities()
    for wanted in probe.expect.split():
        _require(talk, offered, wanted)
    return offered


def _require(talk: Talk, offered: Words, wanted: str) -> None:
    if wanted.upper() not in offered:
        raise talk.error(f"does not offer {wanted}", curable=False)


def _words(lines: Iterable[str]) -> Words:
    return frozenset(word for line in lines for word in line.upper().split())


def _stranger(talk: Talk, protocol: str, line: str) -> ProbeError:
    return talk.error(f"does not speak {protocol}: {talk.quote(line)!r}", curable=False)


def _described(greeting: str, probe: Probe, offered: Words) -> str:
    wanted = probe.expect.upper() if probe.expect else "STARTTLS" if "STARTTLS" in offered and not probe.tls else ""
    return ", ".join(filter(None, [greeting, "TLS verified" if probe.tls else "", wanted and f"{wanted} offered"]))


QUESTIONS: dict[str, Callable[[Talk, Probe], str]] = {
    "imap": ask_imap,
    "lmtp": ask_lmtp,
    "managesieve": ask_managesieve,
    "pop3": ask_pop3,
    "smtp": ask_smtp,
}
