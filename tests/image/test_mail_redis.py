"""mail-redis: only with the password, whatever is in it; nothing is lost at a stop; no service harms another."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from tests.containers import Container, container, docker, wait_until

pytestmark = pytest.mark.image

# What ends or begins something in some syntax, and what is not ASCII.
PASSWORD = "a \"b'c\\d $VAR ${x} %s {{y}} #;\\x41 ünï 😀"
ENV = {"DOMAIN": "example.org", "REDIS_PASSWORD": PASSWORD, "LOG_FORMAT": "json"}


def redis(server: Container, *command: str, password: str = PASSWORD) -> str:
    """What the server answers to a command."""
    cli = ["exec", "--env", f"REDISCLI_AUTH={password}", server.name, "redis-cli", "--raw", *command]
    return docker(*cli, check=False).strip()


@pytest.fixture(scope="module")
def server() -> Iterator[Container]:
    with container("redis", env=ENV) as running:
        running.wait_healthy()
        yield running


def test_the_password_is_what_was_given(server: Container) -> None:
    assert redis(server, "CONFIG", "GET", "requirepass").splitlines() == ["requirepass", PASSWORD]


def test_nobody_comes_in_without_it(server: Container) -> None:
    assert redis(server, "PING") == "PONG"
    assert "NOAUTH" in redis(server, "PING", password="")
    assert "WRONGPASS" in redis(server, "PING", password=PASSWORD[:-1])


@pytest.mark.parametrize("command", ["FLUSHALL", "MIGRATE", "REPLICAOF", "SHUTDOWN", "SLAVEOF"])
def test_commands_that_harm_other_services_do_not_exist(server: Container, command: str) -> None:
    assert "unknown command" in redis(server, command)


def test_a_service_may_empty_its_own_database(server: Container) -> None:
    redis(server, "-n", "1", "SET", "cached", "1")
    redis(server, "-n", "7", "SET", "learnt", "1")
    assert redis(server, "-n", "1", "FLUSHDB").endswith("OK")
    assert redis(server, "-n", "7", "GET", "learnt") == "1"


def test_full_memory_takes_what_would_expire_first(server: Container) -> None:
    assert redis(server, "CONFIG", "GET", "maxmemory").splitlines()[1] == str(256 * 1024**2)
    assert redis(server, "CONFIG", "GET", "maxmemory-policy").splitlines()[1] == "volatile-ttl"


def test_its_lines_are_parsed_and_the_password_is_in_none(server: Container) -> None:
    ready = next(event for event in server.events() if event["event"].startswith("Ready to accept connections"))
    assert (ready["service"], ready["program"], ready["level"]) == ("mail-redis", "redis", "info")
    assert json.dumps(PASSWORD)[1:9] not in server.logs()


def test_the_daemon_has_the_password_in_no_argument_or_variable(server: Container) -> None:
    daemon = server.pid_of("redis")
    shown = server.run("cat", f"/proc/{daemon}/cmdline", f"/proc/{daemon}/environ")
    assert "redis-server" in shown
    assert "REDIS_PASSWORD" not in shown
    assert "$VAR" not in shown


def test_data_survive_a_stop_and_a_kill() -> None:
    with container("redis", env=ENV, options=["--user=12345:0"]) as running:
        running.wait_healthy()
        redis(running, "SET", "learnt", "spam")
        code, took_s = running.stop()
        assert code == 0
        assert took_s < 5
        running.start()
        running.wait_healthy()
        assert redis(running, "GET", "learnt") == "spam"
        redis(running, "SET", "learnt", "ham")
        redis(running, "WAITAOF", "1", "0", "5000")
        docker("kill", running.name)
        running.start()
        running.wait_healthy()
        assert redis(running, "GET", "learnt") == "ham"


def test_another_port() -> None:
    with container("redis", env=ENV | {"REDIS_PORT": "16379"}) as running:
        running.wait_healthy()
        assert redis(running, "-p", "16379", "PING") == "PONG"


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"REDIS_PASSWORD": " ", "REDIS_PORT": "0"}, "REDIS_PORT"),
        ({"REDIS_PORT": "0"}, "REDIS_PORT"),
        ({"REDIS_MAXMEMORY": "1M"}, "REDIS_MAXMEMORY"),
    ],
)
def test_wrong_settings_are_refused_by_name(wrong: dict[str, str], named: str) -> None:
    with container("redis", env=ENV | wrong) as refused:
        assert refused.wait_end() == 78
        assert named in refused.logs()


def test_a_volume_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with container("redis", env=ENV, files={"/data": tmp_path}) as refused:
        assert refused.wait_end() == 78
        assert "cannot write in /data" in refused.logs()


def test_the_check_tells_a_good_file_from_a_bad_one(server: Container) -> None:
    """Redis has no checker: the words that it ends with, told to listen nowhere, must stay what they are."""
    good_end = "Configured to not listen anywhere"
    config = server.run("cat", "/run/config/redis.conf")
    check = ("sh", "-c", "cat > /tmp/other.conf; redis-server /tmp/other.conf --port 0 || true")
    assert good_end in server.run(*check, stdin=config)
    assert good_end not in server.run(*check, stdin=config + "maxmemory-policy nonsense\n")


def test_health_says_what_it_is_like(server: Container) -> None:
    """One line in `docker inspect`; three depths; a file for metrics, and one of the job's figures."""
    server.wait_healthy()
    (*_, last) = server.state()["Health"]["Log"]
    assert (last["ExitCode"], last["Output"].count("\n")) == (0, 1)
    assert last["Output"].startswith("healthy: redis runs since ")
    assert server.run("entrypoint", "health", "--live").startswith("alive: redis runs since ")
    assert server.run("entrypoint", "health", "--deep").startswith("healthy: redis runs since ")
    assert json.loads(server.run("cat", "/run/entrypoint/health.json"))["mode"] in ("ready", "deep")
    assert "usage: entrypoint health" in server.run("entrypoint", "health", "--help")
    assert "not allowed with" in server.run("entrypoint", "health", "--live", "--deep", check=False)


