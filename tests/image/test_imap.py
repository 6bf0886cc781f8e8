"""imap: Dovecot with a real directory; who gets in, where mail goes, and what is refused."""

from __future__ import annotations

import base64
import imaplib
import json
import poplib
import smtplib
import socket
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal, Self

import pytest

from tests.containers import Container, container, network, prefix, wait_until
from tests.image.directory import (
    ALICE_PASSWORD,
    GROUP,
    HOST,
    READER_PASSWORD,
    SETTINGS,
    directory,
    mounted,
    world_with_members,
)
from tools.demo.world import World

# A test may start two containers, on a busy machine.
pytestmark = [pytest.mark.image, pytest.mark.timeout(300)]

NET = prefix(1)
LDAP_IP = f"{NET}.10"
IMAP = "imap.example.test"
ENV = SETTINGS | {
    "LDAP_HOSTS": f"ldaps://{HOST}:1636",
    "LDAP_GROUP": GROUP,
    "LDAP_CA": "/run/secrets/ca",
    "TLS_CA": "/run/secrets/ca",
    "WAIT_S": "60",
}
SPECIAL_FOLDERS = ("Drafts", "Sent", "Trash", "Junk", "Archive")


@dataclass(frozen=True)
class Neighbours:
    """The directory, and the network that it is in."""

    network: str
    world: World
    ldap: Container

    @contextmanager
    def imap(
        self,
        changes: Mapping[str, str] | None = None,
        options: Sequence[str] = ("--user=5000:0",),
        ldap_ip: str = LDAP_IP,
    ) -> Iterator[Container]:
        """An imap container; in `changes` "" leaves a variable out."""
        env = {key: value for key, value in {**ENV, **(changes or {})}.items() if value}
        at = (f"--network={self.network}", f"--add-host={HOST}:{ldap_ip}")
        with container("imap", "run", "imap", env=env, files=mounted(self.world), options=(*at, *options)) as started:
            yield started


@dataclass(frozen=True)
class Mail:
    """A healthy imap server, spoken to as clients and Exim do: with its certificate verified for its name."""

    server: Container
    world: World

    def tls(self) -> ssl.SSLContext:
        """What trusts the test's authority only."""
        return ssl.create_default_context(cafile=str(self.world.ca_file))

    def password(self, uid: str) -> str:
        """A member's password."""
        return self.world.password(uid)

    def imap(self) -> imaplib.IMAP4:
        """IMAP after STARTTLS, before the login."""
        session = _Named(self.server.address(), 1143)
        session.starttls(self.tls())
        return session

    @contextmanager
    def mailbox(self, address: str, password: str) -> Iterator[imaplib.IMAP4]:
        """IMAP as a member."""
        session = self.imap()
        try:
            _log_in(session, address, password)
            yield session
        finally:
            session.logout()

    def may_log_in(self, name: str, password: str) -> bool:
        """Whether AUTHENTICATE PLAIN, which carries any characters, says OK."""
        session = self.imap()
        try:
            _log_in(session, name, password)
        except imaplib.IMAP4.error as error:
            if "AUTHENTICATIONFAILED" in str(error):
                return False
            raise
        finally:
            session.logout()
        return True

    @contextmanager
    def lmtp(self, sender: str = "") -> Iterator[smtplib.LMTP]:
        """LMTP after STARTTLS, for one message."""
        with smtplib.LMTP(self.server.address(), 2525, timeout=60) as session:
            session._host = IMAP  # type: ignore[attr-defined]
            session.ehlo()
            session.starttls(context=self.tls())
            session.ehlo()
            session.mail(sender)
            yield session

    def deliver(self, recipient: str, *, headers: str = "", size: int = 10, sender: str = "") -> str:
        """Hand over one message; the answer to it, or to RCPT when that is refused."""
        with self.lmtp(sender) as session:
            code, answer = session.rcpt(recipient)
            if code != 250:
                return f"{code} {answer.decode()}"
            lines = ("x" * 70 + "\r\n") * (size // 72 + 1)
            code, answer = session.data(f"{headers}Subject: test\r\n\r\n{lines}".encode())
            return f"{code} {answer.decode()}"

    def count(self, uid: str, folder: str = "INBOX") -> int:
        """How many messages a member has in a folder."""
        with self.mailbox(f"{uid}@example.test", self.password(uid)) as session:
            _, (number,) = session.select(folder, readonly=True)
            assert number is not None
            return int(number)


class _Named(imaplib.IMAP4):
    """IMAP to an address, with the certificate verified for the server's name."""

    def starttls(self, ssl_context: ssl.SSLContext | None = None) -> tuple[Literal["OK"], list[None]]:
        self.host, address = IMAP, self.host
        try:
            return super().starttls(ssl_context)
        finally:
            self.host = address


def _log_in(session: imaplib.IMAP4, name: str, password: str) -> None:
    session.authenticate("PLAIN", lambda _: f"\0{name}\0{password}".encode())


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbours]:
    """A directory with members."""
    world = world_with_members(tmp_path_factory.mktemp("imap") / "world")
    with network(f"{NET}.0/24") as name, ExitStack() as stack:
        options = ("--user=5389:0", f"--network={name}", f"--ip={LDAP_IP}")
        ldap = stack.enter_context(directory(world, options=options))
        ldap.wait_healthy()
        yield Neighbours(name, world, ldap)


