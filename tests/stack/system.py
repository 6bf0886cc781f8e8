"""The whole system for tests: the compose file as its own project, in a world of its own, and ways to talk to it.

What clients are answered is a value here, not an exception: tests are about refusals as much as about success.
"""

from __future__ import annotations

import imaplib
import itertools
import json
import os
import re
import signal
import ssl
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

from tests.containers import Container, container, docker, wait_until
from tests.stack import recording
from tests.stack.clients import MX, SOMEONE, Answer, Door, Session, encoded
from tools.demo.people import Member
from tools.demo.settings import DEMO_ENV, moved, read_env
from tools.demo.stack import Stack
from tools.demo.world import OUTSIDE, World, make_world

# What shells, templates, filters and the daemons' own syntaxes could take for something else.
HOSTILE = "/&\\|$%\"'{} #"
PASSWORDS = {"LDAP_PASSWORD": HOSTILE, "alice": f"{HOSTILE}äöüß€"}
MEMBERS = (
    Member("alice", aliases=("sales",)),
    Member("bob", aliases=("info",)),
    Member("carol", may_mail=False),
    Member("dave", quota_mb=1),
    Member("erin"),
    Member("health"),
)
# The relay of tests/stack/relay.py, a domain that does not exist, and one whose server refuses everybody.
RELAY = f"relay.{OUTSIDE}"
RELAY_PLACE = 98
UNKNOWN_DOMAIN = "unknown.test"
REFUSING_DOMAIN = "refusing.test"
HEALTH_MAILBOX = "health@example.test"
MADE = ("/var/lib/passwords/REDIS_PASSWORD", *(f"/var/lib/rspamd/RSPAM{name}_password" for name in ("", "_enable")))
CHANGES = {
    "LOG_FORMAT": "json",
    "MESSAGE_SIZE_LIMIT": "3M",
    "POSTGREY_DELAY": "1",
    "HEALTH_INTERVAL": "4s",
    "HEALTH_MAILBOX": HEALTH_MAILBOX,
}
EXIMS = ("exim-external", "exim-int-mailout", "exim-ext-mailout")


