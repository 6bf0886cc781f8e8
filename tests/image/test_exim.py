"""Each Exim role alone, with the real neighbours that it waits for: directory, DNS, rspamd."""

from __future__ import annotations

import json
import shutil
import smtplib
import ssl
from base64 import b64decode
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.containers import Container, container, network, prefix, wait_until
from tools.demo import keys
from tools.demo.world import World, make_world

pytestmark = pytest.mark.image

NET = prefix(0)
PASSWORD = "/&\\|$%\"'{} #ü"
SETTINGS = {
    "DOMAIN": "example.test",
    "MAIL_NETWORK": f"{NET}.0/24",
    "IMAP_IP": f"{NET}.5",
    "EXIM_EXTERNAL_IP": f"{NET}.3",
    "EXIM_INT_MAILOUT_IP": f"{NET}.9",
    "EXIM_EXT_MAILOUT_IP": f"{NET}.8",
    "REDIS_IP": f"{NET}.4",
    "RSPAM_IP": f"{NET}.6",
    "CLAMAV_IP": f"{NET}.7",
    "DNSMASQ_IP": f"{NET}.31",
    "LDAP_IP": f"{NET}.10",
    "SINK_IP": f"{NET}.99",
    "LDAP_HOSTS": "ldaps://ldap.example.test:1636",
    "LDAP_USER": "cn=postern,dc=example,dc=test",
    "LDAP_BASE": "ou=people,dc=example,dc=test",
    "LDAP_GROUP": "cn=mail,ou=groups,dc=example,dc=test",
    "LDAP_CA": "/run/secrets/ca",
    "TLS_CA": "/run/secrets/ca",
    "EXIM_DKIM_SELECTOR": "demo",
    "DNS_UPSTREAM": "none",
    "RSPAM_MAPS_ONLINE": "no",
    "RSPAM_DNS_LISTS": "no",
    "WAIT_S": "60",
    "LOG_FORMAT": "json",
}
NEIGHBOURS = (
    ("dnsmasq", "mail-dnsmasq", 5053, "DNSMASQ_IP"),
    ("redis", "mail-redis", 5063, "REDIS_IP"),
    ("ldap", "ldap", 5389, "LDAP_IP"),
    ("rspamd", "rspam", 5011, "RSPAM_IP"),
)
RELAY = "relay.provider.test"
SEND = """
import email.utils, smtplib, sys
host, sender, recipient = sys.argv[1:]
lines = (f"From: {sender}", f"To: {recipient}", f"Date: {email.utils.formatdate()}", "Message-ID: <1@outside.test>",
         "Subject: Hello", "", "How are you?", "")
with smtplib.SMTP(host, 1025, timeout=60) as smtp:
    smtp.sendmail(sender, [recipient], "\\r\\n".join(lines))
"""
ROLES = {"exim-external": 1025, "exim-int-mailout": 1587, "exim-ext-mailout": 1025}