@pytest.fixture(scope="module")
def mail(neighbours: Neighbours) -> Iterator[Mail]:
    """A server with the default settings that all tests share; each uses its own member or folder."""
    with neighbours.imap() as server:
        server.wait_healthy()
        yield Mail(server, neighbours.world)


class TestLife:
    """Start, stop, death."""

    def test_it_starts_answers_stops_and_starts_the_same_again(self, neighbours: Neighbours) -> None:
        """Healthy, its lines parsed and without warnings, stopped with 0 within seconds, the same after a restart."""
        with neighbours.imap() as imap:
            imap.wait_healthy()
            rendered = imap.run("cat", "/run/config/dovecot.conf")
            assert imap.run("entrypoint", "health").startswith("healthy: dovecot runs")
            lines = [e for e in imap.events() if e["program"] == "dovecot"]
            assert [e for e in lines if e["process"] == "master" and "starting up" in e["event"]]
            assert not [e for e in imap.events() if e["level"] in ("warning", "error", "critical")]
            code, seconds = imap.stop()
            assert (code, seconds < 5) == (0, True)
            imap.start()
            imap.wait_healthy()
            assert imap.run("cat", "/run/config/dovecot.conf") == rendered

    def test_a_killed_daemon_is_back(self, neighbours: Neighbours) -> None:
        """kill -9 of the master gives another one that serves; the container stays up."""
        with neighbours.imap() as imap:
            imap.wait_healthy()
            before = imap.pid_of("dovecot")
            imap.run("sh", "-c", f"kill -9 {before}")
            wait_until(lambda: imap.pid_of("dovecot") not in (0, before), 10, "another process")
            well = wait_until(lambda: _health(imap), 60, "healthy again")
            assert "after 1 death" in well
            assert Mail(imap, neighbours.world).may_log_in("alice@example.test", ALICE_PASSWORD)

    def test_it_runs_as_nobody_special(self, mail: Mail) -> None:
        """One user, group 0, no setuid file, a root that cannot be written, and no secret where it can be seen."""
        imap = mail.server
        assert imap.run("id", "-u").strip() == "5000"
        assert imap.run("id", "-g").strip() == "0"
        assert imap.run("sh", "-c", "find / -xdev -perm /6000 -type f 2>/dev/null", check=False).strip() == ""
        assert "Read-only file system" in imap.run("touch", "/etc/x", check=False)
        seen = imap.run("sh", "-c", "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline | tr '\\0' '\\n'")
        assert READER_PASSWORD not in seen + imap.logs()
        assert imap.run("stat", "--format=%a", "/run/config/dovecot.conf").strip() == "600"


