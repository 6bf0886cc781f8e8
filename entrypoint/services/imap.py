"""Dovecot: IMAP, LMTP, ManageSieve and, if wanted, POP3; people come from the directory."""

from __future__ import annotations

from typing import Any

from entrypoint.plan import Need, Probe, Program
from entrypoint.service import Command, Service, base_env, secret_file
from entrypoint.settings import concern
from entrypoint.settings.concerns import Common, Exim, Hosts, Imap, Members, Size, Tls, Trust

CONFIG = "/run/config/dovecot.conf"
SPAM_SCRIPT = "/run/config/sieve/spam.sieve"
SPECIAL_FOLDERS = ("Drafts", "Sent", "Trash", "Junk", "Archive")
FOLDERS = {"maildir": "Maildir", "sdbox": "sdbox"}  # below a member's home
MEGABYTE = 1024**2


@concern
class Settings(Imap, Members, Exim, Size, Trust, Tls, Hosts, Common):
    """What imap is told."""


def programs(settings: Settings) -> tuple[Program, ...]:
    command = ("/usr/sbin/dovecot", "-F", "-c", CONFIG)
    return (Program(name="dovecot", argv=command, env=base_env(settings), parser="dovecot"),)


def probes(settings: Settings) -> tuple[Probe, ...]:
    """Greetings and capabilities, and TLS as members see it.

    The certificate is compared with its own file: one that was renewed but not loaded is noticed.
    """
    found = [
        Probe(kind="imap", host="127.0.0.1", port=1143, expect="STARTTLS"),
        Probe(
            kind="imap",
            host="127.0.0.1",
            port=1993,
            tls="tls",
            server_name=settings.imap_host,
            ca_file=settings.tls_certificate,
            expect="AUTH=PLAIN",
        ),
        Probe(kind="lmtp", host="127.0.0.1", port=2525, expect="STARTTLS"),
    ]
    if settings.enable_managesieve:
        found.append(Probe(kind="managesieve", host="127.0.0.1", port=4190, expect="STARTTLS"))
    if settings.enable_pop3:
        found.append(Probe(kind="pop3", host="127.0.0.1", port=1110, expect="STARTTLS"))
    return tuple(found)


def needs(settings: Settings) -> tuple[Need, ...]:
    """The directory: with the account and the base that Dovecot uses, on one of its servers."""
    found = tuple(_directory(settings, url) for url in settings.ldap_hosts)
    return (Need(name="ldap", probes=found, deadline_s=settings.wait_s),)


def _directory(settings: Settings, url: str) -> Probe:
    scheme, _, rest = url.partition("://")
    host, _, port = rest.rpartition(":")
    return Probe(
        kind="ldap",
        host=host,
        port=int(port),
        tls="tls" if scheme == "ldaps" else "starttls",
        ca_file=settings.ldap_ca,
        user=settings.ldap_user,
        password_file=secret_file("ldap-password"),
        query=settings.ldap_base,
    )


def prepare(_settings: Settings) -> tuple[Command, ...]:
    return (
        Command(
            argv=("/bin/sh", "-c", 'test "$(id -u)" = "$(id -u vmail)"'),
            purpose="run as another user than vmail_uid was when the image was built",
        ),
        Command(argv=("/usr/bin/sievec", "-c", CONFIG, SPAM_SCRIPT), purpose="compile spam.sieve"),
    )


def checks(_settings: Settings) -> tuple[Command, ...]:
    """Dovecot's configuration, with every setting expanded as its processes will do."""
    command = ("/usr/bin/doveconf", "-c", CONFIG, "-n")
    return (Command(argv=command, purpose="check dovecot.conf", refused_by=r"(?m)^doveconf: (Fatal|Error)"),)


def context(settings: Settings) -> dict[str, Any]:
    return {
        "ldap_uris": " ".join(settings.ldap_hosts),
        "ldap_starttls": settings.ldap_scheme == "ldap",
        "tls_members": "TLSv1.3" if settings.tls_level == "modern" else "TLSv1.2",
        "mail_driver": "maildir",
        "mail_folder": FOLDERS["maildir"],
        "special_folders": SPECIAL_FOLDERS,
        "quota_mb": -(-settings.mailbox_size_limit // MEGABYTE),
        "submission_host": f"{settings.exim_smarthost_host}:{settings.exim_smarthost_port}",
    }


SERVICE = Service(
    name="imap",
    image="imap",
    writes=("/var/vmail",),
    settings=Settings,
    programs=programs,
    probes=probes,
    needs=needs,
    checks=checks,
    prepare=prepare,
    context=context,
    secrets=lambda settings: {"ldap-password": settings.ldap_password},
    certificate_for=lambda settings: (settings.imap_host,),
)
