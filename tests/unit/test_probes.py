"""Each probe against a server that answers well, and against the ways in which one does not."""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, AuthResult
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from entrypoint.errors import EntrypointError, ProbeError
from entrypoint.plan import Probe
from entrypoint.probes import ask, where
from entrypoint.probes.ldap import directory
from entrypoint.probes.mail import log_in
from tests.unit.authority import Authority
from tests.unit.servers import (
    Converse,
    Directory,
    Lines,
    Redis,
    Server,
    closes,
    name_server,
    says,
    silence,
)

# ldap3 2.9.1 still uses two names that pyasn1 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:(tagMap|typeMap) is deprecated:DeprecationWarning")

TCP_KINDS = ("tcp", "smtp", "lmtp", "imap", "pop3", "managesieve", "redis", "rspamd", "ldap", "ldap-root")
PASSWORDS = [
    b"plain",
    b"with space",
    b"/&\\|$'\"%{}*()#;",
    "Grüße ﬁ²\u00a0".encode(),
    b"\xff\xfe\x00raw",
    b"two\r\n$3\r\nlines",
]


def probe(kind: str, port: int, **fields: Any) -> Probe:
    return Probe(**{"kind": kind, "host": "127.0.0.1", "port": port, "timeout_s": 5.0, **fields})


def refusal(question: Probe) -> ProbeError:
    """The error that a probe must end with."""
    with pytest.raises(ProbeError) as caught:
        ask(question)
    return caught.value


def answer_of(converse: Converse, kind: str, **fields: Any) -> str:
    with Server(converse) as server:
        return ask(probe(kind, server.port, **fields))


def refusal_by(converse: Converse, kind: str, **fields: Any) -> ProbeError:
    with Server(converse) as server:
        return refusal(probe(kind, server.port, **fields))


@pytest.fixture
def closed_port() -> int:
    """A port where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("trusted") / "ca")


@pytest.fixture(scope="session")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """An authority that nobody trusts."""
    return Authority(tmp_path_factory.mktemp("unknown") / "ca")


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_bytes(b"secret")
    return path


# Name and connection


def test_an_unknown_name_may_become_known() -> None:
    """A host that DNS does not know is reported as such, and curable."""
    error = refusal(probe("tcp", 1, host="nosuch.invalid"))
    assert (error.stage, error.curable) == ("name", True)
    assert "nosuch.invalid" in error.reason


def test_what_cannot_be_a_name_is_refused() -> None:
    """A host that no DNS could know is not curable."""
    error = refusal(probe("tcp", 1, host="ü" * 100))
    assert (error.stage, error.curable) == ("name", False)


def test_a_name_leads_to_its_server() -> None:
    """A host may be given by name."""
    with Server(silence) as server:
        assert ask(probe("tcp", server.port, host="localhost")) == "accepts connections"


@pytest.mark.parametrize("kind", TCP_KINDS)
def test_a_refused_connection_may_be_accepted_later(kind: str, closed_port: int) -> None:
    """Nothing listens: stage tcp, curable."""
    error = refusal(probe(kind, closed_port))
    assert (error.stage, error.reason, error.curable) == ("tcp", "connection refused", True)


@pytest.mark.parametrize("kind", TCP_KINDS[1:])
def test_silence_ends_in_time(kind: str) -> None:
    """A server that accepts and says nothing costs the probe's time limit, and is curable."""
    begin = time.monotonic()
    error = refusal_by(silence, kind, timeout_s=0.2)
    assert (error.reason, error.curable) == ("no answer within 0.2 s", True)
    assert 0.2 <= time.monotonic() - begin < 2


@pytest.mark.parametrize("kind", TCP_KINDS[1:])
def test_a_trickle_ends_in_time(kind: str) -> None:
    """The limit is for the whole probe, not for each byte."""

    def trickle(peer: Any) -> None:
        while True:
            peer.send(b"\x30" if kind == "ldap" else b"2")
            time.sleep(0.05)

    begin = time.monotonic()
    with pytest.raises(ProbeError):
        answer_of(trickle, kind, timeout_s=0.4)
    assert time.monotonic() - begin < 2


@pytest.mark.parametrize("kind", TCP_KINDS[1:])
def test_a_flood_ends(kind: str) -> None:
    """A server that never stops sending is not read for ever."""

    def flood(peer: Any) -> None:
        while True:
            peer.send(b"2" * 65_536)

    begin = time.monotonic()
    with pytest.raises(ProbeError):
        answer_of(flood, kind, timeout_s=20)
    assert time.monotonic() - begin < 10