def _health(imap: Container) -> str:
    said = imap.run("entrypoint", "health", check=False)
    return said if said.startswith("healthy") else ""


class TestLogin:
    """Members with their password, and nobody else."""

    @pytest.mark.parametrize("name", ["alice", "alias", "a.lice+x", "ALIAS"])
    def test_every_address_of_a_member_opens_the_one_mailbox(self, mail: Mail, name: str) -> None:
        """In any case of letters, with a password of any characters, which the LDAP account has as well."""
        assert mail.may_log_in(f"{name}@example.test", ALICE_PASSWORD)
        with mail.mailbox(f"{name}@example.test", ALICE_PASSWORD) as session:
            session.create('"Shared between names"')
            folders = b"\n".join(line for line in session.list()[1] if isinstance(line, bytes))
            assert b'"Shared between names"' in folders

    @pytest.mark.parametrize(
        ("name", "password"),
        [
            ("alice@example.test", "wrong"),
            ("alice@example.test", ALICE_PASSWORD.strip()),
            ("alice@example.test", ""),
            ("alice@example.test", "*"),
            ("alice", ALICE_PASSWORD),
            ("*", ALICE_PASSWORD),
            ("al*@example.test", ALICE_PASSWORD),
            ("*)(mail=*", ALICE_PASSWORD),
            ("alice@example.test)(uid=*", ALICE_PASSWORD),
            ("alice\\40example.test", ALICE_PASSWORD),
            ("%{user}", ALICE_PASSWORD),
            ("nobody@example.test", ALICE_PASSWORD),
        ],
    )
    def test_everything_else_is_refused(self, mail: Mail, name: str, password: str) -> None:
        """Wrong or no password, patterns, parts of filters, unknown people."""
        assert not mail.may_log_in(name, password)

    def test_outside_of_the_group_the_right_password_is_of_no_use(self, mail: Mail) -> None:
        """Being found is not enough."""
        assert mail.may_log_in("bob@example.test", mail.password("bob"))
        assert not mail.may_log_in("carol@example.test", mail.password("carol"))

    def test_a_failed_login_is_logged_with_the_address(self, mail: Mail) -> None:
        """Who, from where and why, as fields."""
        assert not mail.may_log_in("bob@example.test", "wrong")
        found = wait_until(
            lambda: [e for e in mail.server.events() if e.get("process") == "imap-login" and "error" in e],
            10,
            "the line is there",
        )
        assert {"user", "address", "error"} <= found[-1].keys()
        assert found[-1]["address"].startswith(f"{NET}.")

    def test_failures_of_others_behind_one_address_delay_nobody(self, mail: Mail) -> None:
        """Docker's gateway may be everybody's address: no penalty for it."""
        listeners = mail.server.run("ls", "/run/dovecot")
        assert "anvil" in listeners
        assert "anvil-auth-penalty" not in listeners


class TestTls:
    """No password in the clear, and the certificate that Exim and members expect."""

    def test_before_tls_there_is_no_login(self, mail: Mail) -> None:
        """Not from the container network either, and clients can know it from the capabilities."""
        session = imaplib.IMAP4(mail.server.address(), 1143)
        assert {"STARTTLS", "LOGINDISABLED"} <= set(session.capabilities)
        assert "AUTH=PLAIN" not in session.capabilities
        with pytest.raises(imaplib.IMAP4.error, match="PRIVACYREQUIRED"):
            session.login("bob@example.test", mail.password("bob"))
        session.logout()

    def test_tls_from_the_first_byte(self, mail: Mail) -> None:
        """IMAPS with the certificate of its name."""
        with (
            socket.create_connection((mail.server.address(), 1993), timeout=20) as sock,
            mail.tls().wrap_socket(sock, server_hostname=IMAP) as encrypted,
        ):
            assert encrypted.recv(100).startswith(b"* OK")
            assert encrypted.version() == "TLSv1.3"

    def test_the_levels(self, neighbours: Neighbours, mail: Mail) -> None:
        """modern: 1.3 for members, and still 1.2 for servers; intermediate: both for both."""
        assert _newest(mail, 1993, ssl.TLSVersion.TLSv1_2) == "TLSv1.2"
        with neighbours.imap({"TLS_LEVEL": "modern"}) as imap:
            imap.wait_healthy()
            modern = Mail(imap, neighbours.world)
            assert _newest(modern, 1993, ssl.TLSVersion.TLSv1_3) == "TLSv1.3"
            with pytest.raises(ssl.SSLError):
                _newest(modern, 1993, ssl.TLSVersion.TLSv1_2)
            context = modern.tls()
            context.maximum_version = ssl.TLSVersion.TLSv1_2
            with smtplib.LMTP(imap.address(), 2525) as session:
                session._host = IMAP  # type: ignore[attr-defined]
                session.ehlo()
                assert session.starttls(context=context)[0] == 220


