"""Start, death and restart of supervised programs, with real processes."""

from __future__ import annotations

import functools
import json
import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from entrypoint.plan import Plan, Program, read_plan, write_plan
from entrypoint.supervise.become import bare_environment
from entrypoint.supervise.daemon import LONGEST_WAIT_S, in_a_row, wait_s
from entrypoint.supervise.endings import Ending
from entrypoint.supervise.launch import find_executable
from tests.unit.supervised import ROOT, Supervised, alive, python, sh, until, written


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("exit 42", 42),
        ("exit 0", 1),  # to end is not what a daemon is for, so 0 would hide it
        ("kill -9 $$", 137),
        ("kill -SEGV $$", 139),
        ("exec /nonexistent", 127),
    ],
)
def test_a_program_that_dies_too_often_ends_the_container_with_its_own_code(
    tmp_path: Path, script: str, code: int
) -> None:
    """After `deaths_limit` deaths, the exit code is the daemon's, also for signals."""
    with Supervised(tmp_path, sh(script), deaths_limit=3) as supervised:
        assert supervised.exit_code() == code
        assert len(supervised.logged("died")) == 2
        assert supervised.logged("died too often, giving up", deaths=3)
        assert supervised.state()["programs"]["daemon"]["state"] == "fatal"


@pytest.mark.parametrize("argv", [("no-such-daemon",), ("/no/such/daemon",), ("/etc/passwd",), ("/",), (), ("a\0b",)])
def test_what_cannot_be_executed_ends_with_127(tmp_path: Path, argv: tuple[str, ...]) -> None:
    """A command that is missing, no program, or no command at all is told, and ends with 127."""
    with Supervised(tmp_path, Program(name="daemon", argv=argv)) as supervised:
        assert supervised.exit_code() == 127
        assert "cannot execute" in supervised.logged("died too often, giving up")[0]["ending"]


def test_deaths_below_the_limit_do_not_end_it(tmp_path: Path) -> None:
    """A program that dies twice and then lives goes on living."""
    script = f"echo x >> {tmp_path}/n; [ $(grep -c x {tmp_path}/n) = 3 ] && exec sleep 99; exit 7"
    with Supervised(tmp_path, sh(script), deaths_limit=3) as supervised:
        supervised.wait_for("started", times=3)
        entry = supervised.wait_until("running")
        assert entry["deaths"] == 2
        assert entry["last_exit"] == "exit code 7"
        assert supervised.end()[0] == 0


def test_deaths_outside_the_window_do_not_count(tmp_path: Path) -> None:
    """Deaths that are longer ago than the window are forgotten, so the limit is not reached."""
    with Supervised(tmp_path, sh("sleep 0.2; exit 3"), deaths_limit=3, deaths_window_s=0.3) as supervised:
        supervised.wait_for("died", times=5)
        assert supervised.process.poll() is None


def test_a_killed_daemon_is_there_again_at_once(tmp_path: Path) -> None:
    """From the death of a daemon to the next one it takes milliseconds."""
    times = []
    for number in range(5):
        folder = tmp_path / str(number)
        folder.mkdir()
        with Supervised(folder, sh("exec sleep 99")) as supervised:
            first = supervised.wait_until("running")["pid"]
            os.kill(first, signal.SIGKILL)
            began = time.monotonic()
            _until_another(supervised, first)
            times.append(time.monotonic() - began)
            assert supervised.wait_for("died")["ending"] == "signal 9 (SIGKILL)"
    assert statistics.median(times) < 0.2  # 2 to 6 ms on an idle machine; supervisor has a tick of 1 s


def _until_another(supervised: Supervised, first: int) -> None:
    until(lambda: [p for p in supervised.descendants() if p.pid != first and p.status() != psutil.STATUS_ZOMBIE])


def test_there_is_more_and_more_time_between_starts(tmp_path: Path) -> None:
    """Without a limit that ends it, waits double."""
    with Supervised(tmp_path, sh("exit 1"), deaths_limit=99) as supervised:
        supervised.wait_for("died", times=6)
        waits = [line["restart_in_ms"] for line in supervised.logged("died")][:6]
        starts = [line["time"] for line in supervised.logged("started")]
    assert waits[0] == 0
    assert all(25 * 2**n <= wait <= 31 * 2**n * 2 for n, wait in enumerate(waits[1:]))
    assert starts == sorted(starts)


def test_waits_begin_small_double_and_are_capped() -> None:
    """0, then 50 ms doubling, give or take a fifth, and never more than the longest."""
    assert wait_s(1) == 0
    for deaths in range(2, 11):
        assert 0.8 <= wait_s(deaths) / (0.05 * 2 ** (deaths - 2)) <= 1.2
    assert wait_s(1000) == LONGEST_WAIT_S


