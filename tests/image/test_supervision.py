"""The supervisor where it belongs: the first process of a container, or the second, below an init."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.containers import Container, container, wait_until

pytestmark = pytest.mark.image

ENV = {"DOMAIN": "example.org", "REDIS_PASSWORD": "secret-of-the-test", "LOG_FORMAT": "json", "DEATHS_LIMIT": "3"}


@pytest.fixture(params=["PID 1", "below an init"])
def server(request: pytest.FixtureRequest) -> Iterator[Container]:
    """mail-redis, since it needs nobody else."""
    init = ("--init",) if request.param == "below an init" else ()
    with container("redis", env=ENV, options=init) as running:
        running.wait_healthy()
        assert (_supervisor(running) == 1) == (not init)
        yield running


def _supervisor(server: Container) -> int:
    return int(server.run("python3", "-c", "import json; print(json.load(open('/run/entrypoint/state.json'))['pid'])"))


def _kill(server: Container, signal: str, pid: int) -> None:
    server.run("sh", "-c", f"kill -{signal} {pid}")


def _after_a_kill(server: Container) -> int:
    pid = server.pid_of("redis")
    _kill(server, "KILL", pid)
    return wait_until(lambda: (new := server.pid_of("redis")) != pid and new, 20, "it runs again")


def test_a_killed_daemon_is_there_again_and_a_stop_is_orderly(server: Container) -> None:
    _after_a_kill(server)
    died = next(event for event in server.events() if event["event"] == "died")
    assert (died["daemon"], died["ending"], died["restart_in_ms"]) == ("redis", "signal 9 (SIGKILL)", 0)
    code, took_s = server.stop()
    assert code == 0
    assert took_s < 5
    assert server.events()[-1]["event"] == "all stopped"


def test_too_many_deaths_end_the_container_with_the_code_of_the_daemon(server: Container) -> None:
    for _ in range(2):
        _after_a_kill(server)
    _kill(server, "KILL", server.pid_of("redis"))
    assert server.wait_end() == 128 + 9


def test_the_state_is_told_on_usr1(server: Container) -> None:
    _kill(server, "USR1", _supervisor(server))
    wait_until(lambda: any(e["event"] == "state" and e["daemon"] == "redis" for e in server.events()), 20, "the state")


def test_nobody_has_a_secret_in_arguments_or_environment(server: Container) -> None:
    """But the container's own configuration, which the test gave: that is in no process any more."""
    shown = server.run("sh", "-c", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' '\\n'", check=False)
    told = [line for line in shown.splitlines() if "secret-of-the-test" in line]
    assert told in ([], ["REDIS_PASSWORD=secret-of-the-test"] * len(told))  # of `docker exec`, which has it anew
    environ = server.run("sh", "-c", f"cat /proc/{server.pid_of('redis')}/environ /proc/{_supervisor(server)}/environ")
    assert "secret-of-the-test" not in environ