@dataclass(frozen=True)
class Neighbours:
    """What an Exim role needs around it."""

    network: str
    world: World

    @contextmanager
    def exim(self, role: str, *, spool: str = "", **changes: str) -> Iterator[Container]:
        """A role with the settings above and `changes`; "" leaves a variable out."""
        env = {key: value for key, value in {**self.env(), **changes}.items() if value}
        spool = spool or "--volume=/var/spool/exim"
        options = ["--user=5025:0", spool, *self.at()]
        with container("exim", "run", role, env=env, files=self.files(), options=options) as started:
            yield started

    @contextmanager
    def neighbour(
        self, image: str, service: str, user: int, address: str = "", files: Mapping[str, Path] | None = None
    ) -> Iterator[Container]:
        """One of the services around Exim, at its address or any other, with these files as well."""
        options = [f"--user={user}:0", *self.at(SETTINGS.get(address, ""))]
        mounts = self.files() | dict(files or {})
        with container(image, "run", service, env=self.env(), files=mounts, options=options) as started:
            yield started

    def at(self, address: str = "") -> list[str]:
        """Docker's options for a place in the network, or any place in it."""
        place = [f"--ip={address}"] if address else []
        return [f"--network={self.network}", *place, f"--dns={SETTINGS['DNSMASQ_IP']}"]

    def env(self) -> dict[str, str]:
        """The settings, with the secrets as files."""
        names = ("LDAP_PASSWORD", "REDIS_PASSWORD")
        return SETTINGS | {f"{name}_FILE": f"/run/secrets/{name}" for name in names}

    def files(self) -> dict[str, Path]:
        """The secrets as compose mounts them."""
        secrets = self.world.folder / "secrets"
        return {
            "/run/secrets/ca": self.world.ca_file,
            "/run/secrets/letsencrypt-fullchain": secrets / "server.pem",
            "/run/secrets/letsencrypt-privkey": secrets / "server.key",
            "/run/secrets/dkim-privkey": secrets / "dkim.key",
            "/run/secrets/LDAP_PASSWORD": secrets / "LDAP_PASSWORD",
            "/run/secrets/REDIS_PASSWORD": secrets / "REDIS_PASSWORD",
            "/etc/postern/members.ldif": self.world.folder / "members.ldif",
            "/etc/postern/dnsmasq.d": self.world.folder / "dnsmasq.d",
        }


@pytest.fixture(scope="module")
def neighbours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbours]:
    """What an Exim role needs, healthy."""
    with neighbourhood(tmp_path_factory.mktemp("exim") / "world") as around:
        yield around


@contextmanager
def neighbourhood(folder: Path) -> Iterator[Neighbours]:
    """Directory, DNS, Redis and rspamd, healthy, with a world in this folder."""
    world = make_world(folder, SETTINGS, passwords={"LDAP_PASSWORD": PASSWORD, "REDIS_PASSWORD": "s0me password"})
    # A relay that DNS knows by another name in the end, as large providers have it.
    records = (f"host-record=edge.{RELAY},{SETTINGS['SINK_IP']}", f"cname={RELAY},edge.{RELAY}")
    (world.folder / "dnsmasq.d" / "relay.conf").write_text("".join(f"{record}\n" for record in records))
    with network(SETTINGS["MAIL_NETWORK"]) as name, ExitStack() as stack:
        around = Neighbours(name, world)
        started = [stack.enter_context(around.neighbour(*one)) for one in NEIGHBOURS]
        for one in started:
            one.wait_healthy()
        yield around


@pytest.fixture(scope="module", params=ROLES)
def running(request: pytest.FixtureRequest, neighbours: Neighbours) -> Iterator[tuple[str, Container]]:
    """One role after the other, healthy."""
    with neighbours.exim(request.param) as exim:
        exim.wait_healthy()
        yield request.param, exim


