"""fetchmail: mail of real mailboxes at a real server elsewhere, scanned by a real rspamd, into real mailboxes here.

The provider is an imap server with accounts of its own; ours is another one. Whatever goes wrong, the message is in one
of the two places.
"""

from __future__ import annotations

import imaplib
import json
import os
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from email.policy import SMTP
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.containers import Container, container, docker, network, prefix, wait_until
from tests.image.directory import ALICE_PASSWORD, GROUP, HOST, SETTINGS, directory, mounted, world_with_members
from tests.image.test_rspam import GTUBE
from tools.demo.people import Member
from tools.demo.world import World

# A module of five containers, on a busy machine.
pytestmark = [pytest.mark.image, pytest.mark.timeout(300)]

NET = prefix(6)
OURS, PROVIDER = "imap.example.test", "mail.example.test"  # both names are in the certificate
PLACES = {HOST: 10, OURS: 5, PROVIDER: 55, "imap.elsewhere.test": 55, "nobody.example.test": 99}
HOSTS = tuple(f"--add-host={name}:{NET}.{place}" for name, place in PLACES.items())
IMAP_ENV = SETTINGS | {
    "LDAP_HOSTS": f"ldaps://{HOST}:1636",
    "LDAP_GROUP": GROUP,
    "LDAP_CA": "/run/secrets/ca",
    "TLS_CA": "/run/secrets/ca",
    "ENABLE_POP3": "yes",
}
FETCH_ENV = {
    "DOMAIN": "example.test",
    "IMAP_HOST": OURS,
    "RSPAM_IP": f"{NET}.6",
    "TLS_CA": "/run/secrets/ca",
    "FETCHMAIL_CA": "/run/secrets/ca",
    "FETCHMAIL_ACCOUNTS_FILE": "/run/secrets/FETCHMAIL_ACCOUNTS",
    # Longer than any test: they ask for each round.
    "FETCHMAIL_POLL": "3600",
    "LOG_FORMAT": "json",
    "WAIT_S": "60",
}
RSPAM_ENV = {
    "DOMAIN": "example.test",
    "REDIS_IP": f"{NET}.4",
    "REDIS_PASSWORD": "redis",
    "RSPAM_MAPS_ONLINE": "no",
    "RSPAM_DNS_LISTS": "no",
}
# Who has a mailbox at the provider, and another one here.
THERE, HERE = "alice@example.test", "here@example.test"
NO_TRUST = "no connection: Server certificate verification error"
PASSWORD = ALICE_PASSWORD  # of characters that fetchmailrc, shells and IMAP each take for something else


@dataclass
class Server:
    """An imap server, spoken to as its members and as a sender do."""

    container: Container
    name: str
    ca_file: Path

    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.ca_file))

    @contextmanager
    def mailbox(self, user: str, password: str) -> Iterator[imaplib.IMAP4]:
        session = _Named(self.container.address(), 1143)
        session.name = self.name
        session.starttls(self.tls())
        session.authenticate("PLAIN", lambda _: f"\0{user}\0{password}".encode())
        try:
            yield session
        finally:
            session.logout()

    def put(self, user: str, password: str, message: EmailMessage) -> None:
        """One message into a mailbox, as it is."""
        with self.mailbox(user, password) as session:
            assert session.append("INBOX", "", "", message.as_bytes(policy=SMTP))[0] == "OK"

    def messages(self, user: str, password: str, folder: str = "INBOX") -> list[bytes]:
        """All of a folder, each whole; they stay as unread as they are."""
        with self.mailbox(user, password) as session:
            if session.select(folder, readonly=True)[0] != "OK":
                return []
            numbers = session.search(None, "ALL")[1][0].split()
            found: list[Any] = [session.fetch(number.decode(), "(BODY.PEEK[])")[1][0] for number in numbers]
            return [each[1] for each in found]

    def empty(self, user: str, password: str, *folders: str) -> None:
        with self.mailbox(user, password) as session:
            for folder in folders or ("INBOX",):
                found, count = session.select(folder)
                if found == "OK" and count != [b"0"]:
                    session.store("1:*", "+FLAGS", "\\Deleted")
                    session.expunge()


class _Named(imaplib.IMAP4):
    """IMAP to an address, with the certificate verified for the server's name."""

    name = ""

    def starttls(self, ssl_context: ssl.SSLContext | None = None) -> tuple[Literal["OK"], list[None]]:
        self.host, address = self.name, self.host
        try:
            return super().starttls(ssl_context)
        finally:
            self.host = address