@pytest.mark.parametrize("kind", TCP_KINDS[1:])
def test_hanging_up_may_pass(kind: str) -> None:
    """A server that accepts and closes at once, as proxies do for servers that start, is curable."""
    error = refusal_by(closes, kind)
    assert (error.stage, error.reason, error.curable) == ("answer", "closed the connection", True)


def test_an_unknown_kind_is_a_bug() -> None:
    """A kind that does not exist is not the server's fault."""
    with pytest.raises(EntrypointError, match="cannot probe 'gopher'"):
        ask(probe("gopher", 70))


@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    kind=st.sampled_from(TCP_KINDS[1:]),
    start=st.sampled_from(
        [b"", b"220 ", b"250-", b"* OK ", b"a OK ", b"+OK ", b'"', b"HTTP/1.1 200 ", b"\x30", b"\x30\x0c\x02\1\2"]
    ),
    noise=st.lists(st.binary(max_size=40), max_size=4),
)
def test_no_bytes_break_a_probe(kind: str, start: bytes, noise: list[bytes]) -> None:
    """Whatever a server sends, a probe answers or raises ProbeError."""
    with contextlib.suppress(ProbeError):
        answer_of(says(start + b"\r\n".join(noise)), kind, timeout_s=0.05)


# TLS


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1"])
def test_a_good_certificate(authority: Authority, host: str) -> None:
    """A certificate of a known authority is accepted for a name and for an address."""
    with Server(silence, authority.server()) as server:
        assert ask(probe("tcp", server.port, host=host, tls="tls", ca_file=str(authority.ca_file)))


def test_the_name_may_differ_from_the_host(authority: Authority) -> None:
    """What is reached by its address is verified by its name."""
    with Server(silence, authority.server("DNS:mail.example.org")) as server:
        question = probe("tcp", server.port, tls="tls", ca_file=str(authority.ca_file))
        assert ask(replace(question, server_name="mail.example.org"))
        assert "not for 127.0.0.1" in refusal(question).reason


def bad_certificates(authority: Authority, stranger: Authority) -> Iterator[tuple[ssl.SSLContext, str]]:
    trusted = str(authority.ca_file)
    yield stranger.server(), f"the certificate of localhost is not signed by an authority in {trusted}"
    yield authority.server("DNS:other.example"), "trusted, but it is not for localhost"
    yield authority.server(ends="20200101000000Z"), "the certificate of localhost, or one above it, has expired"


def test_bad_certificates_stay_bad(authority: Authority, stranger: Authority) -> None:
    """Unknown authority, wrong name, expired: each is named with the CA file, none is curable."""
    for context, reason in bad_certificates(authority, stranger):
        with Server(silence, context) as server:
            error = refusal(probe("tcp", server.port, host="localhost", tls="tls", ca_file=str(authority.ca_file)))
        assert (error.stage, error.curable) == ("tls", False)
        assert reason in error.reason
        assert str(authority.ca_file) in error.reason


def test_the_system_decides_without_a_ca_file(authority: Authority) -> None:
    """Without a CA file a private authority is not trusted."""
    with Server(silence, authority.server()) as server:
        error = refusal(probe("tcp", server.port, host="localhost", tls="tls"))
    assert error.reason == "the certificate of localhost is not signed by an authority in the system's CA certificates"


@pytest.mark.parametrize(("content", "why"), [(None, "no such file or directory"), ("nothing", "no certificate in it")])
def test_an_unusable_ca_file_is_named(tmp_path: Path, content: str | None, why: str) -> None:
    """A CA file that is missing or empty is the reason, not the server's certificate."""
    path = tmp_path / "ca.pem"
    if content:
        path.write_text(content)
    error = refusal_by(silence, "tcp", tls="tls", ca_file=str(path))
    assert (error.stage, error.curable) == ("tls", False)
    assert error.reason == f"cannot use the CA file {path}: {why}"


def test_plain_text_is_not_tls() -> None:
    """A server that greets without TLS does not become one with TLS."""
    error = refusal_by(says(b"220 mail.example.org ESMTP\r\n"), "smtp", tls="tls")
    assert (error.stage, error.reason, error.curable) == ("tls", "does not speak TLS on this port", False)


def test_hanging_up_within_the_handshake_may_pass() -> None:
    """A connection that ends in the handshake is curable."""
    error = refusal_by(closes, "smtp", tls="tls")
    assert (error.stage, error.reason, error.curable) == ("tls", "closed the connection", True)