@dataclass
class System:
    """A running stack."""

    stack: Stack
    world: World
    # Passwords that tests have invented; they must not be in a log either.
    more_secrets: list[str] = field(default_factory=list)
    # Further containers, and what those have said that are gone.
    twins: list[Container] = field(default_factory=list)
    old_logs: dict[str, str] = field(default_factory=dict)
    first_starts: dict[str, datetime] = field(default_factory=dict)
    _ports: dict[Door, tuple[str, int]] = field(default_factory=dict)
    _places: Iterator[int] = field(default_factory=lambda: itertools.count(150))

    # --- services

    def up(self) -> None:
        """Start what does not run; ToolError where that does not become healthy."""
        self.stack.up(say=print)
        self._ports.clear()  # the engine chooses new ones
        self.first_starts = self.first_starts or {name: self._started(name) for name in self.services()}

    def _started(self, name: str) -> datetime:
        return datetime.fromisoformat(self.service(name).state()["StartedAt"][:19]).replace(tzinfo=UTC)

    def service(self, name: str) -> Container:
        """The container of a service."""
        return Container(f"{self.stack.project}-{name}-1")

    def services(self) -> list[str]:
        """The names of all services that run."""
        return sorted(self.stack.containers())

    def place(self, host: int) -> str:
        """The address with this number in the stack's network."""
        return str(IPv4Network(self.stack.settings["MAIL_NETWORK"])[host])

    @contextmanager
    def stopped(self, name: str) -> Iterator[None]:
        """A time without this service; healthy again afterwards."""
        service = self.service(name)
        try:
            assert service.stop()[0] == 0
            yield
        finally:
            self.started(name)

    def started(self, name: str) -> None:
        """Start a service again and wait until it is well, by its own word: the engine asks it only now and then."""
        service = self.service(name)
        service.start()
        self._ports.clear()  # the engine chooses new ones
        wait_until(lambda: is_well(service), 90, f"{name} is healthy")

    @contextmanager
    def twin(
        self,
        service: str,
        changes: Mapping[str, str] | None = None,
        files: Mapping[str, Path] | None = None,
        options: Sequence[str] = (),
    ) -> Iterator[Container]:
        """A further container like that of `service`, but for some variables, files and options of docker's.

        It has an address of its own in the same network, and an empty volume of its own.
        """
        model = json.loads(docker("inspect", self.service(service).name))[0]
        # A name without a value is one that Compose had no value for.
        env = dict(line.split("=", 1) for line in model["Config"]["Env"] if "=" in line)
        mounts = {each["Destination"]: Path(each["Source"]) for each in model["Mounts"] if each["Type"] == "bind"}
        image = model["Config"]["Image"].removeprefix("postern-").partition(":")[0]
        here = [f"--user={model['Config']['User'] or '5025:0'}", *self.network_options(self.place(next(self._places)))]
        with container(
            image,
            *model["Config"]["Cmd"],
            env={**env, **(changes or {})},
            files={**mounts, **(files or {})},
            options=[*here, *options],
        ) as started:
            self.twins.append(started)
            try:
                yield started
            finally:
                self.twins.remove(started)
                self.old_logs[f"{service} ({started.name})"] = started.logs()

    def network_options(self, address: str) -> list[str]:
        """Docker's options for a place in the stack's network."""
        settings = self.stack.settings
        return [f"--network={self.stack.project}_mail", f"--ip={address}", f"--dns={settings['DNSMASQ_IP']}"]

    # --- SMTP

    def where(self, door: Door) -> tuple[str, int]:
        """Host and port for clients on this machine."""
        if door not in self._ports:
            self._ports[door] = self.stack.port(door.service, door.port)
        return self._ports[door]

    def tls(self) -> ssl.SSLContext:
        """TLS that believes the world's authority only."""
        return ssl.create_default_context(cafile=str(self.world.ca_file))

    @contextmanager
    def smtp(self, door: Door, at: tuple[str, int] | None = None) -> Iterator[Session]:
        """A session after EHLO, behind TLS as the door has it; `at` is another place than the published one."""
        host, port = at or self.where(door)
        with Session(host, port, self.tls() if door.tls == "tls" else None) as session:
            yield session.behind_tls(self.tls()) if door.tls == "starttls" else session

    @contextmanager
    def member(self, door: Door, uid: str) -> Iterator[Session]:
        """A session of a member who has logged in."""
        with self.smtp(door) as session:
            code, text = session.logged_in(self.world.address(uid), self.world.password(uid))
            assert code == 235, f"{door}: {uid} is answered {code} {text}"
            yield session

    def come_in(self, mail: EmailMessage | bytes, *recipients: str, sender: str = SOMEONE) -> Answer:
        """What the MX answers to a message of the world."""
        with self.smtp(MX) as session:
            return session.submitted(sender, list(recipients), mail)

    # --- mailboxes, the world, queues

    @contextmanager
    def imap(self, uid: str) -> Iterator[imaplib.IMAP4_SSL]:
        """A member's session over IMAPS. (imaplib's own login knows ASCII only.)"""
        host, port = self.where(Door("imap", 1993, "tls"))
        user, password = self.world.address(uid), self.world.password(uid)
        with imaplib.IMAP4_SSL(host, port, ssl_context=self.tls(), timeout=60) as session:
            session.authenticate("PLAIN", lambda _challenge: f"\0{user}\0{password}".encode())
            yield session

    def received(self, uid: str, mail: EmailMessage, folder: str = "INBOX", within_s: float = 60) -> EmailMessage:
        """The message as the member finds it, as soon as it is there."""
        with self.imap(uid) as session:
            name = f"{mail[identity(mail)]} in {folder} of {uid}"
            return parsed(wait_until(lambda: found_in(session, folder, mail), within_s, name) or b"")

    def has(self, uid: str, mail: EmailMessage, folder: str = "INBOX") -> bool:
        """Whether the message is there now."""
        with self.imap(uid) as session:
            return found_in(session, folder, mail) is not None

    def sink(self) -> list[dict[str, Any]]:
        """All that the world got (see images/sink)."""
        found: list[dict[str, Any]] = json.loads(self.service("sink").run("sink", "messages"))
        return found

    def arrived(self, mail: EmailMessage, within_s: float = 60) -> dict[str, Any]:
        """What the world got and found out about it, as soon as it is there."""
        name = mail["Message-ID"]
        return wait_until(
            lambda: next((each for each in self.sink() if each["message_id"] == name), {}), within_s, f"{name} outside"
        )

    def as_it_arrived(self, mail: EmailMessage) -> EmailMessage:
        """The message itself, as the world got it."""
        raw = self.service("sink").run("sink", "message", self.arrived(mail)["id"])
        return parsed(raw.encode(errors="surrogateescape"))

    def queue(self, service: str) -> str:
        """Exim's list of what waits; "" for nothing."""
        return self.service(service).run("exim4", "-bp")

    def hurry(self, service: str) -> None:
        """Try everything in the queue now, whatever its time."""
        self.service(service).run("exim4", "-qff")

    # --- logs

    def logs_since(self, when: str = "") -> dict[str, str]:
        """What every container of the stack has said, from a time on (RFC 3339)."""
        since = ("--since", when) if when else ()
        containers = {name: self.service(name) for name in self.services()} | {twin.name: twin for twin in self.twins}
        return {name: docker("logs", *since, container.name, check=False) for name, container in containers.items()}

    def secrets(self) -> dict[str, str]:
        """Every secret there is, by name: what nobody may ever read in a log."""
        files = {path.name: path.read_text() for path in sorted((self.world.folder / "secrets").iterdir())}
        texts = {name: text for name, text in files.items() if "CERTIFICATE" not in text}
        members = {f"password of {member.uid}": self.world.password(member.uid) for member in self.world.members}
        logins = {
            f"login of {member.uid}": encoded(
                f"\0{self.world.address(member.uid)}\0{self.world.password(member.uid)}".encode()
            )
            for member in self.world.members
        }
        made = self.made_passwords()
        more = {f"secret {number}": text for number, text in enumerate(self.more_secrets, 1)}
        return {name: heart(text) for name, text in (texts | members | logins | made | more).items()}

    def made_passwords(self) -> dict[str, str]:
        """The passwords that nobody has given: mail-redis and rspam make them, and rspam has them all."""
        said = self.service("rspam").run("head", "-v", *MADE, check=False)
        return dict(re.findall(r"==> \S+/(\w+) <==\n(\S+)\n", said))


