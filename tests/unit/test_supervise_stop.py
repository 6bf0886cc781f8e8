"""Stop, signals and what they leave behind, with real processes."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests.unit.supervised import Supervised, alive, python, sh, until, written

# Says so when it is ready, since a signal before the handler is set would end it as a default one.
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready')\nwhile True: signal.pause()"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_it_stops_at_once_and_orderly(tmp_path: Path, number: signal.Signals) -> None:
    """A signal to stop ends the programs and then the supervisor with 0, without waiting for a tick."""
    with Supervised(tmp_path, sh("exec sleep 99")) as supervised:
        pid = supervised.wait_until("running")["pid"]
        code, took_s = supervised.end(number)
        assert code == 0
        assert took_s < 0.5
        assert not alive(pid)
        assert supervised.logged("stopped", daemon="daemon")[0]["took_s"] < 0.5
        assert supervised.logged("all stopped", exit_code=0)


def test_a_signal_before_the_supervisor_is_ready_is_not_lost(tmp_path: Path) -> None:
    """SIGTERM during the imports is acted on as soon as they are done."""
    with Supervised(tmp_path, sh(f"touch {tmp_path}/started; exec sleep 99")) as supervised:
        until((tmp_path / "started").exists)
        assert not (tmp_path / "run" / "state.json").exists()
        assert supervised.end()[0] == 0


def test_a_program_that_ignores_the_signal_is_killed_after_its_grace_time(tmp_path: Path) -> None:
    """Not before, and not much later; the log says so."""
    with Supervised(tmp_path, python(STUBBORN, grace_s=0.5)) as supervised:
        supervised.wait_for("ready")
        code, took_s = supervised.end()
        assert code == 0
        assert 0.5 <= took_s < 1.5
        assert supervised.logged("does not stop, killing it", daemon="daemon", after_s=0.5)
        assert supervised.logged("stopped", ending="signal 9 (SIGKILL)")


def test_a_program_that_obeys_is_not_killed(tmp_path: Path) -> None:
    """A program that takes its time within the grace time ends by itself."""
    script = "trap 'sleep 0.3; exit 0' TERM; echo ready; while :; do sleep 0.01; done"
    with Supervised(tmp_path, sh(script, grace_s=5)) as supervised:
        supervised.wait_for("ready")
        code, took_s = supervised.end()
        assert code == 0
        assert 0.3 <= took_s < 3
        assert not supervised.logged("does not stop, killing it")
        assert supervised.logged("stopped", ending="exit code 0")


def test_each_program_gets_its_own_stop_signal(tmp_path: Path) -> None:
    """What the plan names is what arrives."""
    script = (
        "trap 'echo got INT; exit 0' INT; trap 'echo got QUIT; exit 0' QUIT; echo ready; while :; do sleep 0.01; done"
    )
    programs = (sh(script, "one", stop_signal="INT"), sh(script, "two", stop_signal="SIGQUIT"))
    with Supervised(tmp_path, *programs) as supervised:
        for name in ("one", "two"):
            supervised.wait_for("ready", program=name)
        supervised.end()
        assert supervised.logged("got INT", program="one")
        assert supervised.logged("got QUIT", program="two")


def test_programs_stop_in_parallel(tmp_path: Path) -> None:
    """Three that need their whole grace time take no longer than one, and less than Docker's 10 s."""
    programs = [python(STUBBORN, name, grace_s=0.7) for name in ("one", "two", "three")]
    with Supervised(tmp_path, *programs, log_level="debug") as supervised:
        for program in programs:
            supervised.wait_for("ready", program=program.name)
        assert supervised.end()[0] == 0
        assert supervised.logged("all stopped")[0]["took_s"] < 1.6
        told = [line["event"].split()[1] for line in supervised.log() if line["event"].endswith("with signal SIGTERM")]
        assert told == ["three", "two", "one"]


def test_one_that_waits_for_its_restart_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    """A stop during a backoff neither waits for it nor starts the program again, and is orderly."""
    with Supervised(tmp_path, sh("exit 1"), deaths_limit=99) as supervised:
        until(lambda: [line for line in supervised.logged("died") if line["restart_in_ms"] > 1000])
        code, took_s = supervised.end()
        assert code == 0
        assert took_s < 0.5
        assert supervised.state()["programs"]["daemon"]["state"] == "stopped"


def test_when_one_program_is_hopeless_the_others_stop_too(tmp_path: Path) -> None:
    """A dead daemon in a container that is up does not happen."""
    with Supervised(tmp_path, sh("exec sleep 99", "good"), sh("exit 5", "bad"), deaths_limit=2) as supervised:
        assert supervised.exit_code() == 5
        assert supervised.logged("stopped", daemon="good")
        assert supervised.logged("stopping", why="bad: exit code 5")