def _newest(mail: Mail, port: int, version: ssl.TLSVersion) -> str | None:
    context = mail.tls()
    context.maximum_version = version
    with (
        socket.create_connection((mail.server.address(), port), timeout=20) as sock,
        context.wrap_socket(sock, server_hostname=IMAP) as encrypted,
    ):
        return encrypted.version()


class TestMailbox:
    """What a member finds."""

    def test_special_folders_are_there_and_marked(self, mail: Mail) -> None:
        """Made and subscribed, with the flags of RFC 6154."""
        with mail.mailbox("bob@example.test", mail.password("bob")) as session:
            listed, subscribed = session.list()[1], session.lsub()[1]
        for folder in SPECIAL_FOLDERS:
            assert any(isinstance(line, bytes) and f"\\{folder}) ".encode() in line for line in listed), folder
            assert any(isinstance(line, bytes) and line.endswith(folder.encode()) for line in subscribed), folder

    def test_what_clients_look_for_is_offered(self, mail: Mail) -> None:
        """After the login."""
        with mail.mailbox("bob@example.test", mail.password("bob")) as session:
            offered = session.capability()[1][-1]
        wanted = {b"IDLE", b"SPECIAL-USE", b"QUOTA", b"MOVE", b"CONDSTORE", b"UIDPLUS", b"NAMESPACE", b"LIST-STATUS"}
        assert wanted <= set(offered.split())

    def test_names_of_folders_may_have_dots(self, mail: Mail) -> None:
        """The dot means nothing to members, whatever it means on the disk."""
        with mail.mailbox("bob@example.test", mail.password("bob")) as session:
            assert session.create('"Mr. X/v1.0"')[0] == "OK"
            assert b'"Mr. X/v1.0"' in b"\n".join(line for line in session.list()[1] if isinstance(line, bytes))

    def test_idle_tells_of_new_mail(self, mail: Mail) -> None:
        """Also when the idle session was handed to the process that all idle ones share."""
        with mail.mailbox("Unlimited@example.test", mail.password("Unlimited")) as session:
            session.select("INBOX")
            session.send(b"x IDLE\r\n")
            assert session.readline().startswith(b"+")
            wait_until(lambda: _processes(mail, "imap-hibernate") and not _processes(mail, "imap"), 60, "hibernated")
            assert mail.deliver("unlimited@example.test").startswith("250")
            told = session.readline()
            while told.startswith(b"* OK Still here"):  # now and then, so that routers remember the connection
                told = session.readline()
            assert b"EXISTS" in told
            session.send(b"DONE\r\n")
            while not session.readline().startswith(b"x OK"):
                pass


def _processes(mail: Mail, name: str) -> list[str]:
    lines = mail.server.run("sh", "-c", "cat /proc/[0-9]*/comm 2>/dev/null", check=False).split()
    return [line for line in lines if line == name]


