"""`entrypoint status`: what is running here, with its cost, and what docker says of a stack."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from entrypoint import console, host, status
from entrypoint.cli import main
from entrypoint.errors import Unavailable


def program(**fields: Any) -> dict[str, Any]:
    return {
        "kind": "daemon",
        "state": "running",
        "pid": None,
        "since": time.time() - 7300,
        "deaths": 0,
        "starts": 1,
        "last_exit": None,
        "next": None,
        **fields,
    }


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    """The files of a container, whose daemon is this very process."""
    (tmp_path / "plan.json").write_text("{}")
    programs = {
        "dovecot": program(pid=os.getpid(), starts=3, last_exit="signal 11 (SIGSEGV)"),
        "look": program(kind="job", state="waiting", starts=80, last_exit="exit code 0", next=time.time() + 20.5),
    }
    state = {"phase": "running", "service": "imap", "version": "1", "since": 1.0, "reload": None, "programs": programs}
    (tmp_path / "state.json").write_text(json.dumps(state))
    return tmp_path


@pytest.fixture
def busy() -> Iterator[int]:
    """The pid of a shell whose child needs all of a CPU."""
    busy = "while :; do :; done & echo; wait"
    with subprocess.Popen(["sh", "-c", busy], process_group=0, stdout=subprocess.PIPE) as shell:
        assert shell.stdout
        assert shell.stdout.readline() == b"\n"
        yield shell.pid
        os.killpg(shell.pid, 9)


def test_what_runs_here(run_dir: Path) -> None:
    """The supervisor's report, with CPU, memory and the number of processes of what runs."""
    found = status.of_container(run_dir)
    assert (found["service"], found["health"], found["reload"]) == ("imap", None, None)
    dovecot = found["programs"]["dovecot"]
    assert 1e6 < dovecot["memory_bytes"] < 1e9
    assert dovecot["processes"] >= 1
    assert "memory_bytes" not in found["programs"]["look"]


def test_children_count(busy: int) -> None:
    """What a daemon's children need is what it needs."""
    cost = status._costs({"busy": busy})["busy"]
    assert cost["processes"] == 2
    assert cost["cpu_percent"] > 5


def test_a_program_that_has_just_died() -> None:
    """Its report is older than its death."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    assert status._costs({"dead": dead.pid})["dead"] == {"cpu_percent": 0.0, "memory_bytes": 0, "processes": 0}


def test_the_table(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Aligned, without colour where there is no terminal, with the last health check below."""
    health = {"at": time.time() - 4, "mode": "ready", "well": True, "line": "healthy: dovecot runs"}
    (run_dir / "health.json").write_text(json.dumps(health))
    assert status.main(run_dir=run_dir) == 0
    heads, dovecot, look, empty, said = capsys.readouterr().out.splitlines()
    assert heads.split() == " ".join(status._HEADS).upper().split()
    assert dovecot.split()[:6] == ["dovecot", "daemon", "running", str(os.getpid()), "2", "h"]
    assert dovecot.index("signal 11") == look.index("exit code 0") == heads.index("LAST EXIT")
    assert look.endswith("in 20 s")
    assert empty == ""
    assert said == "health  healthy: dovecot runs (4 s ago)"


def test_reloads_are_told(run_dir: Path) -> None:
    """Good ones and refused ones; and what has not happened."""
    found = status.of_container(run_dir) | {"at": 1000.0}
    assert status.container_as_text(found).splitlines()[-1] == "health  not asked yet"
    for ok, word in ((True, "done"), (False, "refused")):
        text = status.container_as_text(found | {"reload": {"at": 870.0, "ok": ok, "line": "why"}})
        assert text.splitlines()[-1] == f"reload  {word} 2 min ago: why"


def test_colour() -> None:
    """Good states are green, bad ones red, and the columns stay where they are."""
    rows = [{"program": "a", "state": "running"}, {"program": "bb", "state": "exited (78)"}]
    plain = console.table(("program", "state"), rows)
    painted = console.table(("program", "state"), rows, colours=status._COLOURS, coloured=True)
    assert "\x1b[32mrunning" in painted
    assert "\x1b[31mexited (78)" in painted
    for code in ("\x1b[32m", "\x1b[31m", "\x1b[0m"):
        painted = painted.replace(code, "")
    assert [line.rstrip() for line in painted.splitlines()] == plain.splitlines()


