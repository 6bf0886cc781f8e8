"""What each parser makes of its daemon's lines, and that none of them loses any text."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from entrypoint.logs.parsers import NAMES, parser
from entrypoint.logs.parsers.exim import REASONS
from entrypoint.logs.parsers.raw import level_of
from entrypoint.logs.setup import LEVELS
from tools.golden import all_golden

EXIM = "2026-11-22 19:43:02 1vMxyz-00000000001-abcd "
RSPAMD = "2026-11-22 19:43:02 #12(normal) <abc123>; "

# Parser, line, and the fields that matter.
LINES: list[tuple[str, str, dict[str, Any]]] = [
    ("raw", "hello world", {"event": "hello world", "level": "info"}),
    ("raw", "ERROR: no disk", {"event": "ERROR: no disk", "level": "error"}),
    (
        "exim-main",
        EXIM + "<= alice@example.org H=imap.example.org (helo) [172.20.0.5]:4711 P=esmtpsa "
        "X=TLS1.3:ECDHE_X25519__RSA_PSS:AES_256_GCM:256 CV=no A=plain_login:alice@example.org S=1234 "
        'id=m1@example.org T="Re: lunch" for bob@example.com carl@example.com',
        {
            "level": "info",
            "status": "received",
            "exim_id": "1vMxyz-00000000001-abcd",
            "sender": "alice@example.org",
            "host": "imap.example.org",
            "helo": "helo",
            "address": "172.20.0.5",
            "port": 4711,
            "protocol": "esmtpsa",
            "tls": "TLS1.3:ECDHE_X25519__RSA_PSS:AES_256_GCM:256",
            "authenticator": "plain_login",
            "user": "alice@example.org",
            "size": 1234,
            "message_id": "m1@example.org",
            "subject": "Re: lunch",
            "recipients": ["bob@example.com", "carl@example.com"],
            "daemon_time": "2026-11-22 19:43:02",
        },
    ),
    ("exim-main", EXIM + "<= <> R=1vMxyz-00000000002-abcd U=Debian-exim P=local S=9", {"sender": "", "size": 9}),
    (
        "exim-main",
        EXIM + "=> bob <bob@example.org> F=<alice@example.org> R=members T=lmtp S=1500 H=imap.example.org "
        '[172.20.0.5] X=TLS1.3:x:256 CV=yes C="250 2.0.0 <bob@example.org> Saved" QT=0.1s DT=0.05s',
        {
            "status": "delivered",
            "recipient": "bob",
            "sender": "alice@example.org",
            "router": "members",
            "transport": "lmtp",
            "host": "imap.example.org",
            "address": "172.20.0.5",
            "reply": "250 2.0.0 <bob@example.org> Saved",
            "queue_time": "0.1s",
        },
    ),
    (
        "exim-main",
        EXIM + "-> carl@example.org R=members T=lmtp",
        {"status": "delivered", "recipient": "carl@example.org"},
    ),
    (
        "exim-main",
        EXIM + "** bob@example.com R=smarthost T=smtp H=mx.example.com [2001:db8::1]: SMTP error from remote mail "
        "server after RCPT TO:<bob@example.com>: 550 no such user",
        {
            "level": "warning",
            "status": "failed",
            "recipient": "bob@example.com",
            "address": "2001:db8::1",
            "error": "SMTP error from remote mail server after RCPT TO:<bob@example.com>: 550 no such user",
        },
    ),
    (
        "exim-main",
        EXIM + "** bob@example.com: Unrouteable address",
        {"recipient": "bob@example.com", "error": "Unrouteable address"},
    ),
    (
        "exim-main",
        EXIM + "== bob@example.com R=smarthost T=smtp defer (-44) H=mx [1.2.3.4]: SMTP error: 451 greylisted",
        {"level": "warning", "status": "deferred", "error": "defer (-44) H=mx [1.2.3.4]: SMTP error: 451 greylisted"},
    ),
    ("exim-main", EXIM + "Completed QT=1s", {"level": "info", "status": "completed", "queue_time": "1s"}),
    (
        "exim-main",
        "2026-11-22 19:43:02.123 +0100 [77] H=(evil) [9.9.9.9]:333 F=<x@y.z> rejected RCPT <no@example.org>: unknown",
        {
            "time": 1795372982.123,
            "pid": 77,
            "status": "rejected",
            "command": "RCPT",
            "sender": "x@y.z",
            "recipient": "no@example.org",
            "helo": "evil",
            "address": "9.9.9.9",
            "error": "unknown",
            "daemon_time": "2026-11-22 19:43:02.123 +0100",
        },
    ),
    (
        "exim-main",
        EXIM + "H=mail (x) [9.9.9.9] F=<a@b.c> rejected after DATA: This message contains malware (Eicar)",
        {"status": "rejected", "command": "after DATA", "error": "This message contains malware (Eicar)"},
    ),
    (
        "exim-main",
        (
            "2026-11-22 19:43:02 plain_login authenticator failed for (evil) [9.9.9.9]:333: "
            "535 Incorrect authentication data (set_id=alice@example.org)"
        ),
        {
            "status": "rejected",
            "authenticator": "plain_login",
            "address": "9.9.9.9",
            "user": "alice@example.org",
            "error": "535 Incorrect authentication data (set_id=alice@example.org)",
        },
    ),
    ("exim-main", "2026-11-22 19:43:02 exim 4.98.2 daemon started: pid=7, -q1m", {"level": "info"}),
    ("exim-main", "1.2.3 something else", {"event": "1.2.3 something else", "level": "info"}),
    ("exim-reject", "P Received: from x", {"event": "P Received: from x", "level": "debug"}),
    ("exim-panic", "2026-11-22 19:43:02 socket bind() failed", {"event": "socket bind() failed", "level": "error"}),
    (
        "dovecot",
        (
            "Nov 22 19:43:02 imap-login: Info: Login: user=<alice@example.org>, method=PLAIN, rip=172.20.0.1, "
            "lip=172.20.0.5, mpid=12, TLS, session=<abc+/>"
        ),
        {
            "level": "info",
            "process": "imap-login",
            "user": "alice@example.org",
            "method": "PLAIN",
            "address": "172.20.0.1",
            "session": "abc+/",
            "daemon_time": "Nov 22 19:43:02",
        },
    ),
    (
        "dovecot",
        "Nov  2 19:43:02 lmtp(alice@x.org)<12><Abc>: Info: sieve: msgid=<m1@x>: stored mail into mailbox 'My Junk'",
        {"user": "alice@x.org", "pid": 12, "session": "Abc", "message_id": "m1@x", "mailbox": "My Junk"},
    ),
    (
        "dovecot",
        "Nov 22 19:43:02 lmtp(alice)<12><Abc>: Info: msgid=<m1@x>: saved mail to INBOX",
        {"mailbox": "INBOX", "message_id": "m1@x"},
    ),
    (
        "dovecot",
        "Nov 22 19:43:02 lmtp(34): Info: Disconnect from 172.20.0.3: Connection closed",
        {"process": "lmtp", "pid": 34},
    ),
    (
        "dovecot",
        "Nov 22 19:43:02 auth(alice@example.org,172.20.0.1,sasl:plain)<s1>: Info: ldap: Password mismatch",
        {
            "user": "alice@example.org",
            "client": "172.20.0.1,sasl:plain",
            "session": "s1",
            "event": "ldap: Password mismatch",
        },
    ),
    (
        "dovecot",
        (
            "Nov 22 19:43:02 imap-login: Info: Login aborted: Connection closed (auth failed, 1 attempts in 2 secs) "
            "(auth_failed): user=<alice>, method=PLAIN, rip=9.9.9.9, lip=1.2.3.4, TLS, session=<abc>"
        ),
        {"error": "auth failed, 1 attempts in 2 secs", "address": "9.9.9.9", "user": "alice"},
    ),
    ("dovecot", "Nov 22 19:43:02 master: Panic: file x.c: line 1", {"level": "critical", "severity": "Panic"}),
    ("dovecot", "doveconf: Fatal: Error in configuration file", {"level": "critical", "process": "doveconf"}),
    (
        "rspamd",
        RSPAMD + "task; rspamd_task_write_log: id: <m1@x>, qid: <1vM>, ip: 1.2.3.4, from: <a@b>, (default: T (reject): "
        "[15.20/15.00] [GTUBE(0.00){},X(1.2){a;}]), len: 1234, time: 12.3ms, dns req: 20, digest: <abc>, "
        "rcpts: <a@b,c@d>, mime_rcpts: <a@b>",
        {
            "process": "normal",
            "pid": 12,
            "tag": "abc123",
            "module": "task",
            "function": "rspamd_task_write_log",
            "message_id": "m1@x",
            "exim_id": "1vM",
            "address": "1.2.3.4",
            "sender": "a@b",
            "verdict": "spam",
            "action": "reject",
            "score": 15.2,
            "required": 15.0,
            "size": 1234,
            "recipients": ["a@b", "c@d"],
        },
    ),
    ("rspamd", RSPAMD + "map; http_map_error: error reading http://x: connect failed", {"level": "warning"}),
    (
        "rspamd",
        "2026-11-22 19:43:02 [warn] #12(normal) <abc123>; controller; rspamd_controller_password_sane: your password",
        {"level": "warning", "severity": "warn", "process": "normal", "pid": 12, "event": "your password"},
    ),
    ("rspamd", RSPAMD + "main; main: rspamd 3.12.1 is loading configuration", {"level": "info", "module": "main"}),
    (
        "redis",
        "1:M 22 Nov 2026 19:43:02.123 * Ready to accept connections tcp",
        {"level": "info", "pid": 1, "role": "M", "severity": "*", "event": "Ready to accept connections tcp"},
    ),
    ("redis", "1:C 22 Nov 2026 19:43:02.123 # WARNING Memory overcommit", {"level": "warning"}),
    ("redis", "1:M 22 Nov 2026 19:43:02.123 - DB 0: 1 keys", {"level": "debug"}),
    (
        "dnsmasq",
        "dnsmasq[7]: query[A] imap.example.org from 172.20.0.3",
        {"process": "dnsmasq", "pid": 7, "query_type": "A", "name": "imap.example.org", "address": "172.20.0.3"},
    ),
    ("dnsmasq", "Nov 22 19:43:02 dnsmasq[7]: reply x.org is 1.2.3.4", {"name": "x.org", "answer": "1.2.3.4"}),
    ("dnsmasq", "dnsmasq: failed to create listening socket for port 53", {"level": "warning"}),
    (
        "slapd",
        "6921f5a6.1a2b3c4d 0x7f1234567700 conn=1000 fd=12 ACCEPT from IP=172.20.0.5:4711 (IP=0.0.0.0:1389)",
        {"level": "debug", "conn": 1000, "fd": 12, "address": "172.20.0.5", "daemon_time": "6921f5a6.1a2b3c4d"},
    ),
    (
        "slapd",
        '6921f5a6.1a2b3c4d 0x7f12 conn=1000 op=1 SRCH base="dc=example,dc=org" scope=2 deref=0 filter="(mail=a\\2A@x)"',
        {"level": "debug", "op": 1, "base": "dc=example,dc=org", "filter": "(mail=a\\2A@x)"},
    ),
    (
        "exim-main",
        EXIM + "== a@example.test R=to_imap T=lmtp defer (-54) DT=0s: retry time not reached for any host",
        {"status": None, "recipient": "a@example.test", "exim_id": "1vMxyz-00000000001-abcd"},
    ),
    ("slapd", "6921f5a6.1a2b3c4d 0x7f12 conn=1000 op=0 RESULT tag=97 err=0 text=", {"level": "debug", "err": 0}),
    ("slapd", "6921f5a6.1a2b3c4d 0x7f12 conn=1000 op=0 RESULT tag=97 err=49 text=", {"level": "info", "err": 49}),
    ("slapd", "6921f5a6.1a2b3c4d 0x7f12 slapd starting", {"level": "info", "event": "slapd starting"}),
    (
        "clamd",
        "Sun Nov 22 19:43:02 2026 -> instream(172.20.0.6@34567): Eicar-Test-Signature(69630e:69) FOUND",
        {"level": "warning", "virus": "Eicar-Test-Signature", "address": "172.20.0.6"},
    ),
    ("clamd", "ERROR: Can't open/parse the config file", {"level": "error"}),
    ("freshclam", "Sun Nov 22 19:43:02 2026 -> daily.cvd database is up-to-date", {"level": "info"}),
]


@pytest.mark.parametrize(("name", "line", "fields"), LINES)
def test_fields(name: str, line: str, fields: dict[str, Any]) -> None:
    """What a person searches for is in fields of its own."""
    parsed = parser(name)(line)
    assert {key: parsed.get(key) for key in fields} == fields


@pytest.mark.parametrize(("name", "line", "fields"), LINES)
def test_lines_are_whole(name: str, line: str, fields: dict[str, Any]) -> None:
    """Nothing of a line is lost, for the lines that are known."""
    check_nothing_lost(parser(name)(line), line)


SLOW_PREFIXES = (
    "",
    EXIM,
    EXIM + "<= ",
    RSPAMD + "task; rspamd_task_write_log: ",
    "Nov 22 19:43:02 imap(",
    "Nov 22 19:43:02 imap: Info: ",
    "Nov 22 19:43:02 imap-login: Info: Login aborted: ",
    "conn=1 ",
    "dnsmasq[1]: ",
    "ERROR: Sun Nov 22 19:43:02 2026 -> ",
    "LibClamAV Error: ",
    "2026-11-24 02:21:46,781 fail2ban.actions        [12]: NOTICE  [jail] ",
    "Nov 24 02:24:21 2026 (12) ",
    "Nov 24 02:24:21 2026 (12) <m1@example.test> post to ",
    "Nov 24 02:24:21 2026 (12) HOLD: ",
    "[24/Nov/2026:02:24:26 +0000] ",
    "[pid: 12|app: 0|req: 1/1] 192.0.2.1 (",
)


@pytest.mark.parametrize(
    ("said", "fields"),
    [
        ("rejected RCPT <x@example.test>: Unknown recipient", {"reason": "unknown-user", "command": "RCPT"}),
        ("rejected RCPT <relay@spam.test>: Unknown recipient", {"reason": "unknown-user"}),
        ("rejected RCPT <x@outside.test>: 5.7.1 Relaying is not permitted", {"reason": "relay"}),
        ("rejected RCPT <x@outside.test>: relay not permitted", {"reason": "relay"}),
        ("rejected RCPT <x@outside.test>: 5.7.1 You may write only to members", {"reason": "relay"}),
        (
            (
                "rejected RCPT <d@example.test>: imap.example.test [192.0.2.5] : SMTP error from remote mail server "
                "after RCPT TO:<d@example.test>: 552 5.2.2 <d@example.test> Quota exceeded (mailbox for user is full)"
            ),
            {"reason": "full", "recipient": "d@example.test"},
        ),
        ("rejected MAIL <a@example.test>: 5.7.0 Log in first (STARTTLS, then AUTH)", {"reason": "auth"}),
        (
            "rejected MAIL <a@example.test>: 5.7.1 a@example.test is not one of your addresses",
            {"reason": "sender", "sender": "a@example.test"},
        ),
        ("rejected after DATA: rspamd: reject, score 15.0", {"reason": "spam", "command": "after DATA"}),
        ("rejected after DATA: virus Test.EICAR.UNOFFICIAL, rspamd: reject, score -0.1", {"reason": "virus"}),
        (
            "temporarily rejected after DATA: clamav: no answer; soft reject, score -0.1",
            {"reason": "unavailable", "temporary": True},
        ),
        ("rejected RCPT <x@example.test>: 192.0.2.9 is listed at dnsbl.example", {"reason": "dnsbl"}),
        ("rejected EHLO or HELO mail.example.test: HELO with my own name", {"reason": "other"}),
        ("rejected VRFY alice@example.test", {"reason": "other", "command": "VRFY"}),
        (
            "temporarily rejected after DATA: rspamd: soft reject, score 4.9",
            {"reason": "greylisted", "temporary": True},
        ),
        ("temporarily rejected after DATA", {"reason": "unavailable", "temporary": True}),
        (
            "temporarily rejected RCPT <spam@example.test>: failed to bind the LDAP connection to server ldap:1636",
            {"reason": "unavailable", "temporary": True},
        ),
        (
            "rejected MAIL FROM:<s@outside.test> H=client.outside.test [192.0.2.9]: message too big: size=9 max=8",
            {"reason": "size", "command": "MAIL", "sender": "s@outside.test"},
        ),
        (
            "rejected from <s@outside.test> H=client.outside.test [192.0.2.9]: message too big: read=9 max=8",
            {"reason": "size", "command": "from", "sender": "s@outside.test"},
        ),
    ],
)
def test_why_mail_was_refused_is_one_word(said: str, fields: dict[str, Any]) -> None:
    """Out of the words of our own rules and Exim's; what somebody calls an address is none of them."""
    parsed = parser("exim-main")(f"2026-11-22 19:43:02 H=client.outside.test [192.0.2.9] {said}")
    assert {"status": parsed["status"]} | {key: parsed.get(key) for key in fields} == {"status": "rejected"} | fields
    assert parsed["reason"] in REASONS
    assert ("temporary" in parsed) == ("temporary" in fields)