class TestDelivery:
    """LMTP, as Exim speaks it."""

    @pytest.mark.parametrize("name", ["alice", "alias", "ALIAS", "alice+list"])
    def test_mail_for_any_address_reaches_the_one_mailbox(self, mail: Mail, name: str) -> None:
        """Primary address, alias, any case, and with a detail behind a plus."""
        before = mail.count("alice")
        assert mail.deliver(f"{name}@example.test").startswith("250")
        assert mail.count("alice") == before + 1

    @pytest.mark.parametrize("name", ["nobody", "carol", "*", "al*", "alice)(uid=*"])
    def test_others_are_refused_for_good(self, mail: Mail, name: str) -> None:
        """Unknown, not in the group, or a pattern: 550 at RCPT, and the next recipient is still accepted."""
        with mail.lmtp() as session:
            assert session.rcpt(f'"{name}"@example.test')[0] == 550
            assert session.rcpt("alice@example.test")[0] == 250

    def test_a_full_mailbox_is_refused_at_rcpt(self, mail: Mail) -> None:
        """By the quota of the directory entry, and only the full one's."""
        assert mail.deliver("bob@example.test", size=2_000_000).startswith("250")
        assert mail.deliver("bob@example.test").startswith("552 5.2.2")
        assert mail.deliver("alice@example.test").startswith("250")
        with mail.mailbox("bob@example.test", mail.password("bob")) as session:
            assert b" 1024)" in _quota(session)

    def test_without_a_quota_in_the_directory_the_default_counts(self, mail: Mail) -> None:
        """1 GiB for alice, whose entry has none; none for the one whose entry says 0."""
        with mail.mailbox("alice@example.test", ALICE_PASSWORD) as session:
            assert b" 1048576)" in _quota(session)
        with mail.mailbox("unlimited@example.test", mail.password("Unlimited")) as session:
            assert b"STORAGE" not in _quota(session)

    def test_marked_spam_goes_to_junk(self, mail: Mail) -> None:
        """By either header, and only when it says so."""
        for headers, folder in (
            ("X-Spam-Flag: YES\r\n", "Junk"),
            ("X-Spam: Yes\r\n", "Junk"),
            ("X-Spam-Flag: NO\r\n", "INBOX"),
        ):
            before = mail.count("alice", folder)
            assert mail.deliver("alice@example.test", headers=headers).startswith("250")
            assert mail.count("alice", folder) == before + 1, headers

    @pytest.mark.parametrize("alias", ["up", "inside"])
    def test_no_address_is_a_way_into_another_folder(self, mail: Mail, alias: str) -> None:
        """Members whose primary address has a slash or dots are not found."""
        uid = {"up": "../../../tmp/up", "inside": "alice/Maildir"}[alias]
        assert not mail.may_log_in(f"{alias}@example.test", mail.password(uid))
        assert mail.deliver(f"{alias}@example.test").startswith("550")

    def test_each_mailbox_has_its_folder(self, mail: Mail) -> None:
        """DOMAIN/USER in small letters, closed to others, with a maildir in it."""
        assert mail.deliver("alice@example.test").startswith("250")
        assert mail.server.run("find", "/var/vmail", "-mindepth", "3", "-maxdepth", "3", "-name", "Maildir").split()
        found = mail.server.run("find", "/var/vmail", "-mindepth", "1", "-maxdepth", "1").split()
        assert found == ["/var/vmail/example.test"]
        assert mail.server.run("stat", "--format=%a", "/var/vmail/example.test/alice").strip() == "700"


def _quota(session: imaplib.IMAP4) -> bytes:
    _, (_, limits) = session.getquotaroot("INBOX")
    return b"".join(line for line in limits if isinstance(line, bytes))