def test_a_container_that_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Before the supervisor's first report there are no programs."""
    assert status.main(run_dir=tmp_path) == 0
    assert capsys.readouterr().out == "starting: the supervisor has not reported yet\n"


def test_json_for_programs(run_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything that the table is made of."""
    assert status.main(run_dir=run_dir, as_json=True) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["programs"]["look"]["starts"] == 80


# A stack

INSPECTED = [
    {
        "Name": "/p-imap-1",
        "Config": {"Labels": {"com.docker.compose.service": "imap"}},
        "State": {
            "Status": "running",
            "ExitCode": 0,
            "Health": {"Status": "healthy", "Log": [{"Output": "healthy, but: a warning\n"}]},
        },
    },
    {
        "Name": "/p-exim-1",
        "Config": {"Labels": {"com.docker.compose.service": "exim-external"}},
        "State": {"Status": "exited", "ExitCode": 78},
    },
    {
        "Name": "/p-sink-1",
        "Config": {"Labels": {"com.docker.compose.service": "sink"}},
        "State": {"Status": "running", "ExitCode": 0, "Health": {"Status": "starting", "Log": []}},
    },
]


@pytest.fixture
def engine(tmp_path: Path, run_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program `docker` that knows three containers of the project p; its folder, with what it is told to say."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "inspected").write_text(json.dumps(INSPECTED))
    (folder / "status").write_text(json.dumps(status.of_container(run_dir)))
    script = f"""#!/bin/sh
case "$*" in
  "ps --all --quiet --filter label=com.docker.compose.project=p") echo 1 2 3;;
  "ps --all --format"*) echo p; echo q;;
  "ps "*) ;;
  inspect*) cat {folder}/inspected;;
  "exec p-imap-1 entrypoint status --json") cat {folder}/status;;
  *) echo "first line" >&2; echo "no such thing" >&2; exit 1;;
esac
"""
    (folder / "docker").write_text(script)
    (folder / "docker").chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return folder


def test_all_containers_of_a_stack(engine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One table, sorted; who does not run, or cannot tell, has a row all the same; lines that matter are below."""
    assert main(["status", "--project", "p"]) == 0
    heads, exim, dovecot, look, sink, empty, said = capsys.readouterr().out.splitlines()
    assert heads.split()[:3] == ["SERVICE", "HEALTH", "PROGRAM"]
    assert exim.split() == ["exim-external", "exited", "(78)"]
    assert dovecot.split()[:4] == ["imap", "healthy", "dovecot", "daemon"]
    assert look.split()[:2] == ["look", "job"]
    assert sink.split() == ["sink", "starting"]
    assert (empty, said) == ("", "imap  healthy, but: a warning")


def test_a_stack_as_json(engine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Everything, of each container."""
    assert main(["status", "-p", "p", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(each["service"], each["state"], each["exit_code"]) for each in found["containers"]] == [
        ("exim-external", "exited", 78),
        ("imap", "running", 0),
        ("sink", "running", 0),
    ]
    assert found["containers"][1]["status"]["programs"]["dovecot"]["pid"] == os.getpid()
    assert found["containers"][2]["status"] is None


def test_a_stack_that_is_not_there(engine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The names of those that are, and what to do; code 69."""
    assert main(["status", "--project", "x"]) == 69
    assert "cannot find a container of the project 'x'; there are p, q; start it" in capsys.readouterr().err


def test_without_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No traceback, but what is missing."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Unavailable, match="docker is not installed here"):
        status.of_stack("p")


def test_docker_that_refuses(engine: Path) -> None:
    """Its last line is the reason."""
    with pytest.raises(Unavailable, match=r"cannot ask docker \(exec x\): no such thing"):
        host.docker("exec", "x")


def test_the_project_that_compose_would_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the environment, else from .env, else the compose file's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COMPOSE_PROJECT_NAME", raising=False)
    assert host.default_project() == "postern"
    (tmp_path / ".env").write_text("DOMAIN=example.org\n")
    assert host.default_project() == "postern"
    (tmp_path / ".env").write_text("COMPOSE_PROJECT_NAME=mail\n")
    assert host.default_project() == "mail"
    monkeypatch.setenv("COMPOSE_PROJECT_NAME", "other")
    assert host.default_project() == "other"


def test_outside_of_containers_the_stack_is_meant(engine: Path, tmp_path: Path) -> None:
    """Where nothing of a container is, there is no container to tell of."""
    with pytest.raises(Unavailable, match="cannot find a container of the project"):
        status.main(run_dir=tmp_path / "none")