@pytest.mark.parametrize(
    ("lives", "deaths"), [((0, 0, 0), 3), ((0, 0, 59), 3), ((0, 0, 0, 0, 60), 1), ((0, 0, 61, 0), 2), ((3600,), 1)]
)
def test_a_minute_of_life_clears_the_record(lives: tuple[float, ...], deaths: int) -> None:
    """So that a daemon that dies once a day is there again at once, each time."""
    found = functools.reduce(in_a_row, lives, 0)
    assert found == deaths
    assert (wait_s(found) == 0) == (deaths == 1)


def test_waits_are_not_all_the_same() -> None:
    """Several daemons that died together do not start together again and again."""
    assert len({wait_s(5) for _ in range(20)}) > 1


@pytest.mark.parametrize(
    ("status", "ending"),
    [(0, Ending(0, "exit code 0")), (42 << 8, Ending(42, "exit code 42")), (9, Ending(137, "signal 9 (SIGKILL)"))],
)
def test_a_wait_status_becomes_a_code_and_words(status: int, ending: Ending) -> None:
    """An exit keeps its code; signal N counts as 128+N."""
    assert Ending.of(status) == ending


def test_the_program_starts_before_the_supervisor_is_loaded(tmp_path: Path) -> None:
    """The first process is there sooner than the supervisor can say so."""
    before = time.time()
    with Supervised(tmp_path, sh("exec sleep 99")) as supervised:
        started = supervised.wait_until("running")["since"]
        said = supervised.state()["since"]
    assert before < started < said


def test_orphans_are_reaped(tmp_path: Path) -> None:
    """A process whose parent has ended does not stay as a zombie below the supervisor."""
    script = f"(sh -c 'sleep 0.1; exit 5' & echo $! > {tmp_path}/orphan); exec sleep 99"
    with Supervised(tmp_path, sh(script), log_level="debug") as supervised:
        supervised.wait_for("orphan ended", ending="exit code 5")
        assert [p.status() for p in supervised.descendants()] == [psutil.STATUS_SLEEPING]


def test_what_a_dead_daemon_leaves_behind_is_ended(tmp_path: Path) -> None:
    """Its children, who may hold its port, get SIGTERM when it has died; the next one does not."""
    script = f"sleep 98 & echo $! >> {tmp_path}/children; exec sleep 99"
    with Supervised(tmp_path, sh(script)) as supervised:
        first = supervised.wait_until("running")["pid"]
        until(lambda: written(tmp_path / "children"))
        os.kill(first, signal.SIGKILL)
        supervised.wait_for("started", times=2)
        until(lambda: len(written(tmp_path / "children").split()) == 2)
        lines = written(tmp_path / "children").split()
        until(lambda: not alive(int(lines[0])))
        assert alive(int(lines[1]))


def test_a_program_gets_its_environment_and_nothing_else(tmp_path: Path) -> None:
    """Nothing of the supervisor's environment, no descriptor, nothing to read, a group of its own."""
    script = (
        "import os, json, sys, signal;"
        "fds = os.listdir('/proc/self/fd');"
        "print(json.dumps({'env': dict(os.environ), 'fds': sorted(fds)[:3], 'fd': len(fds),"
        "'stdin': sys.stdin.read(), 'own_group': os.getpgid(0) == os.getpid(),"
        "'blocked': len(signal.pthread_sigmask(signal.SIG_BLOCK, ()))}));"
        "signal.pause()"
    )
    program = python(script, env={"ONLY": "this", "LC_CTYPE": "C.UTF-8"})
    with Supervised(tmp_path, program) as supervised:
        said = until(lambda: [line["event"] for line in supervised.log() if line["program"] == "daemon"])
    told = json.loads(said[0])
    assert told["env"] == {"ONLY": "this", "LC_CTYPE": "C.UTF-8"}
    assert told["fds"] == ["0", "1", "2"]
    assert told["fd"] == 4  # and the one that lists them
    assert told["stdin"] == ""
    assert told["own_group"]
    assert told["blocked"] == 0


@pytest.mark.parametrize("number", [signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGHUP])
def test_a_program_has_default_signals(tmp_path: Path, number: signal.Signals) -> None:
    """Signals that Python ignores or we hold back end a program as they should."""
    with Supervised(tmp_path, sh(f"kill -{number} $$; sleep 9"), deaths_limit=1) as supervised:
        assert supervised.exit_code() == 128 + number