def test_a_server_that_wants_our_certificate(authority: Authority) -> None:
    """TLS 1.3 says so only after the handshake; it is still TLS's refusal, and not curable."""
    context = authority.server()
    context.verify_mode = ssl.CERT_REQUIRED
    with Server(silence, context) as server:
        error = refusal(probe("imap", server.port, host="localhost", tls="tls", ca_file=str(authority.ca_file)))
    assert (error.stage, error.curable) == ("tls", False)
    assert "certificate required" in error.reason


def test_nothing_may_be_smuggled_in_before_tls(authority: Authority) -> None:
    """Text behind the agreement on STARTTLS is refused, not taken as if it had come within."""
    smuggler = Lines("220 mail\r\n", {"EHLO": "250 STARTTLS\r\n", "STARTTLS": "220 go\r\n250 AUTH\r\n"})
    error = refusal_by(smuggler, "smtp", tls="starttls", expect="AUTH")
    assert (error.stage, error.curable) == ("tls", False)


# SMTP and LMTP, with aiosmtpd as the real server


@contextlib.contextmanager
def smtp_server(factory: type[SMTP] = SMTP, **options: Any) -> Iterator[int]:
    class Chosen(Controller):
        def factory(self) -> SMTP:
            return factory(self.handler, **options)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = int(listener.getsockname()[1])
    controller = Chosen(Sink(), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        yield port
    finally:
        controller.stop()


def test_smtp_answers() -> None:
    """Greeting and EHLO of a real server."""
    with smtp_server(hostname="mail.example.org") as port:
        assert ask(probe("smtp", port)) == "220 mail.example.org"
        assert ask(probe("smtp", port, expect="8bitmime")) == "220 mail.example.org, 8BITMIME offered"


def test_smtp_without_the_capability() -> None:
    """A capability that is not offered is missing until someone changes the server."""
    with smtp_server() as port:
        error = refusal(probe("smtp", port, expect="AUTH"))
    assert (error.stage, error.reason, error.curable) == ("answer", "does not offer AUTH", False)


def test_smtp_with_starttls(authority: Authority) -> None:
    """STARTTLS with a verified certificate; AUTH is offered only within."""

    def nobody(*_: object) -> AuthResult:
        return AuthResult(success=False)

    options: dict[str, Any] = {
        "tls_context": authority.server(),
        "hostname": "mail",
        "authenticator": nobody,
        "auth_require_tls": True,
    }
    trusted = {"host": "localhost", "ca_file": str(authority.ca_file)}
    with smtp_server(**options) as port:
        assert ask(probe("smtp", port)) == "220 mail, STARTTLS offered"
        assert refusal(probe("smtp", port, expect="AUTH")).reason == "does not offer AUTH"
        within = probe("smtp", port, tls="starttls", expect="AUTH PLAIN", **trusted)
        assert ask(within) == "220 mail, TLS verified, AUTH PLAIN offered"
        assert refusal(replace(within, ca_file="")).stage == "tls"


def test_smtp_starttls_that_is_not_offered() -> None:
    """Without STARTTLS there is no TLS to begin, and no silent fall-back."""
    with smtp_server() as port:
        assert refusal(probe("smtp", port, tls="starttls")).reason == "does not offer STARTTLS"


def test_lmtp_answers() -> None:
    """LMTP greets like SMTP, but wants LHLO."""
    with smtp_server(LMTP, hostname="imap") as port:
        assert ask(probe("lmtp", port)) == "220 imap"
        assert "refuses" in refusal(probe("smtp", port)).reason


@pytest.mark.parametrize(
    ("greeting", "curable"),
    [("421 too busy", True), ("554 no service", False), ("* OK Dovecot ready", False), ("nonsense", False)],
)
def test_smtp_greetings_that_are_none(greeting: str, curable: bool) -> None:
    """4xx passes; 5xx and other protocols stay. The server's words are in the message."""
    error = refusal_by(says(f"{greeting}\r\n".encode()), "smtp")
    assert (error.stage, error.curable) == ("answer", curable)
    assert greeting in error.reason


def test_smtp_greeting_of_several_lines() -> None:
    """The name is found in a long greeting, and the goodbye is polite."""
    server = Lines("220-mail-1.example.org ESMTP\r\n220 welcome\r\n", {"EHLO": "250 ok\r\n", "QUIT": "221 bye\r\n"})
    assert answer_of(server, "smtp") == "220 mail-1.example.org"
    assert server.heard[-1] == "QUIT"


def test_the_servers_words_are_made_safe() -> None:
    """Control characters and long lines of a server do not reach the log."""
    error = refusal_by(says(b"554 \x1b[31m" + b"x" * 5000 + b"\r\n"), "smtp")
    assert error.reason.isprintable()
    assert len(error.reason) < 300


# IMAP, POP3, ManageSieve


IMAP = {
    "a CAPABILITY": "* CAPABILITY IMAP4rev1 STARTTLS\r\na OK done\r\n",
    "a STARTTLS": "a OK go\r\n",
    "a LOGOUT": "* BYE\r\na OK\r\n",
}
IMAP_WITHIN = {"a CAPABILITY": "* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\na OK done\r\n"}
POP3 = {"CAPA": "+OK\r\nSTLS\r\n.\r\n", "STLS": "+OK go\r\n", "QUIT": "+OK\r\n"}
POP3_WITHIN = {"CAPA": "+OK\r\nSASL PLAIN\r\n.\r\n"}
SIEVE = '"IMPLEMENTATION" "Dovecot Pigeonhole"\r\n"STARTTLS"\r\nOK "ready"\r\n'
SIEVE_WITHIN = '"SASL" "PLAIN"\r\nOK "ready"\r\n'
GREETINGS = {"imap": "* OK ready\r\n", "pop3": "+OK ready\r\n", "managesieve": SIEVE}


def mail_server(kind: str, tls: ssl.SSLContext | None = None) -> Lines:
    replies = {"imap": IMAP, "pop3": POP3, "managesieve": {"STARTTLS": "OK\r\n", "LOGOUT": "OK\r\n"}}[kind]
    within = {"imap": IMAP_WITHIN, "pop3": POP3_WITHIN, "managesieve": {}}[kind]
    first = SIEVE_WITHIN if kind == "managesieve" else ""
    return Lines(GREETINGS[kind], replies, tls, greeting_within=first, within=within)


@pytest.mark.parametrize("kind", GREETINGS)
def test_mailbox_servers_answer(kind: str) -> None:
    """Greeting and capabilities; the goodbye is heard."""
    server = mail_server(kind)
    assert answer_of(server, kind).endswith("STARTTLS offered")
    assert server.heard[-1].endswith(("LOGOUT", "QUIT"))


@pytest.mark.parametrize(("kind", "expect"), [("imap", "AUTH=PLAIN"), ("pop3", "SASL"), ("managesieve", "SASL PLAIN")])
def test_mailbox_servers_with_starttls(kind: str, expect: str, authority: Authority) -> None:
    """A login is offered within TLS, and only there."""
    with Server(mail_server(kind, authority.server())) as server:
        plain = probe(kind, server.port, expect=expect, host="localhost", ca_file=str(authority.ca_file))
        assert ask(replace(plain, tls="starttls")).endswith(f"TLS verified, {expect} offered")
        assert "does not offer" in refusal(plain).reason


@pytest.mark.parametrize("kind", GREETINGS)
def test_mailbox_servers_with_the_wrong_certificate(kind: str, stranger: Authority, authority: Authority) -> None:
    """STARTTLS verifies as TLS from the first byte does."""
    with Server(mail_server(kind, stranger.server())) as server:
        question = probe(kind, server.port, host="localhost", tls="starttls", ca_file=str(authority.ca_file))
        assert (refusal(question).stage, refusal(question).curable) == ("tls", False)


@pytest.mark.parametrize(
    ("kind", "greeting", "curable"),
    [
        ("imap", "* BYE too many connections", True),
        ("imap", "+OK POP3", False),
        ("imap", "* NO", False),
        ("pop3", "-ERR [SYS/TEMP] busy", True),
        ("pop3", "* OK IMAP", False),
        ("managesieve", 'BYE "busy"', True),
        ("managesieve", "220 mail", False),
    ],
)
def test_mailbox_servers_that_refuse(kind: str, greeting: str, curable: bool) -> None:
    """Busy servers become free; another protocol stays another protocol."""
    error = refusal_by(says(f"{greeting}\r\n".encode()), kind)
    assert (error.stage, error.curable) == ("answer", curable)
    assert greeting in error.reason


# Redis


@pytest.mark.parametrize("password", PASSWORDS)
def test_redis_login(password: bytes, password_file: Path) -> None:
    """A password of any bytes arrives as it is; a wrong one is refused for good and not shown."""
    password_file.write_bytes(password + b"\n")
    assert answer_of(Redis(password), "redis", password_file=str(password_file)) == "PONG"
    error = refusal_by(Redis(b"another"), "redis", password_file=str(password_file))
    assert (str(error), error.curable) == ("login: the password is wrong", False)


def test_redis_without_login() -> None:
    """PING alone does when Redis has no password, and is a login error when it has one."""
    assert answer_of(Redis(), "redis") == "PONG"
    error = refusal_by(Redis(b"secret"), "redis")
    assert (error.stage, error.curable) == ("login", False)
    assert "NOAUTH" in error.reason


@pytest.mark.parametrize(
    ("word", "answer", "stage", "curable"),
    [
        ("PING", "-LOADING Redis is loading the dataset in memory", "answer", True),
        ("PING", "-BUSY a script runs", "answer", True),
        ("PING", "-ERR max number of clients reached", "answer", True),
        ("PING", "-DENIED Redis is running in protected mode", "login", False),
        ("PING", "220 mail.example.org ESMTP", "answer", False),
        ("AUTH", "-ERR AUTH <password> called without any password configured", "login", False),
        ("AUTH", "-LOADING Redis is loading the dataset in memory", "login", True),
    ],
)
def test_redis_that_refuses(word: str, answer: str, stage: str, curable: bool, password_file: Path) -> None:
    """Loading and busy pass; access and other protocols do not."""
    error = refusal_by(Redis(b"secret", {word: answer}), "redis", password_file=str(password_file))
    assert (error.stage, error.curable) == (stage, curable)


@pytest.mark.parametrize("word", ["AUTH", "PING"])
def test_redis_that_repeats_the_password(word: str, password_file: Path) -> None:
    """A Redis without AUTH quotes its arguments back; the message does not."""
    password_file.write_bytes(b"t0p s3cret")
    echo = "-ERR unknown command 'AUTH', with args beginning with: 't0p s3cret'"
    error = refusal_by(Redis(b"t0p s3cret", {word: echo}), "redis", password_file=str(password_file))
    assert "s3cret" not in str(error)
    assert "ERR" in error.reason


def test_redis_that_repeats_a_part_of_the_password(password_file: Path) -> None:
    """What is quoted back is cut after 128 characters, so the password as a whole is not in it."""
    password_file.write_bytes(b"0123456789" * 20)
    echo = f"-ERR unknown command 'AUTH', with args beginning with: '{'0123456789' * 12}01234567' "
    error = refusal_by(Redis(b"x", {"AUTH": echo}), "redis", password_file=str(password_file))
    assert "0123" not in str(error)


def test_a_password_file_that_is_missing(tmp_path: Path) -> None:
    """The file is named, and waiting will not make it."""
    error = refusal_by(Redis(b"x"), "redis", password_file=str(tmp_path / "none"))
    assert (error.stage, error.curable) == ("login", False)
    assert error.reason == f"cannot read {tmp_path / 'none'}: no such file or directory"


# rspamd


def rspamd(status: str, body: str) -> Converse:
    """Answers when the empty line behind the request has come."""

    def converse(peer: Any) -> None:
        request = peer.line()
        while peer.line():
            pass
        found = status if request.startswith("GET /ping HTTP/1.") else "404 Not found"
        peer.send(f"HTTP/1.1 {found}\r\nServer: rspamd\r\n\r\n{body}".encode())

    return converse


def test_rspamd_answers() -> None:
    """A worker that is ready says pong."""
    assert answer_of(rspamd("200 OK", "pong\r\n"), "rspamd") == "pong"


@pytest.mark.parametrize(
    ("status", "body", "curable"),
    [("200 OK", "<html>", False), ("503 busy", "", True), ("403 Forbidden", "", False)],
)
def test_rspamd_that_refuses(status: str, body: str, curable: bool) -> None:
    """Server errors pass; another web server stays one."""
    error = refusal_by(rspamd(status, body), "rspamd")
    assert (error.stage, error.curable) == ("answer", curable)


# DNS


def dns_reply(question: bytes, code: int = 0, address: bytes = b"\xac\x14\x00\x05", kind: int = 1) -> bytes:
    """A reply with an alias record and, for code 0, one of `kind`, their names compressed."""
    alias = b"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x02\xc0\x0c"
    record = b"\xc0\x0c" + kind.to_bytes(2) + b"\x00\x01\x00\x00\x00\x3c" + len(address).to_bytes(2) + address
    count = 0 if code else 2
    head = question[:2] + bytes([0x81, 0x80 | code]) + b"\0\1" + count.to_bytes(2) + b"\0\0\0\0"
    return head + question[12:] + (alias + record if count else b"")


def dns(port: int, **fields: Any) -> Probe:
    return probe("dns", port, **{"query": "imap.example.org", "timeout_s": 0.5, **fields})


def test_dns_answers() -> None:
    """An A record behind an alias is found."""
    with name_server(dns_reply) as port:
        assert ask(dns(port)) == "imap.example.org is 172.20.0.5"


def test_dns_passes_over_foreign_replies() -> None:
    """Replies with another id, to another question, or that are questions, are not ours."""

    def with_another_id(question: bytes) -> bytes:
        return bytes([question[0] ^ 1]) + dns_reply(question, address=b"\6\6\6\6")[1:]

    def to_another_question(question: bytes) -> bytes:
        return dns_reply(question[:12] + question[12:].replace(b"imap", b"evil"), address=b"\6\6\6\6")

    foreign = (with_another_id, to_another_question, bytes)
    with name_server(*foreign, dns_reply) as port:
        assert ask(dns(port)) == "imap.example.org is 172.20.0.5"
    with name_server(*foreign) as port:
        assert refusal(dns(port)).reason == "no answer within 0.5 s"


def test_dns_asks_again() -> None:
    """A lost datagram costs a second, not the probe."""
    lost: list[bytes] = []

    def second_time(question: bytes) -> bytes:
        lost.append(question)
        return dns_reply(question) if len(lost) > 1 else b""

    with name_server(second_time) as port:
        assert ask(dns(port, timeout_s=5.0))


@pytest.mark.parametrize(
    ("code", "address", "kind", "reason"),
    [
        (3, b"", 1, "NXDOMAIN for imap.example.org"),
        (2, b"", 1, "SERVFAIL for imap.example.org"),
        (0, b"\0" * 16, 28, "no address for imap.example.org"),
    ],
)
def test_dns_that_does_not_know(code: int, address: bytes, kind: int, reason: str) -> None:
    """Names without an address may get one."""
    with name_server(lambda question: dns_reply(question, code, address, kind)) as port:
        error = refusal(dns(port))
    assert (error.stage, error.reason, error.curable) == ("answer", reason, True)


@settings(deadline=None, max_examples=50)
@given(length=st.integers(0, 60), noise=st.binary(max_size=40))
def test_no_bytes_break_the_dns_probe(length: int, noise: bytes) -> None:
    """A reply that is cut anywhere and goes on as noise gives an answer or ProbeError."""
    with name_server(lambda question: dns_reply(question)[:length] + noise) as port, contextlib.suppress(ProbeError):
        ask(dns(port, timeout_s=0.05))


def test_dns_that_is_not_there() -> None:
    """A port without a server is noticed at once, not after the time limit."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    begin = time.monotonic()
    error = refusal(dns(port, timeout_s=5.0))
    assert (error.reason, error.curable) == ("connection refused", True)
    assert time.monotonic() - begin < 1


@pytest.mark.parametrize(
    ("reply", "curable"), [("535 Incorrect authentication data", False), ("435 Unable to authenticate", True)]
)
def test_smtp_login(reply: str, curable: bool, authority: Authority) -> None:
    """Within TLS; a refusal says whether it lasts, and has no word of the login in it."""
    hello = {"EHLO": "250-mail.example.org\r\n250 STARTTLS\r\n", "STARTTLS": "220 go\r\n", "QUIT": "221 bye\r\n"}
    tls = authority.server("DNS:mail.example.org")
    trusted = {"tls": "starttls", "ca_file": str(authority.ca_file), "server_name": "mail.example.org"}
    login = base64.b64encode("\0alice\0pässword".encode()).decode()
    good = Lines("220 hello\r\n", {**hello, "AUTH PLAIN": "235 Authentication succeeded\r\n"}, tls)
    with Server(good) as server:
        assert log_in(probe("smtp", server.port, **trusted), "alice", "pässword") == "235 Authentication succeeded"
    assert f"AUTH PLAIN {login}" in good.heard
    bad = Lines("220 hello\r\n", {**hello, "AUTH PLAIN": f"{reply} ({login})\r\n"}, tls)
    with Server(bad) as server, pytest.raises(ProbeError, match=reply[:10]) as caught:
        log_in(probe("smtp", server.port, **trusted), "alice", "pässword")
    assert (caught.value.stage, caught.value.curable) == ("login", curable)
    assert login not in caught.value.reason


# LDAP


def ldap(port: int, password_file: Path, **fields: Any) -> Probe:
    known = Directory()
    return probe(
        "ldap", port, **{"user": known.user, "password_file": str(password_file), "query": known.base, **fields}
    )


def ldap_refusal(directory: Directory, password_file: Path, **fields: Any) -> ProbeError:
    with Server(directory) as server:
        return refusal(ldap(server.port, password_file, **fields))


@pytest.mark.parametrize("password", [p for p in PASSWORDS if not p.startswith(b"\xff")])
def test_ldap_login(password: bytes, password_file: Path) -> None:
    """A password of any bytes arrives as it is; a wrong one is refused for good and not shown."""
    password_file.write_bytes(password)
    with Server(Directory(password=password)) as server:
        said = ask(ldap(server.port, password_file))
        assert said == "bound as cn=mail,dc=example,dc=org, base dc=example,dc=org exists"
    error = ldap_refusal(Directory(password=b"another"), password_file)
    assert (error.stage, error.curable) == ("login", False)
    assert "the bind DN or its password is wrong (invalidCredentials)" in error.reason
    assert password.decode(errors="backslashreplace") not in error.reason


def test_ldap_with_a_password_that_is_no_text(password_file: Path) -> None:
    """LDAP demands UTF-8; another encoding is named as the reason, not blamed on the server."""
    password_file.write_bytes("Grüße".encode("latin-1"))
    error = ldap_refusal(Directory(), password_file)
    assert (error.stage, error.curable) == ("login", False)
    assert "not UTF-8" in error.reason


def test_ldap_with_an_empty_password(password_file: Path) -> None:
    """An empty password would be an anonymous login, to which servers say yes."""
    password_file.write_bytes(b"\n")
    error = ldap_refusal(Directory(), password_file)
    assert (error.stage, error.curable) == ("login", False)
    assert error.reason == "the password of cn=mail,dc=example,dc=org is empty"


def test_ldap_without_login() -> None:
    """Without a user nobody is bound, and the root entry will do."""
    with Server(Directory()) as server:
        assert ask(probe("ldap", server.port)) == "no login, the root entry exists"


def test_ldap_base_that_does_not_exist(password_file: Path) -> None:
    """A base that is missing, or that the account may not see, is named and not curable."""
    for error in (
        ldap_refusal(Directory(), password_file, query="ou=none,dc=example"),
        ldap_refusal(Directory(base="ou=none,dc=example", visible=False), password_file, query="ou=none,dc=example"),
    ):
        assert (error.stage, error.curable) == ("answer", False)
        assert error.reason.startswith("base ou=none,dc=example ")


@pytest.mark.parametrize(
    ("code", "curable"), [(51, True), (52, True), (80, True), (13, False), (50, False), (53, False)]
)
def test_ldap_result_codes(code: int, curable: bool, password_file: Path) -> None:
    """Busy and unavailable pass, for the login and for the search; what is forbidden stays so."""
    login = ldap_refusal(Directory(bind_code=code, diagnosis="its words"), password_file)
    assert (login.stage, login.curable) == ("login", curable)
    assert "its words" in login.reason
    search = ldap_refusal(Directory(search_code=code), password_file)
    assert (search.stage, search.curable) == ("answer", curable)


def test_ldap_that_repeats_the_password(password_file: Path) -> None:
    """What a server says about a login is shown without the password."""
    error = ldap_refusal(Directory(bind_code=49, diagnosis="no match for secret"), password_file)
    assert "no match for …" in error.reason


def test_ldap_finds_entries(password_file: Path) -> None:
    """With their attributes, whatever the case of the names; below a base that is not there, nothing."""
    known = Directory(attributes={"gosaMailQuota": "50", "cn": "Ä"})
    with Server(known) as server, directory(ldap(server.port, password_file)) as search:
        (entry,) = search("dc=example,dc=org", "(mail=*)", attributes=("gosaMailQuota", "cn"))
        assert (entry.dn, entry.of("GosaMailQuota"), entry.of("cn")) == ("dc=example,dc=org", ("50",), ("Ä",))
        assert entry.of("mail") == ()
        assert search("ou=none,dc=example,dc=org", "(mail=*)") == []


def test_ldap_that_finds_nothing_for_a_reason(password_file: Path) -> None:
    """A wrong password and a refused search are errors, and no empty list."""
    password_file.write_bytes(b"wrong")
    assert "password is wrong" in search_refusal(Directory(), password_file)
    password_file.write_bytes(b"secret")
    assert "access is denied" in search_refusal(Directory(search_code=50), password_file)


def search_refusal(known: Directory, password_file: Path) -> str:
    with (
        Server(known) as server,
        pytest.raises(ProbeError) as caught,
        directory(ldap(server.port, password_file)) as search,
    ):
        search("dc=example,dc=org", "(mail=*)")
    return caught.value.reason


def test_ldap_that_is_another_protocol(password_file: Path) -> None:
    """A mail server on the port is not a directory."""
    error = refusal_by(says(b"* OK Dovecot ready" * 20), "ldap", user="cn=x", password_file=str(password_file))
    assert error.reason.startswith("does not speak LDAP: '* OK Dovecot ready")
    assert not error.curable


@pytest.mark.parametrize("tls", ["tls", "starttls"])
def test_ldap_with_tls(tls: str, authority: Authority, stranger: Authority, password_file: Path) -> None:
    """With TLS from the first byte and with StartTLS the certificate is verified before the login."""
    for signed_by in (authority, stranger):
        context = signed_by.server("DNS:ldap.example.org")
        directory = Directory(tls=context if tls == "starttls" else None)
        with Server(directory, context if tls == "tls" else None) as server:
            trusted = {"ca_file": str(authority.ca_file), "server_name": "ldap.example.org"}
            question = ldap(server.port, password_file, tls=tls, **trusted)
            if signed_by is authority:
                assert ask(question).startswith("bound as")
                assert "is not for 127.0.0.1" in refusal(replace(question, server_name="")).reason
            else:
                assert (refusal(question).stage, refusal(question).curable) == ("tls", False)


def test_ldap_starttls_that_is_refused(password_file: Path) -> None:
    """A server without StartTLS gets no password."""
    error = ldap_refusal(Directory(tls=None), password_file, tls="starttls")
    assert (error.stage, error.curable) == ("tls", False)


def test_ldap_that_only_has_to_answer(authority: Authority) -> None:
    """The root entry is there for everybody, in the clear and within TLS; the server is left politely."""
    with Server(Directory()) as server:
        assert ask(probe("ldap-root", server.port)) == "the root entry exists"
    with Server(Directory(), authority.server("DNS:ldap.example.org")) as server:
        trusted = {"ca_file": str(authority.ca_file), "server_name": "ldap.example.org"}
        assert ask(probe("ldap-root", server.port, tls="tls", **trusted)) == "the root entry exists"
    assert where(probe("ldap-root", 636, tls="tls")) == "ldaps://127.0.0.1:636"


def test_ldap_that_does_not_answer_well() -> None:
    """No entry may pass; no LDAP does not."""
    with Server(Directory(visible=False)) as server:
        error = refusal(probe("ldap-root", server.port))
    assert (error.reason, error.curable) == ("refuses to show its root entry", True)
    for wrong in (b"* OK Dovecot ready", b"0\x84\0\0\0\x07\2\1\1\x42\0\0\0"):
        error = refusal_by(says(wrong), "ldap-root")
        assert error.reason.startswith("does not speak LDAP (")
        assert not error.curable
    assert refusal_by(closes, "ldap-root").reason == "closed the connection"


# For people, and for the small health process


@pytest.mark.parametrize(
    ("question", "address"),
    [
        (probe("ldap", 636, host="ldap.example.org", tls="tls"), "ldaps://ldap.example.org:636"),
        (probe("ldap", 389, tls="starttls"), "ldap://127.0.0.1:389 with STARTTLS"),
        (probe("redis", 6379, host="::1", tls="tls"), "rediss://[::1]:6379"),
        (probe("smtp", 25), "smtp://127.0.0.1:25"),
    ],
)
def test_where_reads_as_an_address(question: Probe, address: str) -> None:
    """Messages name servers as people write them."""
    assert where(question) == address


def test_probes_import_little() -> None:
    """Neither ssl nor ldap3 nor threads are loaded for a plain question."""
    with Server(Lines("220 mail\r\n", {"EHLO": "250 ok\r\n", "QUIT": "221 bye\r\n"})) as server:
        code = f"""
import sys
sys.path.append({str(Path(__file__).parents[2])!r})
from entrypoint.probe import Probe
from entrypoint.probes import ask
ask(Probe(kind="smtp", host="127.0.0.1", port={server.port}))
heavy = {{"ssl", "ldap3", "threading", "encodings.idna", "random", "dataclasses", "pathlib", "json", "typing", "re"}}
print(heavy & set(sys.modules))
"""
        said = subprocess.run([sys.executable, "-ISc", code], check=True, capture_output=True, text=True, timeout=30)
    assert said.stdout == "set()\n"