ABORTED = "imap-login: Info: Login aborted: Connection closed"
AT = "rip=192.0.2.9, lip=192.0.2.5, TLS, session=<abc>"


@pytest.mark.parametrize(
    ("name", "line", "fields"),
    [
        ("dovecot", f"imap-login: Info: Logged in: user=<alice>, method=PLAIN, {AT}", {"login": "ok"}),
        ("dovecot", f"managesieve-login: Info: Login: user=<alice>, method=PLAIN, {AT}", {"login": "ok"}),
        (
            "dovecot",
            f"imap-login: Info: Login failed: Cleartext authentication disabled: user=<>, {AT}",
            {"login": "failed", "error": "Cleartext authentication disabled"},
        ),
        (
            "dovecot",
            f"{ABORTED} (auth failed, 3 attempts in 9 secs) (auth_failed): user=<alice>, {AT}",
            {"login": "failed", "attempts": 3, "user": "alice"},
        ),
        ("dovecot", f"{ABORTED} (no auth attempts in 0 secs) (no_auth_attempts): user=<>, {AT}", {}),
        ("dovecot", f"{ABORTED} (disconnected during TLS handshake) (tls_handshake_not_finished): user=<>, {AT}", {}),
        (
            "dovecot",
            f"{ABORTED} (disconnected before auth was ready, waited 0 secs) (auth_process_not_ready): user=<>, {AT}",
            {},
        ),
        (
            "dovecot",
            f"{ABORTED} (The process is shutting down so the login is aborted.) (shutting_down): user=<>, {AT}",
            {},
        ),
        (
            "dovecot",
            f"{ABORTED} (internal failure, 1/2 successful auths in 9 secs) (internal_failure): user=<alice>, {AT}",
            {"login": "failed", "attempts": 2},
        ),
        ("dovecot", "imap(alice)<1><s>: Info: Login: user=<bob>, as somebody wrote", {}),
        ("exim-main", EXIM + "<= alice@example.test H=(x) [192.0.2.9] P=esmtpsa A=plain:alice S=9", {"login": "ok"}),
        ("exim-main", EXIM + "<= alice@example.test H=(x) [192.0.2.9] P=esmtps S=9", {}),
        ("exim-main", EXIM + "=> x@outside.test R=world T=relay H=relay [192.0.2.9] A=relay_login", {}),
        (
            "exim-main",
            "plain authenticator failed for (x) [192.0.2.9]: 535 Incorrect authentication data (set_id=alice)",
            {"login": "failed", "user": "alice"},
        ),
        (
            "exim-main",
            "plain authenticator failed for (x) [192.0.2.9]: 435 Unable to authenticate at present (set_id=alice)",
            {"login": "failed", "reason": "unavailable", "temporary": True},
        ),
    ],
)
def test_logins_are_told_alike(name: str, line: str, fields: dict[str, Any]) -> None:
    """The same field for all daemons; connections without a try, and our own logins elsewhere, have none."""
    parsed = parser(name)(f"2026-11-22 19:43:02 {line.removeprefix(EXIM)}" if name == "exim-main" else line)
    assert {key: parsed.get(key) for key in ("login", *fields)} == {"login": None, **fields}


