"""How many lines of a daemon one CPU takes from the pipe's end to the text that goes out, as json and for people.

The reference is `raw`, which reads nothing out of a line, with the same lines through the same renderer: the ratio is
the price of the fields.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from benchmarks.compare import Comparison, Say, in_turn
from entrypoint.logs import configure, log_line

LINES_A_RUN = 2000
FORMATS = ("json", "console")

EXIM = "2026-11-22 19:43:02 1vMxyz-00000000001-abcd "
DOVECOT = "Nov 22 19:43:02 "
RSPAMD = "2026-11-22 19:43:02 #12(normal) <abc123>; "

# By parser: roughly what a message, a login or a scan leaves in the log.
SAMPLES = {
    "exim-main": (
        EXIM + "<= alice@example.org H=imap.example.org (helo.example) [192.0.2.5]:4711 P=esmtpsa "
        "X=TLS1.3:ECDHE_X25519__RSA_PSS:AES_256_GCM:256 CV=no A=plain_login:alice@example.org S=1234 "
        'id=m1@example.org T="Re: lunch" for bob@example.com carol@example.com',
        EXIM + "=> bob <bob@example.org> F=<alice@example.org> R=members T=lmtp S=1500 H=imap.example.org "
        '[192.0.2.6] X=TLS1.3:x:256 CV=yes C="250 2.0.0 <bob@example.org> Saved" QT=0.1s DT=0.05s',
        EXIM + "== bob@example.com R=smarthost T=smtp defer (-44) H=mx.example.com [192.0.2.7]: SMTP error from remote "
        "mail server after RCPT TO:<bob@example.com>: 451 greylisted",
        EXIM + "Completed QT=1s",
        "2026-11-22 19:43:02 H=(helo.example) [192.0.2.9]:333 F=<a@example.net> rejected RCPT <x@example.org>: Unknown",
    ),
    "dovecot": (
        DOVECOT + "imap-login: Info: Login: user=<alice@example.org>, method=PLAIN, rip=192.0.2.1, lip=192.0.2.5, "
        "mpid=12, TLS, session=<abc+/>",
        DOVECOT
        + "lmtp(alice@example.org)<12><Abc>: Info: sieve: msgid=<m1@example.org>: stored mail into mailbox 'Junk'",
        DOVECOT + "auth(alice@example.org,192.0.2.1,sasl:plain)<sess>: Info: ldap: Password mismatch",
        DOVECOT + "imap(alice@example.org)<12><abc+/>: Info: Disconnected: Logged out in=120 out=2048",
    ),
    "rspamd": (
        RSPAMD + "task; rspamd_task_write_log: id: <m1@example.org>, qid: <1vM>, ip: 192.0.2.9, from: <a@example.net>, "
        "(default: F (no action): [1.20/15.00] [R_SPF_ALLOW(-0.20){+mx;},MIME_GOOD(-0.10){text/plain;}]), len: 1234, "
        "time: 12.3ms, dns req: 20, digest: <abc>, rcpts: <bob@example.org>, mime_rcpts: <bob@example.org>",
        RSPAMD + "proxy; proxy_accept_socket: accepted milter connection from 192.0.2.5 port 4711",
        "2026-11-22 19:43:02 #1(main) <abc123>; main; main: rspamd 3.12.1 is loading configuration",
    ),
}


class Nowhere:
    """A sink that takes everything at once."""

    def write(self, text: str, /) -> int:
        """Say that all was written."""
        return len(text)

    def flush(self) -> None:
        """Have nothing to do."""

    def isatty(self) -> bool:
        """Not a terminal: no colours, as in a container."""
        return False


def measure(runs: int, say: Say) -> list[Comparison]:
    """Lines per second of CPU, for each daemon in each format."""
    kinds = [(log_format, daemon, parser) for log_format in FORMATS for daemon in SAMPLES for parser in (daemon, "raw")]
    rates = in_turn({kind: partial(lines_per_s, *kind) for kind in kinds}, runs, say)
    return [
        Comparison(
            suite="logs",
            measure=f"{daemon}, {log_format}",
            unit="lines/s",
            reference_name="raw, same lines",
            ours=rates[log_format, daemon, daemon],
            reference=rates[log_format, daemon, "raw"],
        )
        for log_format in FORMATS
        for daemon in SAMPLES
    ]


def lines_per_s(log_format: str, daemon: str, parser: str) -> float:
    """Read a daemon's samples again and again with a parser."""
    log = log_line(configure(log_format, "debug", Nowhere(), service="bench"), daemon, parser)
    lines = _repeated(SAMPLES[daemon])
    began = time.process_time()
    for line in lines:
        log(line, 0)
    return len(lines) / (time.process_time() - began)


def _repeated(samples: Sequence[str]) -> list[str]:
    return [samples[n % len(samples)] for n in range(LINES_A_RUN)]
