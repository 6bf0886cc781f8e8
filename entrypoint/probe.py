"""One question to one server: what the plan holds, and what start, health check and supervisor ask."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    from entrypoint.light import frozen as dataclass


@dataclass(frozen=True, kw_only=True)
class Probe:
    """One question to one server, and the answer that counts as well.

    `kind` names the protocol: tcp, smtp, imap, pop3, lmtp, managesieve, redis, rspamd, dns, ldap,
    ldap-root (whether it answers at all: no login, and nothing that ldap3 is needed for).
    `tls` is "" (plain), "starttls" or "tls" (from the first byte); a certificate is verified
    for `server_name` (by default the host) against `ca_file` (by default the system's).
    """

    kind: str
    host: str
    port: int
    tls: str = ""
    server_name: str = ""
    ca_file: str = ""
    user: str = ""  # LDAP: bind DN
    password_file: str = ""  # LDAP, Redis: file with the password and nothing else
    query: str = ""  # DNS: name to resolve; LDAP: base that must exist
    expect: str = ""  # SMTP, IMAP, …: capability that must be offered, such as STARTTLS
    timeout_s: float = 5.0