def check_nothing_lost(fields: dict[str, Any], line: str) -> None:
    """The event is the line's end, unchanged, and each word before it is in a field."""
    event = fields["event"]
    assert line.endswith(event)
    assert fields["level"] in LEVELS
    prefix = line[: len(line) - len(event)]
    values = " ".join(str(value) for key, value in fields.items() if key != "event")
    for word in re.findall(r"[^\s()<>\[\]#:;,]+", prefix):
        assert word.lower() in values.lower() or word == "-"


# Pieces of lines, so that what is drawn comes near to what the patterns expect.
REAL = [line for golden in all_golden() for line in golden.lines]
PIECES = st.sampled_from(
    [
        *(line for _, line, _ in LINES),
        *(word + " " for _, line, _ in LINES for word in line.split()),
        *REAL,
        *{word + " " for line in REAL for word in line.split()},
        "2026-11-22 19:43:02 ",
        "[12] ",
        "imap(",
        ")<",
        ">: Info: ",
        '"',
        "\\",
        ": ",
    ]
)
ANY = st.one_of(st.text(), st.lists(st.one_of(PIECES, st.text(max_size=5)), max_size=8).map("".join))
TEXTS = ANY.filter(lambda text: "pass=" not in text)  # a password is the one thing that is changed, by Exim's parser