@dataclass
class Neighbours:
    """Everything but fetchmail."""

    network: str
    world: World
    provider: Server
    ours: Server
    rspam: Container
    here: str  # the password of HERE

    def there(self) -> list[bytes]:
        return self.provider.messages(THERE, PASSWORD)

    def arrived(self, folder: str = "INBOX") -> list[bytes]:
        return self.ours.messages(HERE, self.here, folder)

    @contextmanager
    def fetchmail(self, accounts: str, **changes: str) -> Iterator[Fetching]:
        file = self.world.folder / f"accounts-{len(list(self.world.folder.iterdir()))}"
        file.write_text(accounts)
        files = {"/run/secrets/ca": self.world.ca_file, "/run/secrets/FETCHMAIL_ACCOUNTS": file}
        options = (f"--network={self.network}", "--user=5110:0", *HOSTS)
        env = {name: value for name, value in {**FETCH_ENV, **changes}.items() if value}
        with container("fetchmail", "run", "fetchmail", env=env, files=files, options=options) as running:
            yield Fetching(running, file)


@dataclass
class Fetching:
    """The service, a round at a time."""

    container: Container
    accounts: Path

    def round(self) -> dict[str, str]:
        """Why mailboxes were not fetched, by title, after one more round by hand, as the supervisor would run it."""
        plan = json.loads(wait_until(self._plan, 60, f"the service has started: {self.container.logs()}"))
        program = next(each for each in plan["programs"] if each["name"] == "fetchmail")
        env = [f"{name}={value}" for name, value in program["env"].items()]
        self.said = self.container.run("env", "-i", *env, *program["argv"])
        if folder := os.environ.get("POSTERN_RECORD"):  # for tools.golden
            with Path(folder, "fetchmail.txt").open("a") as file:
                file.write(self.said)
        return self.reasons()

    def _plan(self) -> str:
        said = self.container.run("entrypoint", "plan", check=False)
        return said if said.startswith("{") else ""

    def reasons(self) -> dict[str, str]:
        status = json.loads(self.container.run("cat", "/run/fetchmail/status.json"))
        return {each["title"]: each["reason"] for each in status["mailboxes"]}


def account(server: str = f"imaps://{PROVIDER}:1993", then: str = "delete", to: str = HERE, password: str = "") -> str:
    return f"{to}  {then}  {server}  {THERE}:{password or PASSWORD}\n"


def message(subject: str, body: str = "Hello.") -> EmailMessage:
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = "Sender <sender@example.net>", THERE, subject
    made["Message-ID"] = f"<{subject.replace(' ', '.')}@example.net>"
    made["Return-Path"] = "<sender@example.net>"
    made["X-Spam-Flag"] = "YES"  # says the sender
    made.set_content(body)
    return made


def subjects(messages: list[bytes]) -> list[str]:
    return sorted(line[9:].decode() for each in messages for line in each.splitlines() if line.startswith(b"Subject: "))


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbours]:
    members = (Member("here"),)
    folder = tmp_path_factory.mktemp("fetchmail") / "world"
    world = world_with_members(folder, members)
    with network(f"{NET}.0/24") as net, ExitStack() as stack:

        def at(place: int, user: int) -> tuple[str, ...]:
            return f"--network={net}", f"--ip={NET}.{place}", f"--user={user}:0", *HOSTS

        started = stack.enter_context
        ldap = started(directory(world, options=at(PLACES[HOST], 5389)))
        redis = started(container("redis", env=RSPAM_ENV, options=at(4, 5063)))
        ldap.wait_healthy()
        redis.wait_healthy()
        files = mounted(world)
        provider = started(
            container("imap", env=IMAP_ENV | {"IMAP_HOST": PROVIDER}, files=files, options=at(PLACES[PROVIDER], 5000))
        )
        ours = started(container("imap", env=IMAP_ENV, files=files, options=at(PLACES[OURS], 5000)))
        rspam = started(container("rspamd", env=RSPAM_ENV, options=at(6, 5011)))
        for each in (provider, ours, rspam):
            each.wait_healthy()
        places = (Server(provider, PROVIDER, world.ca_file), Server(ours, OURS, world.ca_file))
        yield Neighbours(net, world, *places, rspam, world.password("here"))


@pytest.fixture
def mail(neighbours: Neighbours) -> Neighbours:
    """All mailboxes empty, and one message at the provider."""
    neighbours.provider.empty(THERE, PASSWORD)
    neighbours.ours.empty(HERE, neighbours.here, "INBOX", "Junk")
    neighbours.provider.put(THERE, PASSWORD, message("one"))
    return neighbours


