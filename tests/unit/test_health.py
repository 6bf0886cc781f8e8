"""Health: one line and an exit code, from the plan, the supervisor's report and the daemons' answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from entrypoint import health
from entrypoint.plan import Plan, Probe, Program, write_plan
from tests.unit.servers import Lines, Redis, Server, closes, silence

SMTP = Lines("220 mail\r\n", {"EHLO": "250 ok\r\n", "QUIT": "221 bye\r\n"})


def probe(kind: str, port: int, **fields: Any) -> Probe:
    return Probe(**{"kind": kind, "host": "127.0.0.1", "port": port, "timeout_s": 2.0, **fields})


def plan(*probes: Probe, programs: tuple[str, ...] = ("dovecot",)) -> Plan:
    return Plan(
        service="imap",
        version="1",
        programs=tuple(Program(name=name, argv=(name,)) for name in programs),
        probes=probes,
    )


def state(**fields: Any) -> dict[str, Any]:
    """The supervisor's report of one program, which is this very process."""
    program = {"state": "running", "pid": os.getpid(), "since": time.time() - 200, "deaths": 0, "last_exit": ""}
    return {"phase": "running", "programs": {"dovecot": {**program, **fields}}}


def health_of(*probes: Probe, **fields: Any) -> health.Health:
    return health.check(plan(*probes), state(**fields))


def test_healthy() -> None:
    """The program runs and every daemon's port answers."""
    with Server(SMTP) as smtp, Server(Redis()) as redis:
        found = health_of(probe("smtp", smtp.port), probe("redis", redis.port))
    assert found == health.Health(well=True, line="healthy: dovecot runs since 3 min, smtp ok, redis ok")


def test_probes_of_one_kind_are_told_apart() -> None:
    """Three ports of one protocol are named with their ports."""
    with Server(SMTP) as one, Server(SMTP) as other:
        found = health_of(probe("smtp", one.port), probe("smtp", other.port))
    assert found.line.endswith(f"smtp:{one.port} ok, smtp:{other.port} ok")


def test_a_daemon_that_does_not_answer() -> None:
    """The program runs, but a port does not answer: unhealthy, and only the bad news."""
    with Server(SMTP) as smtp, Server(closes) as redis:
        found = health_of(probe("smtp", smtp.port), probe("redis", redis.port))
    assert not found.well
    assert found.line == f"unhealthy: redis://127.0.0.1:{redis.port}: answer: closed the connection"


@pytest.mark.parametrize("word", ["starting", "backoff", "stopping", "stopped", "fatal"])
def test_a_program_that_does_not_run(word: str) -> None:
    """Every state but running is unhealthy, with the last exit; the ports are not asked then."""
    found = health_of(probe("gopher", 1), state=word, last_exit="exit code 2")
    assert found == health.Health(well=False, line=f"unhealthy: dovecot is {word} (last: exit code 2)")


def test_a_program_that_nobody_knows() -> None:
    """A program of the plan that the supervisor does not report is not taken for well."""
    found = health.check(plan(programs=("dovecot", "stats")), state())
    assert found.line == "unhealthy: stats is unknown to the supervisor"


@pytest.fixture
def zombie() -> Iterator[int]:
    """The pid of a child that has ended and is not yet reaped."""
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    yield process.pid
    process.wait()


def test_a_program_that_has_just_died(zombie: int) -> None:
    """The report is older than the death: a zombie, or no process at all."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    for pid in (zombie, dead.pid):
        assert health_of(pid=pid).line == f"unhealthy: dovecot has just died, pid {pid} is gone"


def test_a_program_that_has_come_back() -> None:
    """Well, but its deaths are told."""
    found = health_of(deaths=2, last_exit="SIGSEGV", since=time.time() - 5)
    assert (found.well, found.line) == (True, "healthy: dovecot runs since 5 s after 2 deaths (last: SIGSEGV)")


def test_stopping() -> None:
    """A container that stops is not well, whatever its programs still do."""
    report = state()
    report["phase"] = "stopping"
    assert health.check(plan(), report) == health.Health(well=False, line="unhealthy: stopping")


@pytest.mark.parametrize(
    ("seconds", "words"), [(-1, "0 s"), (59, "59 s"), (61, "1 min"), (7300, "2 h"), (200_000, "2 d")]
)
def test_ages(seconds: float, words: str) -> None:
    """Ages are told in their largest unit; a clock that went back is no reason for an error."""
    report = state(since=1000.0)
    assert health.check(plan(), report, now=lambda: 1000.0 + seconds).line == f"healthy: dovecot runs since {words}"


def test_all_probes_share_a_budget() -> None:
    """Silent servers do not add up their time limits; what answers after them is still asked."""
    begin = time.monotonic()
    with Server(silence) as one, Server(silence) as other, Server(SMTP) as good:
        silent = [probe("imap", server.port, timeout_s=5.0) for server in (one, other)]
        found = health.check(plan(*silent, probe("smtp", good.port)), state(), budget_s=0.5)
    assert time.monotonic() - begin < 2
    assert found.line.count("no answer within") == 2
    assert "smtp" not in found.line


# The command


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "plan.json", tmp_path / "state.json"


def run(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    code = health.main(*files)
    return code, capsys.readouterr().out


def test_before_the_plan(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """While the first stage waits there is no plan."""
    assert run(files, capsys) == (1, "starting: waiting for what it needs\n")


def test_before_the_first_report(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """While the supervisor begins there is no report."""
    write_plan(plan(), files[0])
    assert run(files, capsys) == (1, "starting: the supervisor has not reported yet\n")


@pytest.mark.parametrize("broken", [0, 1])
def test_files_that_cannot_be_read(files: tuple[Path, Path], broken: int, capsys: pytest.CaptureFixture[str]) -> None:
    """A broken file is the reason, in one line and without a traceback."""
    write_plan(plan(), files[0])
    files[1].write_text(json.dumps(state()))
    files[broken].write_text('{"half":')
    code, line = run(files, capsys)
    assert code == 1
    assert line.startswith(f"unhealthy: cannot read {files[broken]}: ")


def test_the_command_says_healthy(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Good news: exit code 0."""
    write_plan(plan(), files[0])
    files[1].write_text(json.dumps(state()))
    assert run(files, capsys) == (0, "healthy: dovecot runs since 3 min\n")


def test_one_line_whatever_is_reported(files: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    """Bad news: exit code 1, and line feeds in a reason do not make two lines."""
    write_plan(plan(), files[0])
    files[1].write_text(json.dumps(state(state="fatal", last_exit="one\ntwo")))
    assert run(files, capsys) == (1, "unhealthy: dovecot is fatal (last: one two)\n")


def test_health_imports_little() -> None:
    """Its process is started every few seconds: no TLS, LDAP, templates, threads or supervisor in it."""
    code = """
import sys
import entrypoint.health
heavy = {"ssl", "ldap3", "jinja2", "structlog", "supervisor", "psutil", "threading", "argparse", "random"}
print(heavy & set(sys.modules))
"""
    said = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=30)
    assert said.stdout == "set()\n"