def test_health_of_a_daemon_that_hangs(server: Container) -> None:
    """It runs, but does not answer: a new container might be better, but that is not for --live to say."""
    daemon = server.pid_of("redis")
    server.run("sh", "-c", f"kill -STOP {daemon}")
    try:
        found = server.run("entrypoint", "health", check=False)
        assert found == "unhealthy: redis://127.0.0.1:6379: login: no answer within 5 s\n"
        assert server.run("entrypoint", "health", "--live").startswith("alive: ")
    finally:
        server.run("sh", "-c", f"kill -CONT {daemon}")
    assert server.run("entrypoint", "health").startswith("healthy: ")


def test_memory_that_runs_out_is_told_in_time() -> None:
    """In the health's line and in the log, once; and when it is over."""
    with container("redis", env=ENV | {"REDIS_MAXMEMORY": "16M", "LOOK_S": "1"}) as running:
        running.wait_healthy()
        fill = "for i = 1, 12 do redis.call('SET', 'k' .. i, string.rep('x', 1000000)) end"
        redis(running, "EVAL", fill, "0")
        warned = "healthy, but: Redis uses "
        wait_until(lambda: running.run("entrypoint", "health").startswith(warned), 30, "a warning")
        redis(running, "FLUSHDB")
        wait_until(lambda: running.run("entrypoint", "health").startswith("healthy: "), 30, "no warning")
        expected = [("warning", "a measure is bad"), ("info", "a measure is good again")]
        wait_until(lambda: told(running, "redis_memory_bytes") == expected, 30, "both are told")


def told(running: Container, measure: str) -> list[tuple[str, str]]:
    """What the log says of a measure; the line may come a moment after the health check knows."""
    events = [event for event in running.events() if event.get("measure") == measure]
    return [(event["level"], event["event"]) for event in events]


class TestMadePassword:
    """Nobody has given a password."""

    ENV: ClassVar = {name: text for name, text in ENV.items() if name != "REDIS_PASSWORD"}
    FILE = "/var/lib/passwords/REDIS_PASSWORD"

    @pytest.fixture
    def volume(self) -> Iterator[str]:
        name = f"postern-test-{uuid.uuid4()}"
        docker("volume", "create", name)
        yield name
        docker("volume", "rm", "--force", name, check=False)

    def test_it_is_made_once_and_the_same_for_all_services_and_starts(self, volume: str) -> None:
        """Two that start at the same time, under different users, and one of them a second time."""
        options = [f"--volume={volume}:/var/lib/passwords"]
        one = container("redis", env=self.ENV, options=[*options, "--user=5063:0"])
        two = container("redis", env=self.ENV, options=[*options, "--user=10007:0"])
        with one as first, two as second:
            for server in (first, second):
                server.wait_healthy()
            made = first.run("cat", self.FILE).strip()
            assert len(made) == 43
            assert made == second.run("cat", self.FILE).strip()
            assert first.run("stat", "-c", "%a %g", self.FILE).strip() == "640 0"
            assert first.run("ls", "-A", "/var/lib/passwords").split() == ["REDIS_PASSWORD"]
            for server in (first, second):
                assert redis(server, "PING", password=made) == "PONG"
                assert "NOAUTH" in redis(server, "PING", password="")
            first.stop()
            first.start()
            wait_until(lambda: redis(first, "PING", password=made) == "PONG", 30, "the same password")
            assert made not in first.logs() + second.logs()
            assert made not in first.run("sh", "-c", "cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline", check=False)

    def test_who_removes_it_gets_another(self, volume: str) -> None:
        """Without a restart of the container: its file is watched as a secret of a person is."""
        with container("redis", env=self.ENV, options=[f"--volume={volume}:/var/lib/passwords"]) as server:
            server.wait_healthy()
            old = server.run("cat", self.FILE).strip()
            server.run("rm", self.FILE)
            another = ("sh", "-c", f"cat {self.FILE} 2>/dev/null || true")
            new = wait_until(lambda: server.run(*another).strip(), 30, "another one")
            wait_until(lambda: redis(server, "PING", password=new) == "PONG", 30, "the new password is used")
            assert "WRONGPASS" in redis(server, "PING", password=old)

    def test_without_a_volume_the_cure_is_told(self) -> None:
        with container("redis", env=self.ENV) as refused:
            assert refused.wait_end() == 78
            assert "mount a volume at /var/lib/passwords" in refused.logs()