class TestSieve:
    """ManageSieve, and the scripts that come in by it."""

    def test_a_script_is_stored_activated_and_sorts(self, mail: Mail) -> None:
        """Before TLS there is no login here either; a script with a mistake is refused."""
        with _Sieve(mail, "alice@example.test", ALICE_PASSWORD) as sieve:
            assert "no such command" not in sieve.before_tls.lower()
            assert '"SASL" ""' in sieve.before_tls
            script = 'require "fileinto";\r\nif header :is "X-List" "a" { fileinto "Archive"; }\r\n'
            assert sieve.put("sort", script).startswith("OK")
            assert sieve.put("broken", 'require "nonsense";').startswith("NO")
            assert sieve.ask('SETACTIVE "sort"').startswith("OK")
            before = mail.count("alice", "Archive")
            assert mail.deliver("alice@example.test", headers="X-List: a\r\n").startswith("250")
            assert mail.count("alice", "Archive") == before + 1
            assert sieve.ask('SETACTIVE ""').startswith("OK")

    def test_what_scripts_send_leaves_through_the_smarthost(self, neighbours: Neighbours) -> None:
        """A redirect and a vacation reply, over TLS with the smarthost's name verified."""
        script = 'require "vacation";\r\nredirect "x@outside.test";\r\nvacation "Away";\r\n'
        smarthost = {"EXIM_SMARTHOST_HOST": "sink.outside.test", "EXIM_SMARTHOST_PORT": "25"}
        options = (f"--network={neighbours.network}", f"--ip={NET}.99", "--tmpfs=/sink:mode=1777")
        at = (f"--add-host=sink.outside.test:{NET}.99", "--user=5000:0")
        with ExitStack() as stack:
            sink = stack.enter_context(container("sink", files=mounted(neighbours.world), options=options))
            imap = stack.enter_context(neighbours.imap(smarthost, at))
            sink.wait_healthy()
            imap.wait_healthy()
            mail = Mail(imap, neighbours.world)
            with _Sieve(mail, "alice@example.test", ALICE_PASSWORD) as sieve:
                assert sieve.put("away", script).startswith("OK")
                assert sieve.ask('SETACTIVE "away"').startswith("OK")
            headers = "From: <y@outside.test>\r\nTo: <alice@example.test>\r\nMessage-ID: <1@outside.test>\r\n"
            assert mail.deliver("alice@example.test", headers=headers, sender="y@outside.test").startswith("250")
            came = json.loads(sink.run("sink", "messages"))
            assert [message["rcpt_tos"] for message in came] == [["x@outside.test"], ["y@outside.test"]], came
            assert all(message["tls"] for message in came), came

    def test_switched_off_it_leaves_no_trace(self, neighbours: Neighbours) -> None:
        """Neither in the file nor on the port, and POP3 is off anyway."""
        with neighbours.imap({"ENABLE_MANAGESIEVE": "0"}) as imap:
            imap.wait_healthy()
            rendered = imap.run("cat", "/run/config/dovecot.conf")
            assert "managesieve" not in rendered
            assert "pop3" not in rendered
            assert not {":4190", ":1110", ":1995"} & _open_ports(imap)


class _Sieve:
    """ManageSieve (RFC 5804) after STARTTLS and login."""

    def __init__(self, mail: Mail, user: str, password: str) -> None:
        self._sock: socket.socket = socket.create_connection((mail.server.address(), 4190), timeout=30)
        self.before_tls = self._reply()
        assert self.ask("STARTTLS").startswith("OK")
        self._sock = mail.tls().wrap_socket(self._sock, server_hostname=IMAP)
        self._reply()
        token = base64.b64encode(f"\0{user}\0{password}".encode()).decode()
        assert self.ask(f'AUTHENTICATE "PLAIN" "{token}"').startswith("OK")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._sock.close()

    def put(self, name: str, script: str) -> str:
        return self.ask(f'PUTSCRIPT "{name}" {{{len(script)}+}}\r\n{script}')

    def ask(self, command: str) -> str:
        self._sock.sendall(f"{command}\r\n".encode())
        return self._reply().splitlines()[-1] if command != "STARTTLS" else self._reply()

    def _reply(self) -> str:
        """Everything up to the line that begins with OK, NO or BYE; what follows NO is not looked at."""
        text = b""
        while not any(line.startswith((b"OK", b"NO", b"BYE")) for line in text.splitlines()) or text[-1:] != b"\n":
            data = self._sock.recv(4096)
            assert data, f"closed after {text!r}"
            text += data
        lines = text.decode().splitlines()
        last = next(i for i, line in enumerate(lines) if line.startswith(("OK", "NO", "BYE")))
        return "\n".join(lines[: last + 1])


