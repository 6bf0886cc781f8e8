"""Questions to the services that a mail system is made of, asked by the start and by the health check.

Every probe climbs the same ladder (name, TCP, TLS, login, a real question) within one time limit, and
the rung where it falls is in the error, with whether waiting can help. What may pass by itself is
curable: an unknown name, a refused connection, silence, "busy", "loading", 4xx. What a person has to
change is not: a certificate, a password, a missing base, a missing capability, another protocol.

The health check is a process of its own every few seconds, so these modules import next to nothing,
and are imported when a probe needs them, as are ssl and ldap3. No password is ever part of a message.
"""

from __future__ import annotations

from entrypoint.errors import EntrypointError
from entrypoint.light import TYPE_CHECKING
from entrypoint.probe import Probe
from entrypoint.probes.talk import Talk

if TYPE_CHECKING:
    from collections.abc import Callable

_MAIL = frozenset({"imap", "lmtp", "managesieve", "pop3", "smtp"})
_OTHERS = ("clamd", "dns", "ldap", "ldap-root", "redis", "rspamd", "tcp")
_SCHEMES = {"ldap-root": "ldap"}  # where it is not the kind
_TLS_SCHEMES = {"rspamd": "https", "redis": "rediss", "tcp": "tls"}  # the others get an "s"


def ask(probe: Probe) -> str:
    """The good answer in a few words ("220 mail.example.org, STARTTLS offered").

    Raises ProbeError for every other answer, and for none within `probe.timeout_s`.
    """
    if probe.kind == "dns":
        from entrypoint.probes.dns import ask_dns

        return ask_dns(probe)
    question = _over_tcp(probe.kind)
    with Talk(probe) as talk:
        return question(talk, probe)


def _over_tcp(kind: str) -> Callable[[Talk, Probe], str]:
    """What asks a question of this kind once there is a connection."""
    if kind in _MAIL:
        from entrypoint.probes import mail

        return mail.QUESTIONS[kind]
    if kind == "redis":
        from entrypoint.probes.redis import ask_redis

        return ask_redis
    if kind == "rspamd":
        from entrypoint.probes.rspamd import ask_rspamd

        return ask_rspamd
    if kind == "clamd":
        from entrypoint.probes.clamd import ask_clamd

        return ask_clamd
    if kind in {"ldap", "ldap-root"}:
        return _ldap(kind)
    if kind == "tcp":
        return lambda _talk, _probe: "accepts connections"
    raise EntrypointError(f"cannot probe {kind!r}: known are {', '.join(sorted(_MAIL.union(_OTHERS)))}")


def _ldap(kind: str) -> Callable[[Talk, Probe], str]:
    if kind == "ldap-root":
        from entrypoint.probes.ldap_root import ask_ldap_root

        return ask_ldap_root
    from entrypoint.probes import ldap

    ldap.load()
    return ldap.ask_ldap


def where(probe: Probe) -> str:
    """The server as a person writes it: ldaps://ldap.example.org:636."""
    plain = _SCHEMES.get(probe.kind, probe.kind)
    scheme = _TLS_SCHEMES.get(plain, plain + "s") if probe.tls == "tls" else plain
    host = f"[{probe.host}]" if ":" in probe.host else probe.host
    return f"{scheme}://{host}:{probe.port}" + (" with STARTTLS" if probe.tls == "starttls" else "")
