"""Each service's reload with its real daemon: what is good is taken, what is bad is not, and who is connected stays."""

from __future__ import annotations

import shutil
import smtplib
import ssl
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.containers import Container, docker, wait_until
from tests.image.test_exim import PASSWORD, Neighbours, neighbourhood
from tools.demo import keys

pytestmark = [pytest.mark.image, pytest.mark.timeout(300)]

NAMES = [f"DNS:{name}.example.test" for name in ("imap", "mail", "smtp", "mailout", "smarthost", "ldap")]


@dataclass(frozen=True)
class Daemon:
    """How a service is run here; `port` has TLS from the first byte, `stays`: a reload keeps its process."""

    image: str
    user: int
    program: str
    port: int = 0
    stays: bool = True


DAEMONS = {
    "exim-external": Daemon("exim", 5025, "exim", 1465),
    "exim-ext-mailout": Daemon("exim", 5025, "exim", 1465),
    "imap": Daemon("imap", 5000, "dovecot", 1993),
    "ldap": Daemon("ldap", 5389, "slapd", 1636, stays=False),
    "mail-dnsmasq": Daemon("dnsmasq", 5053, "dnsmasq"),
    "mail-redis": Daemon("redis", 5063, "redis", stays=False),
    "rspam": Daemon("rspamd", 5011, "rspamd"),
}


@dataclass(frozen=True)
class Place:
    """A healthy container whose files are its own."""

    container: Container
    around: Neighbours
    daemon: Daemon

    @property
    def secrets(self) -> Path:
        """The folder on the host whose files are mounted."""
        return self.around.world.folder / "secrets"

    def reload(self) -> tuple[int, str]:
        """The code and the line of `entrypoint reload`."""
        told = self.container.run("sh", "-c", "entrypoint reload; echo $?", check=False).splitlines()
        return int(told[-1]), "\n".join(told[:-1])

    def reloaded(self) -> str:
        """The line of a reload that is good."""
        code, line = self.reload()
        assert code == 0, line
        return line

    def serial(self) -> int:
        """The number of the certificate that clients are shown; 0 while nobody listens."""
        try:
            pem = ssl.get_server_certificate((self.container.address(), self.daemon.port), timeout=10)
        except OSError:
            return 0
        return number(pem)

    def pid(self) -> int:
        """The daemon's process."""
        return self.container.pid_of(self.daemon.program)

    def is_well(self) -> bool:
        """Whether the health check says so, warnings aside."""
        return self.container.run("entrypoint", "health", check=False).startswith("healthy")

    def renew(self) -> int:
        """Write another certificate and its key into the mounted files; its number."""
        certificate, key = another(self.around.world.folder)
        overwrite(self.secrets / "server.pem", certificate)
        overwrite(self.secrets / "server.key", key)
        return number(certificate)


def another(folder: Path) -> tuple[str, str]:
    """A certificate of the world's authority, and its key."""
    keys.make_certificate(folder, NAMES)
    return (folder / "server.pem").read_text(), (folder / "server.key").read_text()


def number(pem: str) -> int:
    """A certificate's serial number."""
    done = subprocess.run(
        ["openssl", "x509", "-noout", "-serial"], input=pem, capture_output=True, text=True, check=True
    )
    return int(done.stdout.strip().removeprefix("serial="), 16)


def overwrite(file: Path, text: str) -> None:
    """Other content in the same file, as `cat > file` does; what replaces the file is not seen in a container."""
    file.write_text(text)


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbours]:
    """What the services need around them."""
    with neighbourhood(tmp_path_factory.mktemp("reload") / "world") as around:
        yield around


@pytest.fixture
def around(neighbours: Neighbours, tmp_path: Path) -> Neighbours:
    """The neighbours, for containers whose mounted files are a copy that a test may change."""
    folder = tmp_path / "world"
    shutil.copytree(neighbours.world.folder, folder)
    return replace(neighbours, world=replace(neighbours.world, folder=folder))


@contextmanager
def running(around: Neighbours, service: str, files: Mapping[str, Path] | None = None) -> Iterator[Place]:
    """A healthy container of a service."""
    daemon = DAEMONS[service]
    with around.neighbour(daemon.image, service, daemon.user, files=files) as container:
        container.wait_healthy()
        yield Place(container, around, daemon)


