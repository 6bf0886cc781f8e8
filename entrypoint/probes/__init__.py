"""Questions to the services that a mail system is made of, asked by the start and by the health check.

Every probe climbs the same ladder (name, TCP, TLS, login, a real question) within one time limit, and
the rung where it falls is in the error, with whether waiting can help. What may pass by itself is
curable: an unknown name, a refused connection, silence, "busy", "loading", 4xx. What a person has to
change is not: a certificate, a password, a missing base, a missing capability, another protocol.

The health check is a process of its own every few seconds, so these modules import next to nothing;
ssl and ldap3 come in when a probe needs them. No password is ever part of a message.
"""

from __future__ import annotations

from collections.abc import Callable

from entrypoint.errors import EntrypointError
from entrypoint.plan import Probe
from entrypoint.probes import dns, ldap, mail, redis, rspamd
from entrypoint.probes.talk import Talk

_OVER_TCP: dict[str, Callable[[Talk, Probe], str]] = {
    "imap": mail.ask_imap,
    "ldap": ldap.ask_ldap,
    "lmtp": mail.ask_lmtp,
    "managesieve": mail.ask_managesieve,
    "pop3": mail.ask_pop3,
    "redis": redis.ask_redis,
    "rspamd": rspamd.ask_rspamd,
    "smtp": mail.ask_smtp,
    "tcp": lambda _talk, _probe: "accepts connections",
}
_TLS_SCHEMES = {"rspamd": "https", "redis": "rediss", "tcp": "tls"}  # the others get an "s"


def ask(probe: Probe) -> str:
    """The good answer in a few words ("220 mail.example.org, STARTTLS offered").

    Raises ProbeError for every other answer, and for none within `probe.timeout_s`.
    """
    if probe.kind == "dns":
        return dns.ask_dns(probe)
    if probe.kind not in _OVER_TCP:
        raise EntrypointError(f"cannot probe {probe.kind!r}: known are dns, {', '.join(_OVER_TCP)}")
    if probe.kind == "ldap":
        ldap.load()
    with Talk(probe) as talk:
        return _OVER_TCP[probe.kind](talk, probe)


def where(probe: Probe) -> str:
    """The server as a person writes it: ldaps://ldap.example.org:636."""
    scheme = _TLS_SCHEMES.get(probe.kind, probe.kind + "s") if probe.tls == "tls" else probe.kind
    host = f"[{probe.host}]" if ":" in probe.host else probe.host
    return f"{scheme}://{host}:{probe.port}" + (" with STARTTLS" if probe.tls == "starttls" else "")