def is_well(service: Container) -> bool:
    """Whether the service's health check says so now."""
    return service.run("entrypoint", "health", check=False).startswith("healthy")


def identity(mail: EmailMessage) -> str:
    """The header by which the message is found again."""
    return next(name for name in ("Message-ID", "References", "X-Test") if name in mail)


def found_in(session: imaplib.IMAP4, folder: str, mail: EmailMessage) -> bytes | None:
    """The message, if it is in the folder now."""
    assert session.select(folder, readonly=True)[0] == "OK"
    name = identity(mail)
    numbers = session.search(None, "HEADER", name, f'"{mail[name]}"')[1][0].split()
    if not numbers:
        return None
    content = session.fetch(numbers[0].decode(), "(BODY.PEEK[])")[1][0]
    assert isinstance(content, tuple)
    return content[1].replace(b"\r\n", b"\n")  # as Python's messages are


def parsed(raw: bytes) -> EmailMessage:
    """A message as programs see it."""
    return message_from_bytes(raw, policy=policy.default)


def heart(secret: str) -> str:
    """The secret itself; of a key in PEM, a line of its middle."""
    lines = secret.strip("\n").splitlines()
    return lines[len(lines) // 2] if "PRIVATE KEY" in lines[0] else secret


def forms(secret: str) -> set[str]:
    """How a secret may look in the output of a program."""
    escaped = {json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1], repr(secret)[1:-1]}
    return {secret, encoded(secret.encode())} | escaped


