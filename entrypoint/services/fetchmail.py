"""fetchmail: mail from members' mailboxes at other providers, round by round, scanned, and into the mail store.

fetchmail and not getmail: its exit codes say what is wrong with a mailbox, and Debian's verifies TLS by default. It
hands each message to a program of ours (entrypoint.fetching), as its own SMTP and LMTP know no TLS, and takes it for
fetched when that has brought it in.
"""

from __future__ import annotations

import sys

from entrypoint.fetching.__main__ import CONFIG, FETCHMAIL, STATE, STATUS
from entrypoint.plan import Measure, Need, Probe, Program
from entrypoint.service import Command, Service, base_env
from entrypoint.settings.concerns import Common, Fetchmail, Hosts, Size, Trust
from entrypoint.settings.schema import concern

LMTP_PORT = 2525
SCAN_PORT = 11333


@concern
class Settings(Common, Hosts, Trust, Size, Fetchmail):
    """What fetchmail is told."""


def programs(settings: Settings) -> tuple[Program, ...]:
    delivery = {
        "LMTP_HOST": settings.imap_host,
        "LMTP_PORT": str(LMTP_PORT),
        "TLS_CA": settings.tls_ca,
        "RSPAM": f"{settings.rspam_ip}:{SCAN_PORT}",
        "LIMIT_BYTES": str(settings.message_size_limit),
        "FETCHMAILHOME": str(STATE),
    }
    return (
        Program(
            name="fetchmail",
            kind="job",
            argv=(sys.executable, "-P", "-m", "entrypoint.fetching"),
            env=base_env(settings) | delivery,
            parser="fetchmail",
            every_s=float(settings.fetchmail_poll),
        ),
    )


def needs(settings: Settings) -> tuple[Need, ...]:
    """Where each message has to go: without them it would be fetched in vain."""
    lmtp = Probe(kind="lmtp", host=settings.imap_host, port=LMTP_PORT, expect="STARTTLS")
    rspam = Probe(kind="rspamd", host=str(settings.rspam_ip), port=SCAN_PORT)
    return (
        Need(name="rspam", probes=(rspam,), deadline_s=settings.wait_s),
        Need(name="lmtp", probes=(lmtp,), deadline_s=settings.wait_s),
    )


def checks(settings: Settings) -> tuple[Command, ...]:
    """fetchmail reads its file, and would not say that it has nothing to do."""
    if not settings.fetchmail_accounts:
        told = "FETCHMAIL_ACCOUNTS or FETCHMAIL_ACCOUNTS_FILE is not set, or names none (docs/how-to/fetchmail.md)"
        return (Command(argv=("echo", told), purpose="find a mailbox to fetch", refused_by="."),)
    command = (FETCHMAIL, f"--fetchmailrc={CONFIG}", "--version")
    return (Command(argv=command, purpose="check fetchmailrc", env={"FETCHMAILHOME": str(STATE)}),)


SERVICE = Service(
    name="fetchmail",
    image="fetchmail",
    profiles=("fetchmail",),
    settings=Settings,
    programs=programs,
    probes=lambda _settings: (),  # it listens nowhere
    needs=needs,
    measures=lambda _settings: (Measure(kind="mailboxes", where=str(STATUS)),),
    checks=checks,
    writes=(str(STATE),),
)