def _open_ports(imap: Container) -> set[str]:
    """The ports that something listens on, as `:4190`."""
    lines = imap.run("cat", "/proc/net/tcp", "/proc/net/tcp6").splitlines()
    listening = [fields[1] for fields in map(str.split, lines) if fields[3:4] == ["0A"]]
    return {f":{int(local.rpartition(':')[2], 16)}" for local in listening}


class TestChoices:
    """What settings change."""

    def test_pop3_is_there_when_it_is_wanted(self, neighbours: Neighbours) -> None:
        """STLS and TLS, with the same logins; none in the clear."""
        with neighbours.imap({"ENABLE_POP3": "1"}) as imap:
            imap.wait_healthy()
            mail = Mail(imap, neighbours.world)
            assert mail.deliver("alice@example.test").startswith("250")
            plain = poplib.POP3(imap.address(), 1110)
            with pytest.raises(poplib.error_proto):
                plain.user("alice@example.test")
            plain.quit()
            context = mail.tls()
            context.check_hostname = False  # poplib has no name to check when it is given an address
            session = poplib.POP3_SSL(imap.address(), 1995, context=context)
            session.user("alice@example.test")
            session.pass_(ALICE_PASSWORD)
            assert session.stat()[0] == 1
            session.quit()

    def test_the_other_format_of_the_store(self, neighbours: Neighbours) -> None:
        """Mail arrives all the same, and no maildir is made; the default quota is another as well."""
        changes = {"DOVECOT_MAILBOX_FORMAT": "sdbox", "MAILBOX_SIZE_LIMIT": "0", "MESSAGE_SIZE_LIMIT": "1M"}
        with neighbours.imap(changes) as imap:
            imap.wait_healthy()
            mail = Mail(imap, neighbours.world)
            assert mail.deliver("alice@example.test").startswith("250")
            assert mail.count("alice") == 1
            assert "Maildir" not in imap.run("find", "/var/vmail")
            with mail.mailbox("alice@example.test", ALICE_PASSWORD) as session:
                assert b"STORAGE" not in _quota(session)
            assert not mail.deliver("alice@example.test", size=2_000_000).startswith("250")

    def test_starttls_at_the_directory(self, neighbours: Neighbours) -> None:
        """The other way to it, and a second server that takes over for one that is away."""
        hosts = f"ldap://{NET}.66:1389 ldap://{HOST}:1389"
        with neighbours.imap({"LDAP_HOSTS": hosts}) as imap:
            imap.wait_healthy()
            mail = Mail(imap, neighbours.world)
            assert mail.may_log_in("alias@example.test", ALICE_PASSWORD)
            assert not mail.may_log_in("carol@example.test", mail.password("carol"))
            assert mail.deliver("alias@example.test").startswith("250")

    def test_login_without_a_mailbox(self, neighbours: Neighbours) -> None:
        """The two filters are two things: who is found by the first only may log in, but gets no mail."""
        nobody = "(&(uid=nobody)(mail=%u))"
        with neighbours.imap({"LDAP_USER_FILTER": nobody}) as imap:
            imap.wait_healthy()
            assert Mail(imap, neighbours.world).deliver("alice@example.test").startswith("550")
        with neighbours.imap({"LDAP_PASS_FILTER": nobody}) as imap:
            imap.wait_healthy()
            mail = Mail(imap, neighbours.world)
            assert mail.deliver("alice@example.test").startswith("250")
            assert not mail.may_log_in("alice@example.test", ALICE_PASSWORD)