@pytest.mark.parametrize(("linger_s", "finished"), [(5.0, True), (0.0, False)])
def test_what_a_daemon_leaves_behind_may_finish_its_work(tmp_path: Path, linger_s: float, finished: bool) -> None:
    """As long as the plan allows, and the stop takes no longer than the work."""
    takes_s = 0.5 if finished else 20  # a busy machine may hear of the stop late
    begun = f"until [ -e {tmp_path}/go ]; do sleep 0.01; done; touch {tmp_path}/begun"
    work = f"{begun}; sleep {takes_s}; touch {tmp_path}/finished"
    with Supervised(tmp_path, sh(f"({work}) & exec sleep 99", linger_s=linger_s)) as supervised:
        supervised.wait_for("started")  # it stops at once from then on, and not when it is loaded at last
        (tmp_path / "go").touch()
        until((tmp_path / "begun").exists)
        code, took_s = supervised.end()
        assert code == 0
        assert (tmp_path / "finished").exists() == finished
        assert took_s < 2


@pytest.mark.parametrize("ignore", ["", "trap '' TERM;"])
def test_nothing_survives_the_stop(tmp_path: Path, ignore: str) -> None:
    """Grandchildren end with the supervisor, also in a session of their own, deaf to SIGTERM or not."""
    script = (
        f'setsid sh -c "{ignore} echo \\$\\$ > {tmp_path}/grandchild; while :; do sleep 0.05; done" & exec sleep 99'
    )
    with Supervised(tmp_path, sh(script)) as supervised:
        until(lambda: written(tmp_path / "grandchild"))
        code, took_s = supervised.end()
        assert code == 0
        assert took_s < 3
        assert not alive(int((tmp_path / "grandchild").read_text()))
        assert supervised.logged("all stopped")[0]["orphans"] >= 1


@pytest.mark.parametrize("log_level", ["info", "error"])
def test_usr1_logs_the_state(tmp_path: Path, log_level: str) -> None:
    """A line for each program, also where only errors are logged: somebody has asked."""
    programs = (sh("exec sleep 99", "one"), sh("exec sleep 99", "two"))
    with Supervised(tmp_path, *programs, log_level=log_level) as supervised:
        supervised.wait_until("running", "two")
        supervised.send(signal.SIGUSR1)
        told = supervised.wait_for("state", daemon="one")
        assert told["state"] == "running"
        assert 0 <= told["for_s"] < 60
        assert not {"since", "next", "last_exit"} & told.keys()
        assert alive(supervised.wait_for("state", daemon="two")["pid"])


def test_usr2_does_nothing(tmp_path: Path) -> None:
    """A signal without a meaning neither ends nor restarts anything."""
    with Supervised(tmp_path, sh("exec sleep 99")) as supervised:
        pid = supervised.wait_until("running")["pid"]
        supervised.send(signal.SIGUSR2)
        supervised.send(signal.SIGUSR1)
        assert supervised.wait_for("state")["pid"] == pid


def test_several_signals_at_once_are_all_handled(tmp_path: Path) -> None:
    """HUP, USR1 and TERM that arrive together are acted on, the last one at once.

    Nothing is logged meanwhile, which would wake the loop as well.
    """
    script = f"trap '' HUP; touch {tmp_path}/ready; while :; do sleep 0.01; done"
    with Supervised(tmp_path, sh(script), log_level="error") as supervised:
        supervised.wait_until("running")
        until((tmp_path / "ready").exists)
        for number in (signal.SIGSTOP, signal.SIGHUP, signal.SIGUSR1, signal.SIGTERM):
            supervised.send(number)
        code, took_s = supervised.end(signal.SIGCONT)
        assert code == 0
        assert took_s < 1


def test_it_sleeps_when_there_is_nothing_to_do(tmp_path: Path) -> None:
    """An idle supervisor takes no time at all: it has no tick."""
    with Supervised(tmp_path, sh("exec sleep 99")) as supervised:
        supervised.wait_until("running")
        status = Path(f"/proc/{supervised.process.pid}/status")
        time.sleep(0.2)  # until what belongs to the start is over
        before = _wakeups(status)
        time.sleep(1.5)
        assert _wakeups(status) - before == 0


def _wakeups(status: Path) -> int:
    lines = status.read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)


def test_it_runs_below_an_init(tmp_path: Path) -> None:
    """When it is not PID 1, a double-forked grandchild still comes to it, and not to PID 1."""
    script = f"(setsid sh -c 'echo $$ > {tmp_path}/orphan; exec sleep 98' &) ; exec sleep 99"
    with Supervised(tmp_path, sh(script)) as supervised:
        orphan = int(until(lambda: written(tmp_path / "orphan")))
        until(lambda: _parent(orphan) == supervised.process.pid)
        assert os.getpid() != 1


def _parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