class TestEachRole:
    """What holds for all three roles."""

    def test_its_lines_are_parsed(self, running: tuple[str, Container]) -> None:
        """Exim's own lines arrive through the pipe, with the fields of the documented schema."""
        _, exim = running
        started = [e for e in exim.events() if e["program"] == "exim" and "daemon started" in e["event"]]
        assert started
        assert {"time", "level", "service", "daemon_time"} <= started[0].keys()

    def test_it_runs_as_nobody_special(self, running: tuple[str, Container]) -> None:
        """One user, group 0, no setuid file, nothing writable but volumes and tmpfs, no secret in an environment."""
        _, exim = running
        assert exim.run("id", "-u").strip() == "5025"
        assert exim.run("id", "-g").strip() == "0"
        assert exim.run("sh", "-c", "find / -xdev -type f -perm /6000 2>/dev/null || true") == ""
        assert "Read-only file system" in exim.run("touch", "/etc/x", check=False)
        assert PASSWORD not in exim.run("sh", "-c", "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline", check=False)

    def test_strangers_cannot_relay(self, running: tuple[str, Container]) -> None:
        """Whoever comes from outside of the known hosts without a login gets no recipient in the world accepted."""
        role, exim = running
        with session(exim, ROLES[role]) as smtp:
            smtp.mail("a@outside.test")
            code, _ = smtp.rcpt("b@elsewhere.test")
            assert code in (503, 550)

    def test_what_is_off_leaves_no_trace(self, running: tuple[str, Container]) -> None:
        """Signing only in the role that goes out, subject tags only where set, the directory only where it is asked."""
        role, exim = running
        rendered = exim.run("cat", "/run/config/exim.conf")
        assert ("dkim_selector" in rendered) == (role == "exim-ext-mailout")
        assert ("ldap" in rendered) == (role != "exim-ext-mailout")
        assert "remove_header = Subject" not in rendered

    def test_a_killed_daemon_is_back_at_once(self, running: tuple[str, Container]) -> None:
        """kill -9 gives another process; the container stays up and is well."""
        _, exim = running
        before = exim.pid_of("exim")
        exim.run("sh", "-c", f"kill -9 {before}")
        wait_until(lambda: exim.pid_of("exim") not in (0, before), 5, "another process")
        wait_until(lambda: exim.run("entrypoint", "health", check=False).startswith("healthy"), 10, "healthy again")
        assert exim.state()["Running"]

    def test_it_stops_in_time_and_starts_the_same_again(self, running: tuple[str, Container]) -> None:
        """Stopped within seconds with 0; a restart gives the same files."""
        _, exim = running
        rendered = exim.run("cat", "/run/config/exim.conf")
        code, seconds = exim.stop()
        assert (code, seconds < 5) == (0, True)
        exim.start()
        exim.wait_healthy()
        assert exim.run("cat", "/run/config/exim.conf") == rendered


WRONG = [
    ("exim-external", {"DOMAIN": ""}, "DOMAIN is missing"),
    ("exim-external", {"LDAP_BASE": ""}, "LDAP_BASE is missing"),
    ("exim-external", {"MESSAGE_SIZE_LIMIT": "huge"}, "MESSAGE_SIZE_LIMIT"),
    ("exim-external", {"EXIM_LDAP_USER_FILTER": "(mail=$local_part"}, "EXIM_LDAP_USER_FILTER"),
    ("exim-external", {"EXIM_LDAP_USER_FILTER": "(mail=${run{/bin/true}})"}, "EXIM_LDAP_USER_FILTER"),
    ("exim-external", {"LDAP_HOST": "ldap.example.test"}, "LDAP_HOSTS?"),
    ("exim-external", {"EXIM_EXTERNAL_HOST": "mx.example.test"}, "it is not for mx.example.test"),
    ("exim-external", {"TLS_CERTIFICATE": "/run/secrets/none"}, "TLS_CERTIFICATE"),
    ("exim-external", {"LDAP_BASE": "ou=nowhere,dc=example,dc=test"}, "LDAP_BASE"),
    ("exim-external", {"LDAP_USER": "cn=other,dc=example,dc=test"}, "LDAP_USER"),
    ("exim-external", {"LDAP_CA": "/etc/ssl/certs/ca-certificates.crt"}, "LDAP_CA"),
    ("exim-int-mailout", {"EXIM_INT_MAILOUT_LDAP_PLAIN": "(mail=x)"}, "EXIM_INT_MAILOUT_LDAP_PLAIN"),
    ("exim-int-mailout", {"SPOOF_PROTECTION": "maybe"}, "SPOOF_PROTECTION"),
    ("exim-ext-mailout", {"EXIM_WHITELIST_NET": SETTINGS["MAIL_NETWORK"]}, "EXIM_WHITELIST_NET"),
    ("exim-ext-mailout", {"EXIM_EXT_MSACCOUNT": "me@outlook.com"}, "EXIM_EXT_PW"),
    ("exim-ext-mailout", {"DKIM_KEYS": "/run/secrets/none"}, "DKIM_KEYS"),
]


