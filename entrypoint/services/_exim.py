"""What the three Exim roles share: how they are run, asked and checked, and how they ask LDAP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from entrypoint.plan import Measure, Need, Probe, Program
from entrypoint.quoting import Quoted, exim, exim_filter, exim_url
from entrypoint.service import Command, base_env, secret_file
from entrypoint.settings.concerns import (
    Common,
    Exim,
    Hosts,
    Ldap,
    Recipients,
    Scan,
    Senders,
    Size,
    Tls,
    Trust,
)
from entrypoint.settings.ldap_filters import LdapSearch
from entrypoint.settings.schema import concern

EXIM = "/usr/sbin/exim4"
CONFIG = "/run/config/exim.conf"
SPOOL = "/var/spool/exim"
MX_PORT = 1025

# GnuTLS priority strings. Other mail servers may be old: "modern" is for connections of members only.
_TLS_1_2 = "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE"
_TLS_1_3 = "NORMAL:-VERS-ALL:+VERS-TLS1.3"


@concern
class EximSettings(Common, Hosts, Tls, Trust, Size, Exim, Scan):
    """What every role needs."""


def program(settings: EximSettings) -> tuple[Program, ...]:
    """Exim in the foreground, with a queue run every minute; its logs are pipes."""
    return (
        Program(
            name="exim",
            argv=(EXIM, "-bdf", "-q1m"),
            env=base_env(settings),
            parser="exim-main",
            # It reads its configuration again, with the same pid, and opens its ports again: for some 20 ms
            # new connections are refused. Sessions and deliveries go on with what they have begun with.
            reload="HUP",
            # A delivery that is cut off between the other side's answer and our note of it is made twice.
            grace_s=5.0,
            linger_s=3.0,
            pipes={"/run/exim/mainlog": "exim-main", "/run/exim/paniclog": "exim-panic"},
        ),
    )


def check(port: int) -> tuple[Command, ...]:
    """Exim reads its configuration, and plays a session in which a stranger tries to relay.

    The stranger comes from a documentation address (RFC 5737) to a domain that cannot exist
    (RFC 2606); "250 Accepted" is Exim's answer to an accepted recipient.
    """
    exim = (EXIM, "-C", CONFIG)
    session = (
        "EHLO stranger.invalid",
        "MAIL FROM:<a@stranger.invalid>",
        "RCPT TO:<b@elsewhere.invalid>",
        "QUIT",
    )
    return (
        Command(argv=(*exim, "-bV"), purpose="check exim.conf"),
        Command(
            argv=(*exim, "-oMi", f"127.0.0.1.{port}", "-bh", "192.0.2.1"),
            purpose="see a stranger refused as a relay",
            stdin="".join(f"{line}\r\n" for line in session),
            refused_by=r"(?m)^250 Accepted",
        ),
    )


def smtp_probe(port: int, tls: str = "") -> Probe:
    """Greeting and EHLO; STARTTLS must be offered unless TLS is on already."""
    return Probe(kind="smtp", host="127.0.0.1", port=port, tls=tls, expect="" if tls else "STARTTLS")


def measures(late_s: float = 3600.0) -> tuple[Measure, ...]:
    """What waits, and the room for more; `late_s` is when a message that waits is worth a warning."""
    return Measure(kind="queue", where=SPOOL, late_s=late_s), Measure(kind="room", where=SPOOL)


def dns_need(settings: EximSettings, name: str) -> Need:
    """mail-dnsmasq, asked for a name that this role connects to."""
    probe = Probe(kind="dns", host=str(settings.dnsmasq_ip), port=53, query=name)
    return Need(name="dns", probes=(probe,), deadline_s=settings.wait_s)


def rspam_need(settings: EximSettings) -> Need:
    """rspamd: without a verdict no mail is taken."""
    probe = Probe(kind="rspamd", host=str(settings.rspam_ip), port=11333)
    return Need(name="rspam", probes=(probe,), deadline_s=settings.wait_s)


def lmtp_need(settings: EximSettings) -> Need:
    """imap's LMTP; only reported, since the queue can wait for it."""
    probe = Probe(kind="lmtp", host=settings.imap_host, port=2525, expect="STARTTLS")
    return Need(name="lmtp", probes=(probe,), required=False)


def context(settings: EximSettings, host: str) -> Mapping[str, Any]:
    """Names that every role's template uses beside the settings."""
    return {
        "host": host,
        "ciphers": _ciphers(settings),
        # Room for one message of the largest size, whatever its sender announces.
        "spool_reserve_kb": settings.message_size_limit // 1024,
        "sa_tag_int": round(settings.sa_tag * 10),  # Exim has no decimal numbers
    }