class TestCertificate:
    @pytest.fixture(params=["exim-external", "imap", "ldap"])
    def place(self, request: pytest.FixtureRequest, around: Neighbours) -> Iterator[Place]:
        """Each kind of service that shows a certificate."""
        with running(around, request.param) as place:
            yield place

    def test_good_ones_are_taken_and_bad_ones_are_not(self, place: Place) -> None:
        """A new pair is served; a foreign key, a wrong order, half a file are refused with the old pair in use."""
        pid = place.pid()
        new = place.renew()
        assert place.reloaded().startswith("changed: /run/tls/pair.pem; ")
        wait_until(lambda: place.serial() == new, 10, "the new certificate is served")
        assert (place.pid() == pid) == place.daemon.stays
        assert place.is_well()
        assert place.reloaded() == "nothing has changed"

        key = (place.secrets / "server.key").read_text()
        overwrite(place.secrets / "server.key", another(place.around.world.folder)[1])
        code, why = place.reload()
        assert code == 78
        assert "TLS_KEY=/run/secrets/letsencrypt-privkey, the key is that of another certificate" in why
        overwrite(place.secrets / "server.key", key)

        certificate = (place.secrets / "server.pem").read_text()
        for bad, word in (
            (certificate + another(place.around.world.folder)[0], "not issued it"),
            (certificate[:100], "TLS_"),
        ):
            overwrite(place.secrets / "server.pem", bad)
            code, why = place.reload()
            assert (code, word in why) == (78, True), why
        assert place.serial() == new
        shown = place.container.run("entrypoint", "health", check=False)
        assert "was refused: " in shown
        assert shown.startswith("healthy")
        assert "everything stays as it was" in place.container.logs()

        new = place.renew()
        place.reloaded()
        wait_until(lambda: place.serial() == new, 10, "the next certificate is served")
        assert "refused" not in place.container.run("entrypoint", "health", check=False)

    def test_a_renewal_is_noticed(self, place: Place) -> None:
        """Without being asked for, within seconds; what it leaves is for nobody else's eyes."""
        new = place.renew()
        wait_until(lambda: place.serial() == new, 30, "the new certificate is served")
        assert place.container.run("sh", "-c", "ls -d /run/entrypoint/aside 2>&1 || true").endswith(
            "No such file or directory\n"
        )
        assert place.container.run("sh", "-c", "find /run/tls /run/entrypoint -type f -perm /077") == ""