@pytest.mark.parametrize(("role", "change", "named"), WRONG)
def test_wrong_settings_end_with_78(neighbours: Neighbours, role: str, change: dict[str, str], named: str) -> None:
    """What waiting cannot cure ends at once, and the last words name the variable, but no secret."""
    with neighbours.exim(role, **change) as exim:
        assert exim.wait_end(30) == 78
        assert named in exim.logs()
        assert PASSWORD not in exim.logs()


def test_a_directory_that_is_away_ends_with_69(neighbours: Neighbours) -> None:
    """What waiting could have cured ends when the time is over."""
    with neighbours.exim("exim-external", LDAP_HOSTS=f"ldaps://{NET}.66:1636", WAIT_S="2") as exim:
        assert exim.wait_end(30) == 69
        assert "cannot reach ldap" in exim.logs()


def test_a_stop_while_waiting_is_quick(neighbours: Neighbours) -> None:
    """SIGTERM counts before the daemon runs, too."""
    with neighbours.exim("exim-external", LDAP_HOSTS=f"ldaps://{NET}.66:1636") as exim:
        wait_until(lambda: "waiting for a needed service" in exim.logs(), 20, "it waits")
        code, seconds = exim.stop()
        assert (code, seconds < 3) == (0, True)


class TestMx:
    """exim-external on port 1025."""

    def test_recipients_are_asked_for(self, neighbours: Neighbours) -> None:
        """Members by their addresses, and nobody else: not outside of the group, not by a pattern."""
        with neighbours.exim("exim-external") as exim:
            exim.wait_healthy()
            with session(exim, 1025) as smtp:
                smtp.mail("someone@outside.test")
                assert smtp.rcpt("alice@example.test")[0] == 250
                assert smtp.rcpt("info@example.test")[0] == 250
                assert smtp.rcpt("carol@example.test")[0] == 550
                for nobody in ("nobody", "*", "al*", '"*)(mail=*"', '"alice)(uid=*"', "alice\\2a"):
                    assert smtp.rcpt(f"{nobody}@example.test")[0] in (501, 550), nobody

    def test_logins_are_for_the_members_ports(self, neighbours: Neighbours) -> None:
        """Nobody can try passwords at the port for the world, with TLS neither."""
        with neighbours.exim("exim-external") as exim:
            exim.wait_healthy()
            with session(exim, 1025) as smtp:
                assert "auth" not in smtp.esmtp_features
                assert smtp.docmd("AUTH", "PLAIN AGEAYg==")[0] == 503
            with session(exim, 1587) as smtp:
                assert smtp.esmtp_features["auth"].split() == ["PLAIN", "LOGIN"]

    @pytest.mark.parametrize(("level", "old_members"), [("intermediate", True), ("modern", False)])
    def test_members_of_a_modern_installation_need_tls_1_3(
        self, neighbours: Neighbours, level: str, *, old_members: bool
    ) -> None:
        """Other servers may be old in both cases."""
        with neighbours.exim("exim-external", TLS_LEVEL=level) as exim:
            exim.wait_healthy()
            assert starts_tls_1_2(exim, 1025)
            assert starts_tls_1_2(exim, 1587) == old_members

    def test_a_full_spool_refuses_with_452(self, neighbours: Neighbours) -> None:
        """No room, no acknowledgement; with room the same session is accepted."""
        for size, answer in (("2m", 452), ("200m", 250)):
            spool = f"--tmpfs=/var/spool/exim:mode=0770,uid=5025,size={size}"
            with neighbours.exim("exim-external", spool=spool, MESSAGE_SIZE_LIMIT="10M") as exim:
                exim.wait_healthy()
                with session(exim, 1025) as smtp:
                    assert smtp.mail("someone@outside.test")[0] == answer

    def test_without_the_directory_it_asks_to_try_later(self, neighbours: Neighbours) -> None:
        """4xx to clients; Exim logs such look-ups with the account's password, which must not reach the log."""
        with ExitStack() as stack:
            ldap = stack.enter_context(neighbours.neighbour("ldap", "ldap", 5389, "SINK_IP"))
            ldap.wait_healthy()
            exim = stack.enter_context(neighbours.exim("exim-external", LDAP_HOSTS="ldaps://sink.outside.test:1636"))
            exim.wait_healthy()
            ldap.stop()
            with session(exim, 1025) as smtp:
                smtp.mail("someone@outside.test")
                assert smtp.rcpt("alice@example.test")[0] == 451
            with session(exim, 1587) as smtp, pytest.raises(smtplib.SMTPAuthenticationError) as refused:
                smtp.login("alice@example.test", "wrong")
            assert refused.value.smtp_code == 435
            wait_until(lambda: "pass=********" in exim.logs(), 5, "the failed look-up is logged")
            assert PASSWORD not in exim.logs()