class TestFetching:
    """What goes well."""

    @pytest.mark.parametrize(
        "server",
        [f"imaps://{PROVIDER}:1993", f"imap://{PROVIDER}:1143", f"pop3s://{PROVIDER}:1995", f"pop3://{PROVIDER}:1110"],
    )
    def test_mail_arrives_and_is_deleted_there(self, mail: Neighbours, server: str) -> None:
        """With TLS from the first byte or after STARTTLS; what the member has read there already comes as well."""
        mail.provider.put(THERE, PASSWORD, message("two"))
        with mail.provider.mailbox(THERE, PASSWORD) as session:
            session.select()
            session.store("1", "+FLAGS", "\\Seen")
        with mail.fetchmail(account(server)) as fetching:
            assert fetching.round() == {f"{THERE} at {PROVIDER}": ""}
            assert subjects(mail.arrived()) == ["one", "two"]
            assert mail.there() == []
            assert fetching.round() == {f"{THERE} at {PROVIDER}": ""}  # no mail is no failure
            fetching.container.wait_healthy()
            health = fetching.container.run("entrypoint", "health")
            assert health.strip() == "healthy: the job fetchmail runs now and then"

    @pytest.mark.parametrize("server", [f"imaps://{PROVIDER}:1993", f"pop3s://{PROVIDER}:1995"])
    def test_what_is_kept_there_comes_once(self, mail: Neighbours, server: str) -> None:
        with mail.fetchmail(account(server, then="keep")) as fetching:
            for _ in range(2):
                assert fetching.round() == {f"{THERE} at {PROVIDER}": ""}
                assert subjects(mail.arrived()) == subjects(mail.there()) == ["one"]

    def test_the_first_round_begins_by_itself(self, mail: Neighbours) -> None:
        with mail.fetchmail(account(), FETCHMAIL_POLL="30"):
            wait_until(lambda: subjects(mail.arrived()) == ["one"], 60, "mail")

    def test_spam_is_marked_for_junk_and_marks_of_others_count_for_nothing(self, mail: Neighbours) -> None:
        """Also of the worst, which an MX would refuse: here is nobody to refuse it to."""
        mail.provider.put(THERE, PASSWORD, message("spam", GTUBE))
        with mail.fetchmail(account()) as fetching:
            assert fetching.round() == {f"{THERE} at {PROVIDER}": ""}
        assert subjects(mail.arrived("Junk")) == ["spam"]
        (ham,) = mail.arrived()
        assert b"X-Spam-Flag" not in ham
        assert b"Return-Path: <sender@example.net>" in ham

    def test_the_message_is_as_it_was(self, mail: Neighbours) -> None:
        """Lines that begin with dots or From, long ones, and eight bits."""
        body = ".\n..\nFrom here on\n" + "x" * 900 + "\nünï ☺\n"
        made = message("whole", "")
        made.set_content(body, cte="8bit")
        mail.provider.empty(THERE, PASSWORD)
        mail.provider.put(THERE, PASSWORD, made)
        with mail.fetchmail(account()) as fetching:
            fetching.round()
        (found,) = mail.arrived()
        assert found.partition(b"\r\n\r\n")[2].decode() == body.replace("\n", "\r\n")