def server_ciphers() -> Quoted:
    """What other servers may connect with, old ones too."""
    return exim(_TLS_1_2)


def _ciphers(settings: EximSettings) -> Quoted:
    """TLS 1.2 and 1.3, or only 1.3 where members and not servers connect."""
    if settings.tls_level != "modern":
        return server_ciphers()
    return Quoted(f"${{if ={{$received_port}}{{{MX_PORT}}}{{{exim(_TLS_1_2)}}}{{{exim(_TLS_1_3)}}}}}")


def directory(settings: Ldap) -> Mapping[str, Any]:
    """Names for the roles that ask the directory."""
    return {
        "ldap_servers": Quoted(" : ".join(_place(url) for url in settings.ldap_hosts)),
        "ldap_scheme": settings.ldap_scheme,
        "ldap_anywhere": Quoted(f"{settings.ldap_scheme}:///"),
    }


def _place(url: str) -> str:
    return url.split("://")[1].replace(":", "::")


def recipients(settings: Recipients) -> Mapping[str, Any]:
    """The question for a member by address."""
    pattern = exim_filter(settings.exim_ldap_user_filter)
    return {"ask_member": _ask(settings, settings.ldap_mail_attribute, pattern)}


def senders(settings: Senders) -> Mapping[str, Any]:
    """The questions about a person who logs in and sends."""
    attribute = settings.ldap_mail_attribute
    person = _own(settings, "$authenticated_id")
    world = exim_filter(settings.exim_public_ldap_user_filter)
    sender, header = _own(settings, "$sender_address"), _own(settings, "$item")
    return {
        "find_plain": _find(settings, settings.exim_int_mailout_ldap_plain, "auth2"),
        "find_login": _find(settings, settings.exim_int_mailout_ldap_auth, "auth1"),
        "ask_sender_is_own": _ask(settings, attribute, f"(&{person}{sender})"),
        "ask_from_is_own": _ask(settings, attribute, f"(&{person}{header})"),
        # The person's address is asked for, too: a filter that names only a group finds everybody in it.
        "ask_may_write_to_world": _ask(settings, attribute, f"(&{person}{world})"),
    }


def _own(settings: Ldap, variable: str) -> str:
    """A filter for the entry that has the address in `variable`, an Exim variable."""
    value = f"${{quote_ldap:{variable}}}"
    names = (settings.ldap_mail_attribute, settings.ldap_alias_attribute)
    return "(|" + "".join(f"({exim(name)}={value})" for name in names) + ")"


def _ask(settings: Ldap, attribute: str, pattern: str) -> Quoted:
    base = exim_url(settings.ldap_base)
    return Quoted(f"{_account(settings)} {settings.ldap_scheme}:///{base}?{exim(attribute)}?sub?{pattern}")


def _find(settings: Ldap, search: LdapSearch, variable: str) -> Quoted:
    """The question for the one DN of a login that an Exim variable holds."""
    base = exim_url(search.base or settings.ldap_base)
    pattern = exim_filter(search.filter, login=variable)
    return Quoted(f"{_account(settings)} {settings.ldap_scheme}:///{base}?dn?{search.scope}?{pattern}")


def _account(settings: Ldap) -> str:
    """The account that may read members, and how long it may take; without that, a server that is
    away holds up a client for minutes. The log parser masks the password if Exim quotes it.
    """
    who = f"user=${{quote:{exim(settings.ldap_user)}}} pass=${{quote:{exim(settings.ldap_password)}}}"
    return f"{who} connect=5 time=15"


def ldap_need(settings: Ldap, wait_s: float) -> Need:
    """The directory: one of its servers lets the account in and has the base."""
    return Need(name="ldap", probes=tuple(ldap_probe(settings, url) for url in settings.ldap_hosts), deadline_s=wait_s)


def ldap_probe(settings: Ldap, url: str) -> Probe:
    """One directory server."""
    scheme, _, place = url.partition("://")
    host, _, port = place.rpartition(":")
    return Probe(
        kind="ldap",
        host=host,
        port=int(port),
        tls="tls" if scheme == "ldaps" else "starttls",
        ca_file=settings.ldap_ca,
        user=settings.ldap_user,
        password_file=secret_file("ldap_password"),
        query=settings.ldap_base,
    )
