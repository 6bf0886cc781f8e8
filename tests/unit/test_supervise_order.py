"""What comes before what, what runs only once, and what runs now and then, with real processes."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from entrypoint.plan import Program
from entrypoint.watch import signature
from tests.unit.supervised import Supervised, alive, sh, until, written

FOREVER = "exec sleep 99"


def _order(supervised: Supervised, event: str, *names: str) -> list[str]:
    """The programs in the order in which they were logged with this event."""
    return [line["daemon"] for line in supervised.logged(event) if line["daemon"] in names]


def test_what_requires_a_once_starts_after_its_good_end(tmp_path: Path) -> None:
    """The daemon starts only when the program that prepares something for it has ended with 0."""
    before = sh(f"until [ -e {tmp_path}/go ]; do sleep 0.01; done; touch {tmp_path}/done", "before", kind="once")
    daemon = sh(f"[ -e {tmp_path}/done ] && touch {tmp_path}/good; {FOREVER}", requires=("before",))
    with Supervised(tmp_path, daemon, before) as supervised:
        supervised.wait_until("running", "before")
        assert supervised.state()["programs"]["daemon"]["state"] == "waiting"
        (tmp_path / "go").touch()
        supervised.wait_until("running")
        assert supervised.state()["programs"]["before"]["state"] == "done"
        until((tmp_path / "good").exists)
        assert supervised.end()[0] == 0


def test_what_requires_nothing_does_not_wait_for_others(tmp_path: Path) -> None:
    """Independent programs start at once, side by side."""
    slow = sh(FOREVER, "slow", kind="once")
    with Supervised(tmp_path, slow, sh(FOREVER, "one"), sh(FOREVER, "two", requires=("slow",))) as supervised:
        supervised.wait_until("running", "one")
        assert supervised.state()["programs"]["two"]["state"] == "waiting"


def test_a_once_that_fails_is_tried_again(tmp_path: Path) -> None:
    """It starts again as a daemon would, and what requires it waits so long."""
    script = f"echo x >> {tmp_path}/n; [ $(grep -c x {tmp_path}/n) = 3 ]"
    with Supervised(tmp_path, sh(script, "before", kind="once"), sh(FOREVER, requires=("before",))) as supervised:
        supervised.wait_until("running")
        assert len(supervised.logged("died", daemon="before")) == 2
        assert supervised.logged("done", daemon="before")


def test_a_once_that_goes_on_failing_ends_the_container_with_its_code(tmp_path: Path) -> None:
    """What requires it never starts."""
    programs = (sh("exit 9", "before", kind="once"), sh(FOREVER, requires=("before",)))
    with Supervised(tmp_path, *programs, deaths_limit=3) as supervised:
        assert supervised.exit_code() == 9
        assert not supervised.logged("started", daemon="daemon")


def test_a_once_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    """Its limit counts as a death."""
    with Supervised(tmp_path, sh(FOREVER, "before", kind="once", limit_s=0.1), deaths_limit=2) as supervised:
        assert supervised.exit_code() == 143
        assert supervised.logged("died", daemon="before")[0]["ending"] == "ended after 0.1 s"


def test_a_once_that_is_done_stays_done(tmp_path: Path) -> None:
    """When what requires it dies, that starts again without it."""
    with Supervised(tmp_path, sh("true", "before", kind="once"), sh(FOREVER, requires=("before",))) as supervised:
        pid = supervised.wait_until("running")["pid"]
        os.kill(pid, signal.SIGKILL)
        supervised.wait_for("started", times=2, daemon="daemon")
        assert supervised.state()["programs"]["before"]["starts"] == 1


def test_stop_goes_backwards_along_the_requirements(tmp_path: Path) -> None:
    """What requires others ends first; each waits for all that require it."""
    ends = "trap 'sleep 0.05; exit 0' TERM; while :; do sleep 0.01; done"
    programs = (sh(ends, "one"), sh(ends, "two", requires=("one",)), sh(ends, "three", requires=("one", "two")))
    with Supervised(tmp_path, *programs) as supervised:
        for name in ("one", "two", "three"):
            supervised.wait_for("started", daemon=name)  # the log may be a breath behind the state
        assert _order(supervised, "started", "one", "two", "three") == ["one", "two", "three"]
        assert supervised.end()[0] == 0
        assert _order(supervised, "stopped", "one", "two", "three") == ["three", "two", "one"]


def test_independent_programs_stop_side_by_side(tmp_path: Path) -> None:
    """Three that take their time take it together."""
    ends = "trap 'sleep 0.4; exit 0' TERM; touch $0; while :; do sleep 0.01; done"
    programs = [
        Program(name=name, argv=("/bin/sh", "-c", ends, str(tmp_path / name)), env={"PATH": os.environ["PATH"]})
        for name in ("one", "two", "three")
    ]
    with Supervised(tmp_path, *programs) as supervised:
        for program in programs:
            until((tmp_path / program.name).exists)
        assert supervised.end()[0] == 0
        assert supervised.logged("all stopped")[0]["took_s"] < 1.1


def test_a_job_runs_again_and_again(tmp_path: Path) -> None:
    """Periodically, and without a line in the log when all is well."""
    with Supervised(tmp_path, sh(f"echo x >> {tmp_path}/n", "job", kind="job", every_s=0.05)) as supervised:
        until(lambda: written(tmp_path / "n").count("x") >= 5)
        assert not supervised.logged("started")
        entry = supervised.state()["programs"]["job"]
        assert entry["deaths"] == 0
        assert entry["next"] > entry["since"] - 1


def test_a_job_never_runs_twice_at_a_time(tmp_path: Path) -> None:
    """One that takes longer than its period is not started beside itself, and that is told."""
    script = (
        f"mkdir {tmp_path}/alone || touch {tmp_path}/twice; sleep 0.2; rmdir {tmp_path}/alone; echo x >> {tmp_path}/n"
    )
    with Supervised(tmp_path, sh(script, "job", kind="job", every_s=0.05)) as supervised:
        until(lambda: written(tmp_path / "n").count("x") >= 3)
        assert not (tmp_path / "twice").exists()
        supervised.wait_for("a job takes longer than its period", job="job")


def test_a_failing_job_is_told_and_ends_nothing(tmp_path: Path) -> None:
    """However often; and that it is well again is told, too."""
    script = f"echo x >> {tmp_path}/n; [ $(grep -c x {tmp_path}/n) -gt 6 ]"
    daemon = sh(FOREVER)
    with Supervised(tmp_path, sh(script, "job", kind="job", every_s=0.02), daemon, deaths_limit=3) as supervised:
        assert supervised.wait_for("a job has failed", times=6)["failures"] == 6
        assert supervised.wait_for("a job is well again")["failures"] == 6
        assert supervised.process.poll() is None
        assert supervised.logged("a job has failed")[0]["ending"] == "exit code 1"


def test_a_job_that_hangs_is_ended(tmp_path: Path) -> None:
    """After its limit, with all that it has started, and the next run comes."""
    script = f"sleep 98 & echo $! >> {tmp_path}/n; wait"
    with Supervised(tmp_path, sh(script, "job", kind="job", every_s=0.1, limit_s=0.1)) as supervised:
        supervised.wait_for("a job has failed", times=2, ending="ended after 0.1 s")
        until(lambda: not alive(int(written(tmp_path / "n").split()[0])))


def test_a_running_job_is_stopped_with_the_rest(tmp_path: Path) -> None:
    """A stop does not wait for it."""
    with Supervised(tmp_path, sh(f"touch {tmp_path}/on; {FOREVER}", "job", kind="job", every_s=0.01)) as supervised:
        until((tmp_path / "on").exists)
        code, took_s = supervised.end()
        assert code == 0
        assert took_s < 2


# Reload: the job of that name, whatever it does; here a shell script that plays its part.


def _reload(folder: Path, result: str, before: str = ":") -> Program:
    script = f"{before}; echo x >> {folder}/reloads; echo '{result}' > {folder}/run/reload.json"
    return sh(script, "reload", kind="job")


def _result(*, ok: bool = True, **actions: str) -> str:
    return json.dumps({"at": time.time(), "ok": ok, "line": "told so", "actions": actions})


def test_hup_reloads_and_signals_the_daemon(tmp_path: Path) -> None:
    """The daemon that the reload names gets its signal and keeps running; the state tells of it."""
    daemon = sh("trap 'echo got HUP' HUP; echo ready; while :; do sleep 0.01; done")
    with Supervised(tmp_path, daemon, _reload(tmp_path, _result(daemon="HUP"))) as supervised:
        supervised.wait_for("ready")
        assert supervised.state()["reload"] is None
        supervised.send(signal.SIGHUP)
        supervised.wait_for("got HUP")
        assert until(lambda: supervised.state()["reload"])["line"] == "told so"
        assert len(supervised.logged("started", daemon="daemon")) == 1


def test_a_reload_restarts_what_has_to_be(tmp_path: Path) -> None:
    """It ends orderly and starts again, which is no death."""
    ends = f"trap 'touch {tmp_path}/orderly; exit 0' TERM; echo ready; while :; do sleep 0.01; done"
    with Supervised(tmp_path, sh(ends), _reload(tmp_path, _result(daemon="restart"))) as supervised:
        supervised.wait_for("ready")
        supervised.send(signal.SIGHUP)
        supervised.wait_for("ready", times=2)
        assert (tmp_path / "orderly").exists()
        entry = supervised.state()["programs"]["daemon"]
        assert (entry["deaths"], entry["starts"]) == (0, 2)


def test_a_reload_runs_jobs_at_once(tmp_path: Path) -> None:
    """One that it names, long before its time; and no other one."""
    jobs = (sh(f"echo x >> {tmp_path}/{name}", name, kind="job", every_s=3600.0) for name in ("named", "other"))
    with Supervised(tmp_path, sh(FOREVER), *jobs, _reload(tmp_path, _result(named="RUN"))) as supervised:
        supervised.wait_until("running")
        supervised.send(signal.SIGHUP)
        until((tmp_path / "named").exists)
        assert supervised.end()[0] == 0
        assert (tmp_path / "named").read_text() == "x\n"
        assert not (tmp_path / "other").exists()


def test_a_refused_reload_does_nothing(tmp_path: Path) -> None:
    """No signal, no restart; the state says that it was refused."""
    daemon = sh("trap 'echo got HUP' HUP; echo ready; while :; do sleep 0.01; done")
    reload = _reload(tmp_path, _result(ok=False, daemon="HUP"))
    with Supervised(tmp_path, daemon, reload) as supervised:
        supervised.wait_for("ready")
        supervised.send(signal.SIGHUP)
        assert until(lambda: supervised.state()["reload"])["ok"] is False
        supervised.end()
        assert not supervised.logged("got HUP")


@pytest.mark.parametrize(
    "script", ["exit 3", "echo '{' > $0/run/reload.json", "echo '{\"ok\": true}' > $0/run/reload.json"]
)
def test_a_reload_without_a_result_has_failed(tmp_path: Path, script: str) -> None:
    """It crashed, or wrote nonsense: the daemons go on."""
    reload = Program(name="reload", kind="job", argv=("/bin/sh", "-c", script, str(tmp_path)))
    with Supervised(tmp_path, sh(FOREVER), reload) as supervised:
        pid = supervised.wait_until("running")["pid"]
        supervised.send(signal.SIGHUP)
        note = until(lambda: supervised.state()["reload"])
        assert note["ok"] is False
        assert "without a result" in note["line"]
        assert supervised.state()["programs"]["daemon"]["pid"] == pid


def test_reloads_that_are_asked_for_meanwhile_are_one(tmp_path: Path) -> None:
    """Five signals during a reload mean one more, afterwards."""
    slow = f"touch {tmp_path}/on; until [ -e {tmp_path}/go ]; do sleep 0.01; done"
    with Supervised(tmp_path, sh(FOREVER), _reload(tmp_path, _result(), slow)) as supervised:
        supervised.wait_until("running")
        supervised.send(signal.SIGHUP)
        until((tmp_path / "on").exists)
        for count in range(5):
            supervised.send(signal.SIGHUP)
            supervised.wait_for("reloading", times=count + 2)
        (tmp_path / "go").touch()
        until(lambda: written(tmp_path / "reloads").count("x") == 2)
        supervised.send(signal.SIGUSR1)
        supervised.wait_for("state")
        assert written(tmp_path / "reloads").count("x") == 2


def test_without_a_reload_job_hup_does_nothing(tmp_path: Path) -> None:
    """A daemon that would die of it does not get it."""
    with Supervised(tmp_path, sh(FOREVER)) as supervised:
        pid = supervised.wait_until("running")["pid"]
        supervised.send(signal.SIGHUP)
        supervised.wait_for("nothing to reload")
        assert supervised.state()["programs"]["daemon"]["pid"] == pid


def test_a_changed_file_reloads(tmp_path: Path) -> None:
    """Also when it is a symlink that leads elsewhere now, as Kubernetes and certbot do it."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "key").write_text("the same")
    (tmp_path / "live").symlink_to("old")
    watched = str(tmp_path / "live" / "key")
    watch = {watched: signature(watched)}
    with Supervised(tmp_path, sh(FOREVER), _reload(tmp_path, _result()), watch=watch) as supervised:
        supervised.wait_until("running")
        (tmp_path / "aside").symlink_to("new")
        (tmp_path / "aside").rename(tmp_path / "live")
        assert watched in supervised.wait_for("reloading")["why"]
        until(lambda: written(tmp_path / "reloads"))


def test_a_file_that_changed_before_the_supervisor_looked_reloads(tmp_path: Path) -> None:
    """What counts is how the file was when it was read, which is in the plan."""
    watched = tmp_path / "key"
    watched.write_text("new")
    watch = {str(watched): "as it was"}
    with Supervised(tmp_path, sh(FOREVER), _reload(tmp_path, _result()), watch=watch) as supervised:
        supervised.wait_for("reloading")


def test_a_file_that_stays_reloads_nothing_and_a_refusal_is_not_repeated(tmp_path: Path) -> None:
    """One change, one reload, though it was refused and the file still differs from what was read."""
    watched, other = tmp_path / "key", tmp_path / "other"
    other.write_text("stays")
    watch = {str(watched): "as it was", str(other): signature(str(other))}
    reload = _reload(tmp_path, _result(ok=False))
    with Supervised(tmp_path, sh(FOREVER), reload, watch=watch) as supervised:
        assert str(other) not in supervised.wait_for("reloading")["why"]
        until(lambda: supervised.state()["reload"])
        time.sleep(4.5)  # two looks more
        assert len(supervised.logged("reloading")) == 1