class TestTrouble:
    """What goes wrong: told, and nothing lost."""

    @pytest.mark.parametrize(
        ("accounts", "changes", "why"),
        [
            (account(password="wrong"), {}, "the login is refused; is the password right?"),
            (account(to="nobody@example.test"), {}, "a message stays there: 550 5.1.1 <nobody@example.test> User"),
            (account("imaps://imap.elsewhere.test:1993"), {}, f"{NO_TRUST}: hostname mismatch"),
            (account(), {"FETCHMAIL_CA": ""}, f"{NO_TRUST}: unable to get local issuer certificate"),
            (account("imaps://nobody.example.test:1993"), {}, "no connection"),
            (account("imaps://unknown.example.test:1993"), {}, "the name of the server is not known"),
            (account(f"pop3://{PROVIDER}:1143"), {}, "the server does not speak as it should"),
            (account(), {"MESSAGE_SIZE_LIMIT": "64K"}, "a message stays there: it is larger than 65536 bytes"),
        ],
        ids=["password", "recipient", "name", "authority", "away", "unknown", "protocol", "size"],
    )
    def test_the_message_stays_there(self, mail: Neighbours, accounts: str, changes: dict[str, str], why: str) -> None:
        """With the reason for people; the health check warns, and has no other answer."""
        if "MESSAGE_SIZE_LIMIT" in changes:
            mail.provider.empty(THERE, PASSWORD)
            mail.provider.put(THERE, PASSWORD, message("one", ("x" * 70 + "\n") * 1000))
        with mail.fetchmail(accounts, LOOK_S="1", **changes) as fetching:
            ((title, found),) = fetching.round().items()
            assert why in found, fetching.said
            warning = f"healthy, but: cannot fetch {title} since 0 minutes: {why}"
            wait_until(lambda: warning in fetching.container.run("entrypoint", "health"), 30, "the warning")
            assert PASSWORD not in fetching.container.logs() + fetching.said
        assert subjects(mail.there()) == ["one"]
        assert mail.arrived() == mail.arrived("Junk") == []

    @pytest.mark.parametrize("server", [f"imaps://{PROVIDER}:1993", f"pop3s://{PROVIDER}:1995"])
    def test_a_message_that_stays_there_holds_up_none_behind_it(self, mail: Neighbours, server: str) -> None:
        mail.provider.empty(THERE, PASSWORD)
        mail.provider.put(THERE, PASSWORD, message("large", ("x" * 70 + "\n") * 1000))
        mail.provider.put(THERE, PASSWORD, message("small"))
        with mail.fetchmail(account(server), MESSAGE_SIZE_LIMIT="64K") as fetching:
            for _ in range(2):
                assert "larger than" in "".join(fetching.round().values()), fetching.said
        assert subjects(mail.there()) == ["large"]
        assert subjects(mail.arrived()) == ["small"]

    def test_one_that_fails_holds_up_no_other_one(self, mail: Neighbours) -> None:
        accounts = account("imaps://nobody.example.test:1993") + account()
        with mail.fetchmail(accounts) as fetching:
            assert [why for why in fetching.round().values() if not why]
        assert subjects(mail.arrived()) == ["one"]

    def test_without_a_verdict_or_a_store_it_stays_there_and_comes_later(self, mail: Neighbours) -> None:
        with mail.fetchmail(account()) as fetching:
            fetching.container.wait_healthy()
            for server, why in ((mail.rspam, "rspamd gives no verdict"), (mail.ours.container, "does not take it")):
                server.stop()
                try:
                    (found,) = fetching.round().values()
                    assert why in found
                    assert subjects(mail.there()) == ["one"]
                finally:
                    server.start()
                    server.wait_healthy()
            assert list(fetching.round().values()) == [""]
        assert subjects(mail.arrived()) == ["one"]
        assert mail.there() == []

    def test_a_changed_file_is_taken_for_the_next_round(self, mail: Neighbours) -> None:
        with mail.fetchmail(account(password="wrong")) as fetching:
            assert list(fetching.round().values()) == ["the login is refused; is the password right?"]
            fetching.accounts.write_text(account())
            wait_until(lambda: list(fetching.round().values()) == [""], 30, "the new password is used")
        assert subjects(mail.arrived()) == ["one"]


# Speaks IMAP without STARTTLS, and writes down what it is told.
WITHOUT_TLS = """
import socketserver
class Imap(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"* OK hello\\r\\n")
        for line in self.rfile:
            open("/tmp/told", "ab").write(line)
            if b"CAPABILITY" in line:
                self.wfile.write(b"* CAPABILITY IMAP4rev1 AUTH=PLAIN AUTH=LOGIN\\r\\n")
            if b"STARTTLS" in line:
                self.wfile.write(line.split()[0] + b" BAD what?\\r\\n")
                continue
            self.wfile.write(line.split()[0] + b" OK done\\r\\n")
socketserver.TCPServer(("127.0.0.1", 1143), Imap).serve_forever()
"""


def test_a_server_without_tls_is_told_no_password(mail: Neighbours) -> None:
    with mail.fetchmail(account("imap://127.0.0.1:1143")) as fetching:
        docker("exec", "--detach", fetching.container.name, "python3", "-c", WITHOUT_TLS)

        def told_in_a_round() -> str:
            assert all(fetching.round().values())
            said = fetching.container.run("cat", "/tmp/told", check=False)
            return said if "CAPABILITY" in said else ""

        told = wait_until(told_in_a_round, 30, "a conversation")
        assert "LOGIN" not in told
        assert "AUTHENTICATE" not in told


class TestSettings:
    """What is refused at the start."""

    @pytest.mark.parametrize(
        ("accounts", "told"),
        [
            ("# none yet\n", "cannot find a mailbox to fetch"),
            (account(to="x@example.net"), "FETCHMAIL_ACCOUNTS has mail for x@example.net, who is in no domain of"),
            (account() + "alice@example.test\n", "has a line 2 that is not: recipient delete|keep imaps://server"),
        ],
    )
    def test_by_the_line(self, mail: Neighbours, accounts: str, told: str) -> None:
        with mail.fetchmail(accounts) as fetching:
            assert fetching.container.wait_end() == 78
            assert told in fetching.container.logs()
            assert PASSWORD not in fetching.container.logs()
        assert subjects(mail.there()) == ["one"]

    def test_no_secret_is_where_it_can_be_seen(self, mail: Neighbours) -> None:
        with mail.fetchmail(account("imaps://nobody.example.test:1993")) as fetching:
            fetching.container.wait_healthy()
            run = fetching.container.run
            assert run("stat", "--format=%a", "/run/config/fetchmailrc").strip() == "600"
            seen = run("sh", "-c", "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline /run/entrypoint/plan.json")
            assert "entrypoint" in seen
            assert PASSWORD not in seen