def leaks(text: str, secrets: Mapping[str, str]) -> list[str]:
    """The names of the secrets that are in the text."""
    # Docker's own {} and the like are shorter than any secret of ours.
    return [name for name, secret in secrets.items() if any(form in text for form in forms(secret))]


def without_secrets(text: str, secrets: Mapping[str, str]) -> str:
    """The text to be shown."""
    for name, secret in secrets.items():
        for form in sorted(forms(secret), key=len, reverse=True):
            text = text.replace(form, f"[{name}]")
    return text


# --- the life of a stack


def make_system(folder: Path) -> System:
    """The world, and the stack that is going to run in it."""
    settings = moved(read_env(DEMO_ENV), project=f"postern-stack-{os.getpid()}", folder=folder, network=free_network())
    world = make_world(folder, settings, MEMBERS, PASSWORDS)
    system = System(Stack({**settings, **CHANGES}, recording.compose_files(folder)), world)
    lines = (
        f"host-record={RELAY},plain.{OUTSIDE},{system.place(RELAY_PLACE)}",
        f"mx-host={REFUSING_DOMAIN},{RELAY},10",
        # Known not to exist: without this line dnsmasq, which has nobody to ask, refuses to say.
        f"local=/{UNKNOWN_DOMAIN}/",
    )
    more = folder / "dnsmasq.d" / "tests.conf"
    more.write_text("".join(f"{line}\n" for line in lines))
    more.chmod(0o644)
    return system


def free_network() -> str:
    """A network of 256 addresses that no other of this machine's container networks has."""
    ids = docker("network", "ls", "--quiet").split()
    taken = docker("network", "inspect", "--format", "{{range .IPAM.Config}}{{.Subnet}} {{end}}", *ids, check=False)
    used = [IPv4Network(word) for word in taken.split() if re.fullmatch(r"[\d.]+/\d+", word)]
    # Tests that begin at the same time begin at different places.
    candidates = (IPv4Network(f"198.19.{(os.getpid() + number) % 256}.0/24") for number in range(256))
    return str(next(one for one in candidates if not any(one.overlaps(other) for other in used)))


def remove_left_overs() -> None:
    """Remove the stacks of tests that were killed before they could do it."""
    names = docker("volume", "ls", "--quiet").split()
    projects = {
        match[1]: int(match[2]) for name in names if (match := re.match(r"(postern-stack-(\d+)[a-z-]*)_", name))
    }
    for project, pid in projects.items():
        if not Path(f"/proc/{pid}").exists():
            remove(project)


def remove(project: str) -> None:
    """Remove all that a project has, at once and whoever interrupts."""
    kinds = {"container": ("--all", "rm", "--force", "--volumes"), "network": ("", "rm"), "volume": ("", "rm")}
    with uninterrupted():
        for kind, (option, *removal) in kinds.items():
            ask = ["docker", kind, "ls", "--quiet", "--filter", f"label=com.docker.compose.project={project}"]
            # A session of their own: Ctrl-C reaches all programs of a terminal's session.
            found = subprocess.run(
                [*ask, *option.split()], capture_output=True, text=True, start_new_session=True, check=True
            )
            if names := found.stdout.split():
                # Now and then an engine of 20.10 thinks that somebody is still in a network who is gone, for ever. It
                # is in nobody's way, as each stack looks for a range of its own.
                subprocess.run(
                    ["docker", kind, *removal, *names],
                    capture_output=True,
                    start_new_session=True,
                    check=kind != "network",
                )


@contextmanager
def uninterrupted() -> Iterator[None]:
    """A time without Ctrl-C and SIGTERM."""
    before = {one: signal.signal(one, signal.SIG_IGN) for one in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)
