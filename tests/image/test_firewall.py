"""The rules of `entrypoint firewall`, read by iptables-restore, nft and ufw, and packets that meet them.

The host is a container with network namespaces around it and Docker's own rules in it (tests/image/firewall): outside,
the mail network, and another container. What this machine's own firewall does is not touched.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.containers import Container, docker, wait_until

# The first test waits until Debian's packages are there.
pytestmark = [pytest.mark.image, pytest.mark.timeout(400)]

ROOT = Path(__file__).parents[2]
FOLDER = Path(__file__).parent / "firewall"
IMAGE = "postern-firewall:test"
SYSCTLS = (
    "net.ipv4.ip_forward=1",
    "net.ipv6.conf.all.forwarding=1",
    "net.ipv6.conf.all.disable_ipv6=0",
    "net.ipv6.conf.default.disable_ipv6=0",
)
ENV = "DOMAIN=example.org\nIMAPS_PORT=192.0.2.7:993\nEXT_MAILOUT_SUBMISSION_PORT=127.0.0.1:1587\n"
LIMITS = ("--interface=eth0", "--from=2587=192.0.2.3", "--from=MANAGESIEVE_PORT=192.0.2.3")
HOST, SECOND = "192.0.2.1", "192.0.2.7"
# What Docker sends on without our rules: published by the settings, by an override file, and to another container.
OPEN = [(HOST, 25), (HOST, 587), (SECOND, 993)]
OTHERS = [(HOST, 22), (HOST, 8080)]
CLOSED = [
    (HOST, 995),  # of an override file
    (HOST, 1587),  # for this machine only
    ("172.20.0.3", 2525),  # LMTP at the container itself, by a neighbour with a route to it
    ("172.20.0.3", 1587),  # a port that is published under another number
    ("172.20.0.9", 1587),  # … and one that is called as a port of the host is
]


@pytest.fixture(scope="module", autouse=True)
def image() -> None:
    """The firewalls, built once and cached."""
    subprocess.run(["docker", "build", "--quiet", "--tag", IMAGE, str(FOLDER)], check=True)


class Host(Container):
    """The host, and who connects to it."""

    def ask(self, address: str, port: int, *source: str, of: str = "outside") -> bool:
        """Whether somebody outside, or in another namespace, gets through."""
        talk = ("python3", "/test/talk.py", "ask", address, str(port), *source)
        return self.run(*(("ip", "netns", "exec", of) if of else ()), *talk).strip() == "hello"

    def answers(self, places: list[tuple[str, int]]) -> list[bool]:
        with ThreadPoolExecutor() as pool:
            return list(pool.map(lambda place: self.ask(*place), places))

    def append(self, file: str, text: str) -> None:
        self.run("sh", "-c", f"cat >> {file}", stdin=text)


@pytest.fixture
def host() -> Iterator[Host]:
    name = f"postern-test-{os.getpid()}-firewall"
    rights = ("--network=none", "--cap-add=NET_ADMIN", "--cap-add=SYS_ADMIN", "--security-opt=apparmor=unconfined")
    options = (*rights, *(f"--sysctl={each}" for each in SYSCTLS), f"--volume={FOLDER}:/test:ro")
    try:
        docker("run", "--detach", "--name", name, *options, IMAGE, "sh", "/test/host.sh")
        made = Host(name)
        everything = [*OPEN, *OTHERS, *CLOSED]
        wait_until(lambda: all(made.answers(everything)), 30, f"the host is up: {made.logs()}")
        yield made
    finally:
        docker("rm", "--force", "--volumes", name, check=False)


def printed(folder: Path, *arguments: str, env: str = ENV) -> str:
    """What the command says on a host with this .env."""
    (folder / ".env").write_text(env)
    command = [sys.executable, "-m", "entrypoint", "firewall", *arguments]
    done = subprocess.run(
        command, cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def require_just_the_published_ports(host: Host) -> None:
    assert all(host.answers(OPEN))
    assert not any(host.answers(CLOSED))
    assert all(host.answers(OTHERS)), "what is none of ours is as it was"
    assert host.ask(HOST, 2587, "192.0.2.3")
    assert not host.ask(HOST, 2587, "192.0.2.2")
    assert host.ask("192.0.2.2", 53, of="mail"), "containers reach the world"
    assert host.ask("172.20.0.3", 2525, of=""), "the host reaches containers"


def test_nothing_but_the_published_ports_passes_docker_user(host: Host, tmp_path: Path) -> None:
    rules = printed(tmp_path, "ufw", *LIMITS)
    host.run("iptables-restore", "--noflush", "--test", stdin=rules)
    assert all(host.answers(CLOSED)), "a test changes nothing"
    host.run("iptables-restore", "--noflush", stdin=rules)
    host.run("iptables-restore", "--noflush", stdin=rules)
    require_just_the_published_ports(host)


def test_nothing_but_the_published_ports_passes_the_table_of_nft(host: Host, tmp_path: Path) -> None:
    rules = printed(tmp_path, "nftables", *LIMITS)
    host.run("nft", "--check", "--file", "-", stdin=rules)
    assert all(host.answers(CLOSED)), "a test changes nothing"
    for _ in range(2):  # it replaces itself
        host.run("nft", "--file", "-", stdin=rules)
    require_just_the_published_ports(host)
    # Docker's proxy, where connections over IPv6 end: on the host itself.
    assert host.ask(HOST, 4190, "192.0.2.3")
    assert not host.ask(HOST, 4190, "192.0.2.2")
    assert not host.ask("2001:db8::1", 4190)
    host.run("nft", "delete", "table", "inet", "postern")
    assert all(host.answers(CLOSED))
    assert host.ask("2001:db8::1", 4190)


def test_ufw_has_them_after_each_reload(host: Host, tmp_path: Path) -> None:
    """With all that ufw does besides; over IPv6, where the containers have it, too."""
    env = "DOMAIN=example.org\n"
    six = printed(tmp_path, "ufw", "--ipv6", "--network=fd00:25::/64", "--from=993=2001:db8::/64", env=env)
    host.append("/etc/ufw/after.rules", printed(tmp_path, "ufw", *LIMITS))
    host.append("/etc/ufw/after6.rules", six)
    host.run("ufw", "allow", "22/tcp")
    host.run("ufw", "--force", "enable")
    host.run("ufw", "reload")
    require_just_the_published_ports(host)
    assert host.ask("2001:db8::1", 993)
    assert not host.ask("2001:db8::1", 995)
    assert not host.ask("2001:db8::1", 4190), "what ends on the host itself is for ufw's own rules"


@pytest.mark.parametrize(
    ("program", "rules"),
    [
        (("iptables-restore", "--test"), "*filter\n-A FORWARD --no-such-match -j DROP\nCOMMIT\n"),
        (("nft", "--check", "--file", "-"), "table inet postern {"),
    ],
)
def test_the_programs_refuse_what_is_no_rule(host: Host, program: tuple[str, ...], rules: str) -> None:
    """The twin: they do read what they are given."""
    done = subprocess.run(["docker", "exec", "-i", host.name, *program], input=rules, text=True, check=False)
    assert done.returncode != 0