@pytest.mark.parametrize("name", NAMES)
@given(line=TEXTS)
@example(line="")
@example(line="9" * 5000)
@example(line="pass=0")
@example(line=EXIM + "<= a S=" + "9" * 5000)
def test_no_line_is_lost_or_changed(name: str, line: str) -> None:
    """Whatever a daemon writes, its parser raises nothing and keeps the text (but for the account of a look-up)."""
    assume(not name.startswith("exim") or not re.search("user=.*pass=", line, re.DOTALL))
    check_nothing_lost(parser(name)(line), line)


@pytest.mark.parametrize(
    ("text", "level"),
    [
        ("nothing of note", "info"),
        ("no errors were found", "info"),
        ("an error in a sentence", "info"),
        ("foo: Error: bar", "error"),
        ("[warning] bar", "warning"),
        ("2026 WARN something", "warning"),
        ("<crit> bar", "critical"),
        ("debug: x", "debug"),
        ("FATAL", "critical"),
    ],
)
def test_the_level_is_what_a_line_labels_itself_with(text: str, level: str) -> None:
    """A label counts, a word of a sentence does not."""
    assert level_of(text) == level


def test_an_unknown_parser_is_named_with_those_there_are() -> None:
    """A mistake in a plan says what would have been right."""
    with pytest.raises(LookupError, match=r"'exim'.*exim-main"):
        parser("exim")