def test_a_swapped_link_is_noticed_and_a_replaced_file_is_not(around: Neighbours, tmp_path: Path) -> None:
    """Kubernetes swaps a link in a mounted folder; a mounted single file that is replaced stays the old one."""
    folder = tmp_path / "mounted"
    for name in ("one", "two"):
        (folder / name).mkdir(parents=True)
        certificate, key = another(around.world.folder)
        for file, text in (("tls.crt", certificate), ("tls.key", key)):
            (folder / name / file).write_text(text)
    for path in (tmp_path, folder, *folder.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    (folder / "..data").symlink_to("one")
    changes = {"TLS_CERTIFICATE": "/mounted/..data/tls.crt", "TLS_KEY": "/mounted/..data/tls.key"}
    mount = f"--volume={folder}:/mounted:ro"
    with around.exim("exim-external", spool=mount, **changes) as exim:
        exim.wait_healthy()
        place = Place(exim, around, DAEMONS["exim-external"])
        assert place.serial() == number((folder / "one/tls.crt").read_text())
        (folder / "new").symlink_to("two")
        (folder / "new").rename(folder / "..data")
        wait_until(lambda: place.serial() == number((folder / "two/tls.crt").read_text()), 30, "the swap is noticed")
        password = place.secrets / "LDAP_PASSWORD"
        (place.secrets / "new").write_text("another")
        (place.secrets / "new").rename(password)
        assert exim.run("cat", "/run/secrets/LDAP_PASSWORD") == PASSWORD
        assert place.reloaded() == "nothing has changed"


class TestSecrets:
    def test_exim_keeps_its_ports_and_its_sessions(self, around: Neighbours) -> None:
        """A session that is open over a reload goes on; what comes later uses the new password."""
        with running(around, "exim-external") as place:
            with smtplib.SMTP(place.container.address(), 1025, timeout=30) as session:
                session.ehlo()
                session.mail("someone@outside.test")
                overwrite(place.secrets / "LDAP_PASSWORD", "another one $x")
                assert place.reloaded().endswith("; exim gets SIGHUP")
                wait_until(lambda: "re-exec daemon" in place.container.logs(), 10, "it reads its configuration again")
                assert session.rcpt("alice@example.test")[0] == 250  # with the old password: it began with that
            assert place.container.run("grep", "-c", "another", "/run/config/exim.conf").strip() != "0"
            # The directory does not know it: new sessions are asked to come again.
            wait_until(lambda: rcpt(place, "alice@example.test") == 451, 10, "the new password is used")
            overwrite(place.secrets / "LDAP_PASSWORD", PASSWORD)
            place.reloaded()
            wait_until(lambda: rcpt(place, "alice@example.test") == 250, 10, "the old password is used again")
            assert "another one" not in place.container.logs()

    def test_a_dkim_key(self, around: Neighbours) -> None:
        """Another key is copied; a file that is none is refused."""
        with running(around, "exim-ext-mailout") as place:
            file = place.secrets / "dkim.key"
            keys.make_dkim_key(around.world.folder)
            overwrite(file, (around.world.folder / "dkim.key").read_text())
            assert place.reloaded() == "changed: /run/tls/dkim/example.test.pem; exim gets SIGHUP"
            assert place.container.run("cat", "/run/tls/dkim/example.test.pem") == file.read_text()
            overwrite(file, "nothing")
            code, why = place.reload()
            assert (code, "DKIM_KEYS=/run/secrets/dkim-privkey: it has no private key" in why) == (78, True)

    def test_rspamd_takes_another_password(self, around: Neighbours, tmp_path: Path) -> None:
        """Its workers are new ones, its process is the same; own configuration that is wrong is refused."""
        own = tmp_path / "rspamd.d"
        own.mkdir()
        own.chmod(0o755)
        files = {"/etc/postern/rspamd.d": own}
        with running(around, "rspam", files=files) as place:
            pid = place.pid()
            overwrite(place.secrets / "REDIS_PASSWORD", "an0ther")
            assert place.reloaded().endswith("; rspamd gets SIGHUP")
            wait_until(lambda: "an0ther" in rspamd_config(place), 60, "new workers with the new password")
            wait_until(place.is_well, 60, "it answers")
            assert place.pid() == pid
            (own / "wrong.conf").write_text("options { max_message = {{{; }")
            code, why = place.reload()
            assert (code, "/run/entrypoint" in why) == (78, False), why
            (own / "wrong.conf").write_text("options { dns { timeout = 7s; } }")
            assert place.reloaded() == "changed: /etc/postern/rspamd.d; rspamd gets SIGHUP"

    def test_redis_keeps_what_it_knows(self, around: Neighbours) -> None:
        """Another password needs a restart; the data stay."""
        with running(around, "mail-redis") as place:
            old = (place.secrets / "REDIS_PASSWORD").read_text()
            assert redis(place, old, "SET", "x", "kept") == "OK"
            overwrite(place.secrets / "REDIS_PASSWORD", "an0ther")
            assert place.reloaded().endswith("; redis is restarted")
            wait_until(lambda: redis(place, "an0ther", "GET", "x") == "kept", 20, "the new password is used")
            # redis-cli tells of the login on one output, and of the command that it tries all the same on the other.
            assert any(word in redis(place, old, "GET", "x") for word in ("WRONGPASS", "NOAUTH"))
            assert place.is_well()


class TestDns:
    @pytest.fixture
    def dns(self, around: Neighbours, tmp_path: Path) -> Iterator[tuple[Place, Path, Path]]:
        """The server, its folder of hosts and that of records."""
        hosts, records = tmp_path / "hosts.d", around.world.folder / "dnsmasq.d"
        hosts.mkdir()
        hosts.chmod(0o755)
        records.chmod(0o755)
        with running(around, "mail-dnsmasq", files={"/etc/postern/hosts.d": hosts}) as place:
            yield place, hosts, records

    def test_hosts_records_and_nonsense(self, dns: tuple[Place, Path, Path]) -> None:
        """Hosts need a signal, records a restart; nonsense is refused and the server goes on."""
        place, hosts, records = dns
        pid = place.pid()
        write(hosts / "more", "192.0.2.1 more.example.test\n")
        assert place.reloaded() == "changed: /etc/postern/hosts.d; dnsmasq gets SIGHUP"
        wait_until(lambda: "192.0.2.1" in ask(place, "more.example.test"), 10, "the new host is known")
        assert place.pid() == pid
        write(records / "more.conf", "host-record=record.example.test,192.0.2.2\n")
        assert place.reloaded() == "changed: /etc/postern/dnsmasq.d; dnsmasq is restarted"
        wait_until(lambda: "192.0.2.2" in ask(place, "record.example.test"), 10, "the new record is known")
        pid = place.pid()
        write(records / "more.conf", "nonsense\n")
        code, why = place.reload()
        assert (code, "/etc/postern/dnsmasq.d/more.conf" in why) == (78, True), why
        assert place.pid() == pid
        assert "192.0.2.2" in ask(place, "record.example.test")


def write(file: Path, text: str) -> None:
    """A file that containers may read."""
    file.write_text(text)
    file.chmod(0o644)


def rcpt(place: Place, recipient: str) -> int:
    """What the MX answers to a recipient; 0 while it does not listen."""
    try:
        with smtplib.SMTP(place.container.address(), 1025, timeout=30) as session:
            session.ehlo()
            session.mail("someone@outside.test")
            return session.rcpt(recipient)[0]
    except (OSError, smtplib.SMTPException):
        return 0


def rspamd_config(place: Place) -> str:
    """What the daemon's files say of Redis."""
    return place.container.run("rspamadm", "configdump", "redis", check=False)


def redis(place: Place, password: str, *command: str) -> str:
    """Redis's answer."""
    told = place.container.run("redis-cli", "--no-auth-warning", "-a", password, *command, check=False)
    return told.strip().splitlines()[-1]


ASK = "import socket, sys; print({a[4][0] for a in socket.getaddrinfo(sys.argv[1], None)})"


def ask(place: Place, name: str) -> str:
    """The addresses of a name, by this server."""
    dns = f"--dns={place.container.address()}"
    image = docker("inspect", "--format", "{{.Config.Image}}", place.container.name).strip()
    network = f"--network={place.around.network}"
    return docker("run", "--rm", network, dns, "--entrypoint", "python3", image, "-c", ASK, name, check=False)