@pytest.mark.parametrize("setting", ["DEFAULT_RELAY_HOST", "RELAY_DOMAINS"])
def test_a_relay_whose_name_is_an_alias_gets_the_login(neighbours: Neighbours, tmp_path: Path, setting: str) -> None:
    """Login and certificate are those of the name in the settings, whatever DNS makes of it."""
    recipient, place = "someone@elsewhere.test", f"{RELAY}:587"
    changes = {setting: place if setting == "DEFAULT_RELAY_HOST" else f"elsewhere.test={place}"}
    with a_relay(neighbours, tmp_path) as relay:
        relay.wait_healthy()
        login = f"{RELAY} alice:sesame"
        with neighbours.exim(
            "exim-ext-mailout", EXIM_RELAY_HOSTS=relay.address(), RELAY_LOGINS=login, **changes
        ) as exim:
            exim.wait_healthy()
            relay.run("python3", "-c", SEND, exim.address(), "someone@outside.test", recipient)
            wait_until(lambda: f"=> {recipient}" in exim.logs(), 30, "the mail is at the relay")
        facts = [json.loads(line) for line in relay.run("cat", "/sink/relay.jsonl").splitlines()]
        assert {b64decode(fact["password"]) for fact in facts if "password" in fact} == {b"sesame"}


@contextmanager
def a_relay(neighbours: Neighbours, folder: Path) -> Iterator[Container]:
    """A relay of the world, with a certificate for its name in the settings only."""
    for name in ("ca.pem", "ca.key"):
        shutil.copy(neighbours.world.folder / name, folder)
    keys.make_certificate(folder, [f"DNS:{RELAY}"])
    for end in ("pem", "key"):
        (folder / f"server.{end}").rename(folder / f"good.{end}").chmod(0o644)
    folder.chmod(0o755)
    files = {"/relay.py": Path(__file__).parents[1] / "stack/relay.py", "/keys": folder}
    options = ["--user=5025:0", "--tmpfs=/sink:mode=1777", "--entrypoint=python3", *neighbours.at(SETTINGS["SINK_IP"])]
    with container("sink", "-I", "/relay.py", files=files, options=options) as relay:
        yield relay


def starts_tls_1_2(exim: Container, port: int) -> bool:
    """Whether a client that knows nothing newer gets through STARTTLS."""
    context = unverified()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with smtplib.SMTP(exim.address(), port, timeout=60) as smtp:
        try:
            smtp.starttls(context=context)
        except ssl.SSLError:
            smtp.close()
            return False
    return True


def unverified() -> ssl.SSLContext:
    """TLS by address, with a test's certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


@contextmanager
def session(exim: Container, port: int) -> Iterator[smtplib.SMTP]:
    """SMTP over STARTTLS, after EHLO."""
    with smtplib.SMTP(exim.address(), port, timeout=60) as smtp:
        smtp.starttls(context=unverified())
        smtp.ehlo("client.outside.test")
        yield smtp