def test_secrets_leave_the_environment_of_the_process(tmp_path: Path) -> None:
    """After the change to the second stage, /proc/PID/environ does not hold what the first one had."""
    plan_file = tmp_path / "plan.json"
    write_plan(Plan(service="t", version="1", programs=(sh("exec sleep 99"),)), plan_file)
    code = f"from entrypoint.supervise import become_supervisor; become_supervisor({str(plan_file)!r})"
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LDAP_PASSWORD": "hunter2", "TZ": "UTC"}
    with subprocess.Popen([sys.executable, "-c", code], env=env, stderr=subprocess.DEVNULL) as process:
        try:
            until((tmp_path / "state.json").exists)
            environ = Path(f"/proc/{process.pid}/environ").read_text()
            assert "hunter2" not in environ
            assert "TZ=UTC" in environ
        finally:
            process.terminate()
        assert process.wait(20) == 0


def test_only_what_the_second_stage_needs_is_kept() -> None:
    """Paths, locale, zone and Python's flags stay; everything else goes."""
    kept = {"PATH": "/bin", "LANG": "C", "TZ": "UTC", "PYTHONUNBUFFERED": "1"}
    assert bare_environment({**kept, "LDAP_PASSWORD": "x", "REDIS_PASSWORD": "y", "MY_PATH": "z"}) == kept


def test_the_first_stage_does_not_load_what_the_second_needs() -> None:
    """`become_supervisor` can be imported without supervisor and structlog."""
    code = "import sys, entrypoint.supervise; print({'supervisor', 'structlog', 'json'} & set(sys.modules))"
    told = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}
    )
    assert told.stdout == "set()\n"


def test_modules_left_out_while_importing_can_be_imported_afterwards() -> None:
    """The empty modules that stand in for unused ones do not stay."""
    code = (
        "import entrypoint.supervise.library, asyncio, http.client;"
        "asyncio.run(asyncio.sleep(0)); print(http.client.HTTP_PORT)"
    )
    told = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT)},
    )
    assert told.stdout == "80\n"


def test_it_needs_no_writable_folder_but_its_own(tmp_path: Path) -> None:
    """Without a writable temporary directory, as with a read-only root, it runs."""
    with Supervised(tmp_path, sh("exec sleep 99")) as supervised:
        supervised.wait_until("running")
        files = {file.name for file in (tmp_path / "run").iterdir()}
    assert files == {"plan.json", "state.json"}


def test_a_command_is_looked_for_in_the_path_of_the_program(tmp_path: Path) -> None:
    """PATH is the program's, directories and files that are no programs do not count."""
    for folder in ("one", "two", "three"):
        (tmp_path / folder).mkdir()
    (tmp_path / "one" / "daemon").mkdir()
    (tmp_path / "two" / "daemon").write_text("not executable")
    (tmp_path / "three" / "daemon").write_text("#!/bin/sh\n")
    (tmp_path / "three" / "daemon").chmod(0o755)
    path = ":".join(str(tmp_path / folder) for folder in ("one", "two", "three"))
    assert find_executable("daemon", {"PATH": path}) == str(tmp_path / "three" / "daemon")
    with pytest.raises(FileNotFoundError):
        find_executable("daemon", {"PATH": str(tmp_path)})


def test_the_state_file_tells_how_everything_is(tmp_path: Path) -> None:
    """Its shape is what `state` documents, and only its owner can read it."""
    programs = (sh("exec sleep 99", "one"), sh("exit 1", "two"))
    with Supervised(tmp_path, *programs, deaths_limit=99) as supervised:
        supervised.wait_until("backoff", "two")
        state = supervised.state()
        assert (tmp_path / "run" / "state.json").stat().st_mode & 0o777 == 0o600
        assert alive(state["programs"]["one"]["pid"])
        assert state.keys() == {"phase", "service", "version", "pid", "since", "reload", "programs"}
        assert (state["phase"], state["service"], state["pid"]) == ("running", "test", supervised.process.pid)
        expected = {"kind", "state", "pid", "since", "deaths", "starts", "last_exit", "next"}
        assert state["programs"]["two"].keys() == expected
        assert state["programs"]["two"]["pid"] is None
        assert state["programs"]["two"]["last_exit"] == "exit code 1"
        supervised.end()
        assert supervised.state()["phase"] == "stopping"
        assert {p["state"] for p in supervised.state()["programs"].values()} == {"stopped"}


def test_the_plan_that_is_read_is_the_plan_that_was_written(tmp_path: Path) -> None:
    """What the first stage writes is what the second runs."""
    plan = Plan(service="t", version="1", programs=(sh("true", pipes={"/x": "raw"}),))
    write_plan(plan, tmp_path / "plan.json")
    assert read_plan(tmp_path / "plan.json") == plan