class TestDirectoryAway:
    """An outage of the directory, with Dovecot running."""

    def test_it_is_told_as_temporary_and_over_with_the_directory_back(self, neighbours: Neighbours) -> None:
        """No refusal for good, no wrong password; and nobody has to restart anything."""
        options = ("--user=5389:0", f"--network={neighbours.network}", f"--ip={NET}.11")
        with directory(neighbours.world, options=options) as ldap, ExitStack() as stack:
            ldap.wait_healthy()
            imap = stack.enter_context(neighbours.imap(ldap_ip=f"{NET}.11"))
            imap.wait_healthy()
            mail = Mail(imap, neighbours.world)
            assert mail.deliver("alice@example.test").startswith("250")
            ldap.stop()
            assert mail.deliver("alice@example.test").startswith("451")
            session = mail.imap()
            with pytest.raises(imaplib.IMAP4.error, match="UNAVAILABLE"):
                _log_in(session, "alice@example.test", ALICE_PASSWORD)
            session.logout()
            ldap.start()
            ldap.wait_healthy()
            wait_until(lambda: mail.deliver("alice@example.test").startswith("250"), 60, "mail is delivered again")


WRONG = [
    ({"DOMAIN": ""}, "DOMAIN is missing"),
    ({"LDAP_HOSTS": ""}, "LDAP_HOSTS is missing"),
    ({"LDAP_GROUP": ""}, "LDAP_GROUP"),
    ({"LDAP_PASS_FILTER": "(mail=%u"}, "LDAP_PASS_FILTER"),
    ({"LDAP_USER_FILTER": "(mail=%{env:LDAP_PASSWORD})"}, "LDAP_USER_FILTER"),
    ({"LDAP_HOSTS": f"ldaps://{HOST} ldap://{HOST}"}, "LDAP_HOSTS"),
    ({"ENABLE_POP3": "perhaps"}, "ENABLE_POP3"),
    ({"MAILBOX_SIZE_LIMIT": "much"}, "MAILBOX_SIZE_LIMIT"),
    ({"DOVECOT_MAILBOX_FORMAT": "mbox"}, "DOVECOT_MAILBOX_FORMAT"),
    ({"IMAP_HOST": "other.example.com"}, "it is not for other.example.com"),
    ({"TLS_KEY": "/run/secrets/none"}, "TLS_KEY"),
    ({"LDAP_BASE": "ou=nowhere,dc=example,dc=test"}, "LDAP_BASE"),
    ({"LDAP_USER": "cn=other,dc=example,dc=test"}, "LDAP_USER"),
    ({"LDAP_CA": "/etc/ssl/certs/ca-certificates.crt"}, "LDAP_CA"),
]


@pytest.mark.parametrize(("change", "named"), WRONG)
def test_wrong_settings_end_with_78(neighbours: Neighbours, change: dict[str, str], named: str) -> None:
    """What waiting cannot cure ends at once, and the last words name the variable, but no secret."""
    with neighbours.imap(change) as imap:
        assert imap.wait_end() == 78
        assert named in imap.logs()
        assert READER_PASSWORD not in imap.logs()


def test_another_user_than_the_image_was_made_for_is_refused(neighbours: Neighbours) -> None:
    """Dovecot would fail late, with words about sockets."""
    with neighbours.imap(options=("--user=5001:0", "--tmpfs=/var/vmail:mode=1777")) as imap:
        assert imap.wait_end() == 78
        assert "vmail_uid" in imap.logs()


def test_a_volume_that_cannot_be_written_is_refused(neighbours: Neighbours) -> None:
    """With its path, before anything else is tried."""
    with neighbours.imap(options=("--user=5000:0", "--tmpfs=/var/vmail:mode=0755,uid=0,gid=1")) as imap:
        assert imap.wait_end() == 78
        assert "/var/vmail" in imap.logs()


def test_a_directory_that_is_away_ends_with_69(neighbours: Neighbours) -> None:
    """What waiting could have cured ends when the time is over."""
    with neighbours.imap({"LDAP_HOSTS": f"ldaps://{NET}.66:1636", "WAIT_S": "2"}) as imap:
        assert imap.wait_end() == 69
        assert "cannot reach ldap" in imap.logs()