@pytest.mark.parametrize(
    "piece",
    [
        *'(<"[:@a',
        *(' T="', " H=(", "H=a[", " for a@b", " F=<", "(set_id=", " rejected", " defer (-1)", "a=", " id=<"),
        *("Ban ", "[", "post from ", "message-id=<", "{", '"GET /', " => ", "(version: ", "rejected from <"),
        *("user=<", ")<", "saved mail to ", "box=", "(a) "),
        *(", id: <", "(default: F (", ": [1/", ' base="', "hosts", ": ", "a FOUND", " failed", "ERROR"),
    ],
)
@pytest.mark.parametrize("name", NAMES)
def test_no_line_is_slow(name: str, piece: str) -> None:
    """No pattern goes back and forth over what somebody sends."""
    parse = parser(name)
    for prefix in SLOW_PREFIXES:
        line = (prefix + piece * 16384)[: 16 * 1024]
        began = time.process_time()
        parse(line)
        assert time.process_time() - began < 0.5


@pytest.mark.parametrize(
    "query",
    [
        r'lookup of "user="cn=mail" pass="a/&\\|$%\"\'{} #b" ldaps:///ou=people?dn?sub?(mail=x)" gave DEFER: no',
        'lookup of "user=cn=mail pass=a/&b ldaps:///ou=people?dn?sub?(mail=x)" gave DEFER: no',
        'lookup of "user=cn=mail pass="a b is cut',
        'failed to expand "${lookup ldap{user=${quote:cn=mail} pass=${quote:\\x61 a b} connect=5}}": no',
        'failed to expand "${lookup ldap{user=${quote:cn=mail} pass=${quote:a b',
    ],
)
def test_a_password_that_exim_quotes_is_masked(query: str) -> None:
    """A look-up that fails is logged with the account's password; the line goes on without it."""
    told = parser("exim-main")(f"2026-11-22 20:34:05 plain authenticator failed for ([x]) [192.0.2.1]: 435 no: {query}")
    assert "pass=********" in str(told["event"])
    assert not [value for value in told.values() if "a/&" in str(value) or "a b" in str(value)]


