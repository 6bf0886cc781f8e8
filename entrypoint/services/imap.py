"""Dovecot: IMAP, LMTP, ManageSieve and, if wanted, POP3; people come from the directory."""

from __future__ import annotations

from typing import Any

from entrypoint.plan import Letter, Measure, Need, Probe, Program
from entrypoint.service import Command, Service, base_env, secret_file
from entrypoint.settings import concern
from entrypoint.settings.concerns import Common, Exim, Hosts, Imap, Members, Size, Tls, Trust
from entrypoint.settings.ldap_filters import Pattern

CONFIG = "/run/config/dovecot.conf"
STORE = "/var/vmail"
SPAM_SCRIPT = "/run/config/sieve/spam.sieve"
SPECIAL_FOLDERS = ("Drafts", "Sent", "Trash", "Junk", "Archive")
FOLDERS = {"maildir": "Maildir", "sdbox": "sdbox"}  # below a member's home
MEGABYTE = 1024**2
# What both programs say of a configuration, with exit code 0 at times.
REFUSAL = r"(?m)^(doveconf|sievec): (Fatal|Error)|: Error: "


@concern
class Settings(Imap, Members, Exim, Size, Trust, Tls, Hosts, Common):
    """What imap is told."""


def programs(settings: Settings) -> tuple[Program, ...]:
    command = ("/usr/sbin/dovecot", "-F", "-c", CONFIG)
    return (Program(name="dovecot", argv=command, env=base_env(settings), parser="dovecot", reload="HUP"),)


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


def letter(settings: Settings) -> Letter:
    """From nobody to HEALTH_MAILBOX, as from the world; IMAP is spoken with Dovecot's own program, which needs no
    password where it may read the mailboxes anyway.
    """
    recipient = settings.health_mailbox or ""
    return Letter(
        recipient=recipient,
        entrance=Probe(
            kind="smtp",
            host=str(settings.exim_external_ip),
            port=1025,
            tls="starttls",
            server_name=settings.exim_external_host,
            ca_file=settings.tls_ca,
            timeout_s=30.0,
        ),
        mailbox=("/usr/lib/dovecot/imap", "-c", CONFIG, "-u", recipient),
    )


def prepare(_settings: Settings) -> tuple[Command, ...]:
    return (
        Command(
            argv=("/bin/sh", "-c", 'test "$(id -u)" = "$(id -u vmail)"'),
            purpose="run as the user that the image was built for (vmail_uid: build the image again after a change)",
        ),
    )


def checks(_settings: Settings) -> tuple[Command, ...]:
    return (
        Command(argv=("/usr/bin/doveconf", "-c", CONFIG, "-n"), purpose="check dovecot.conf", refused_by=REFUSAL),
        Command(argv=("/usr/bin/sievec", "-c", CONFIG, SPAM_SCRIPT), purpose="compile spam.sieve", refused_by=REFUSAL),
    )


def context(settings: Settings) -> dict[str, Any]:
    primary = settings.ldap_mail_attribute
    return {
        "pass_filter": with_a_folder(settings.ldap_pass_filter, primary),
        "user_filter": with_a_folder(settings.ldap_user_filter, primary),
        "iterate_filter": with_a_folder(settings.ldap_iterate_filter, primary),
        "ldap_uris": " ".join(settings.ldap_hosts),
        "ldap_starttls": settings.ldap_scheme == "ldap",
        "tls_members": "TLSv1.3" if settings.tls_level == "modern" else "TLSv1.2",
        "mail_folder": FOLDERS[settings.dovecot_mailbox_format],
        "special_folders": SPECIAL_FOLDERS,
        "quota_mb": -(-settings.mailbox_size_limit // MEGABYTE),
        "submission_host": f"{settings.exim_smarthost_host}:{settings.exim_smarthost_port}",
    }


def with_a_folder(pattern: Pattern, primary: str) -> Pattern:
    """The filter, for those whose primary address makes a folder below its domain's, and no other.

    Dovecot checks the name that a person types in, not the one that the directory gives it then: `a/b@…`
    would be a folder in the mailbox of `a`, `../…` another domain's, and a name without @ a whole domain.
    """
    shapes = ("*/*", ".*", "*@.*", "@*", "*@")
    refused = "".join(f"(!({primary}={shape}))" for shape in shapes)
    return Pattern((("literal", "(&"), *pattern.parts, ("literal", f"({primary}=*@*){refused})")))


SERVICE = Service(
    name="imap",
    image="imap",
    writes=(STORE,),
    settings=Settings,
    programs=programs,
    probes=probes,
    needs=needs,
    letter=letter,
    measures=lambda _settings: (Measure(kind="room", where=STORE),),
    checks=checks,
    prepare=prepare,
    context=context,
    secrets=lambda settings: {"ldap-password": settings.ldap_password},
    certificate_for=lambda settings: (settings.imap_host,),
)
