"""Every service as the engine sees it: no rights, no secrets in sight, a limit for everything."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.containers import docker
from tests.stack.clients import SOMEONE, new_mail
from tests.stack.system import System, leaks

pytestmark = pytest.mark.stack

SERVICES = (
    "clamav",
    "exim-ext-mailout",
    "exim-external",
    "exim-int-mailout",
    "imap",
    "ldap",
    "mail-dnsmasq",
    "mail-redis",
    "rspam",
    "sink",
)
PUBLISHED = {
    "exim-ext-mailout": {"1025/tcp", "1587/tcp", "1465/tcp"},
    "exim-external": {"1025/tcp", "1587/tcp", "1465/tcp"},
    "exim-int-mailout": {"1587/tcp"},
    "imap": {"1143/tcp", "1993/tcp", "4190/tcp"},
    "rspam": {"11334/tcp"},
}

every_service = pytest.mark.parametrize("service", SERVICES)


def test_these_are_all_services(system: System) -> None:
    """None is left out below."""
    assert tuple(system.services()) == SERVICES


@every_service
def test_it_has_no_rights(system: System, service: str) -> None:
    """A user that is nobody, no capability, nothing of the host, nothing to write on but volumes and memory."""
    found = inspected(system, service)
    host = found["HostConfig"]
    assert re.fullmatch(r"[1-9]\d*:0", found["Config"]["User"])
    assert (host["CapDrop"], host["CapAdd"]) == (["ALL"], None)
    assert host["ReadonlyRootfs"]
    assert not host["Privileged"]
    assert "no-new-privileges:true" in host["SecurityOpt"]
    assert (host["PidMode"], host["IpcMode"], host["UsernsMode"]) == ("", "private", "")
    assert not [each for each in found["Mounts"] if each["Source"].endswith("docker.sock")]
    assert set(host["Tmpfs"]) <= {"/run", "/tmp", "/sink"}
    script = "grep -E '^(Uid|Gid|Groups|CapEff|CapBnd|NoNewPrivs):' /proc/1/status | tr -s '\\t ' ' '"
    status = dict(line.split(":", 1) for line in system.service(service).run("sh", "-c", script).splitlines())
    assert len(set(status["Uid"].split())) == 1
    assert "0" not in status["Uid"].split()
    assert set(status["Gid"].split()) == {"0"}
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["NoNewPrivs"].strip() == "1"
    for place in ("/etc", "/usr/bin", "/opt", "/"):
        assert "Read-only file system" in system.service(service).run("sh", "-c", f"touch {place}/x 2>&1 || true")


@every_service
def test_it_has_limits_and_a_health(system: System, service: str) -> None:
    """Memory, log size, time to stop, a start after every end but a person's, a health check."""
    system.service(service).wait_healthy()
    found = inspected(system, service)
    host = found["HostConfig"]
    assert 64 * 1024**2 <= host["Memory"] <= 2 * 1024**3
    assert host["RestartPolicy"]["Name"] == "unless-stopped"
    assert set(host["LogConfig"]["Config"]) == {"max-size", "max-file"}
    assert found["Config"]["StopTimeout"] == 60
    assert found["Config"]["Healthcheck"]["Test"][-1] == "health"


@every_service
def test_it_publishes_what_people_need(system: System, service: str) -> None:
    """LMTP, Redis and the like are for the stack's own network only."""
    ports = inspected(system, service)["NetworkSettings"]["Ports"]
    assert {port for port, places in ports.items() if places} == PUBLISHED.get(service, set())


@every_service
def test_it_shows_no_secret(system: System, service: str) -> None:
    """Neither in what the engine tells, nor in any process's arguments or environment, nor in a file for others."""
    secrets, container = system.secrets(), system.service(service)
    # The health check's last words are in there, too.
    assert leaks(json.dumps(inspected(system, service), ensure_ascii=False), secrets) == []
    processes = container.run("sh", "-c", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2> /dev/null | tr '\\0' '\\n'")
    assert "health" in processes or "run" in processes
    assert leaks(processes, secrets) == []
    readable = "find /run /tmp -path /run/secrets -prune -o -type f -perm /077 -exec cat {} +"
    assert leaks(container.run("sh", "-c", readable, check=False), secrets) == []


def test_a_secret_in_sight_would_be_found(system: System) -> None:
    """The check above, with a variable that holds a password and a file that everybody may read."""
    word = system.secrets()["LDAP_PASSWORD"]
    seen = system.service("imap").run("env", f"X={word}", "sh", "-c", "cat /proc/self/environ | tr '\\0' '\\n'")
    assert "LDAP_PASSWORD" in leaks(seen, system.secrets())
    own = system.service("imap").run("cat", "/run/entrypoint/secrets/ldap-password")
    assert "LDAP_PASSWORD" in leaks(own, system.secrets())


def test_each_stops_in_time_and_starts_again(system: System) -> None:
    """Within 10 s and with code 0, all of them; then the same stack is up, with its mail."""
    mail = new_mail(SOMEONE, "alice@example.test")
    assert system.come_in(mail, "alice@example.test")[0] == 250
    assert system.received("alice", mail)
    try:
        stops = {name: system.service(name).stop() for name in SERVICES}
    finally:
        system.up()
    assert {name: code for name, (code, _) in stops.items()} == dict.fromkeys(SERVICES, 0)
    assert {name: round(seconds, 1) for name, (_, seconds) in stops.items() if seconds >= 10} == {}
    assert system.received("alice", mail)
    after = new_mail("alice@example.test", SOMEONE)
    assert system.come_in(after, "bob@example.test")[0] == 250


def inspected(system: System, service: str) -> dict[str, Any]:
    """All that the engine tells of a service's container."""
    found: dict[str, Any] = json.loads(docker("inspect", system.service(service).name))[0]
    return found