def test_what_only_looks_like_a_password_stays() -> None:
    """An address, say: without an account before it, it is none of ours."""
    line = EXIM + "H=(x) [192.0.2.9] rejected RCPT <pass=x@example.test>: Unknown recipient"
    assert parser("exim-main")(line)["recipient"] == "pass=x@example.test"


@pytest.mark.parametrize(
    ("name", "line", "level"),
    [
        ("exim-main", "2026-11-22 20:34:05 Start queue run: pid=182", "debug"),
        (
            "exim-main",
            EXIM + "== a@example.test R=to_imap T=lmtp defer (-54) DT=0s: retry time not reached for any host",
            "debug",
        ),
        ("exim-main", EXIM + "== a@example.test R=to_imap T=lmtp defer (110) DT=10s: Connection timed out", "warning"),
        (
            "exim-main",
            EXIM + "== a@example.test R=x T=y defer (-45) H=h [192.0.2.9]: SMTP error: 451 retry time not reached",
            "warning",
        ),
        ("exim-main", "2026-11-22 20:34:05 Start of something else", "info"),
        ("dovecot", "Nov 22 20:40:21 lmtp(36): Info: Connect from 127.0.0.1", "debug"),
        ("dovecot", "Nov 22 20:40:21 lmtp(36): Info: Connect from 172.20.0.3", "debug"),
        ("dovecot", "Nov 22 20:40:21 lmtp(36): Info: Disconnect from 172.20.0.3: Connection closed", "info"),
        (
            "dovecot",
            (
                "Nov 22 20:40:21 imap-login: Info: Login aborted: Logged out (no auth attempts in 0 secs) "
                "(no_auth_attempts): user=<>, rip=127.0.0.1, lip=127.0.0.1, TLS, session=<a/b>"
            ),
            "debug",
        ),
        (
            "dovecot",
            (
                "Nov 22 20:40:21 imap-login: Info: Login aborted: Logged out (auth failed, 1 attempts in 2 secs) "
                "(auth_failed): user=<a>, rip=127.0.0.1, lip=127.0.0.1, TLS, session=<a/b>"
            ),
            "info",
        ),
    ],
)
def test_what_happens_all_the_time_is_debug(name: str, line: str, level: str) -> None:
    """Queue runs and the health check's own visits would bury what a person looks for."""
    assert parser(name)(line)["level"] == level
