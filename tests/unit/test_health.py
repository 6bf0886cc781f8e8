"""Health: one line and an exit code, from the plan, the supervisor's report, the last look and the daemons' answers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from entrypoint import health
from entrypoint.plan import Measure, Need, Plan, Probe, Program, write_plan
from tests.unit.servers import Lines, Redis, Server, closes, silence
from tests.unit.test_measures import write_database

SMTP = Lines("220 mail\r\n", {"EHLO": "250 ok\r\n", "QUIT": "221 bye\r\n"})
DOVECOT = Program(name="dovecot", argv=("dovecot",))
LOOK = Program(name="look", argv=("look",), kind="job", every_s=30.0)
DIRECTORY = Need(name="ldap", probes=(Probe(kind="ldap", host="ldap.example.org", port=636),))
GATE = Need(name="lmtp", probes=(), required=False)


def probe(kind: str, port: int, **fields: Any) -> Probe:
    return Probe(**{"kind": kind, "host": "127.0.0.1", "port": port, "timeout_s": 2.0, **fields})


class Container:
    """The files of a running container, in which one program is this very process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        now = time.time()
        self.state: dict[str, Any] = {
            "phase": "running",
            "since": now - 200,
            "reload": None,
            "programs": {
                "dovecot": {
                    "kind": "daemon",
                    "state": "running",
                    "pid": os.getpid(),
                    "since": now - 200,
                    "deaths": 0,
                    "starts": 1,
                    "last_exit": None,
                    "next": None,
                }
            },
        }
        self.plan(DOVECOT)

    def plan(self, *programs: Program, **fields: Any) -> None:
        write_plan(
            Plan(**{"service": "imap", "version": "1", "programs": programs, **fields}), self.folder / "plan.json"
        )

    def program(self, name: str, **fields: Any) -> None:
        self.state["programs"][name] = self.state["programs"].get(name, self.state["programs"]["dovecot"]) | fields

    def look(self, *, ago_s: float = 10, measures: tuple[dict[str, Any], ...] = (), **needs: Any) -> None:
        found = {"at": time.time() - ago_s, "needs": needs, "measures": measures}
        (self.folder / "look.json").write_text(json.dumps(found))

    def asked(self, mode: str = "ready") -> tuple[bool, str]:
        report = self.report(mode)
        return report.well, report.line

    def report(self, mode: str = "ready") -> health.Report:
        (self.folder / "state.json").write_text(json.dumps(self.state))
        return health.examine(mode, str(self.folder))


def answer(*, ok: bool, ago_s: float | None, required: bool = True) -> dict[str, Any]:
    """What a look says of a need."""
    line = "ldaps://ldap.example.org:636: " + ("bound" if ok else "tcp: connection refused")
    return {"ok": ok, "required": required, "at": None if ago_s is None else time.time() - ago_s, "line": line}


def figure(**fields: Any) -> dict[str, Any]:
    """What a look says of a measure."""
    return {"name": "room_free_bytes", "labels": {}, "value": 1.0, "problem": "", "warning": "", **fields}


@pytest.fixture
def container(tmp_path: Path) -> Container:
    return Container(tmp_path)


# What runs


@pytest.mark.parametrize(("mode", "word"), [("live", "alive"), ("ready", "healthy"), ("deep", "healthy")])
def test_a_program_that_runs(container: Container, mode: str, word: str) -> None:
    """Well, however deep one asks."""
    assert container.asked(mode) == (True, f"{word}: dovecot runs since 3 min")


@pytest.mark.parametrize("word", ["waiting", "backoff", "stopping"])
def test_a_program_that_will_run(container: Container, word: str) -> None:
    """Not ready, with the last exit, and the ports are not asked; but no new container would be better."""
    container.plan(DOVECOT, probes=(probe("gopher", 1),))
    container.program("dovecot", state=word, pid=None, last_exit="exit code 2", deaths=2)
    assert container.asked() == (False, f"unhealthy: dovecot is {word} (last: exit code 2)")
    assert container.asked("live") == (True, f"alive: dovecot is {word} (last: exit code 2)")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"state": "fatal"}, "dovecot is fatal (last: exit code 2)"),
        ({"state": "stopped"}, "dovecot is stopped (last: exit code 2)"),
        ({"state": "backoff", "deaths": 3}, "dovecot is backoff (last: exit code 2)"),
    ],
)
def test_a_program_that_is_lost(container: Container, fields: dict[str, Any], words: str) -> None:
    """Neither ready nor alive: it has given up, or dies again and again."""
    container.program("dovecot", pid=None, last_exit="exit code 2", **fields)
    assert container.asked("live") == (False, f"not alive: {words}")
    assert container.asked() == (False, f"unhealthy: {words}")


def test_when_it_starts_again(container: Container) -> None:
    """Who waits may know for how long."""
    container.program("dovecot", state="backoff", pid=None, next=time.time() + 20.04)
    assert container.asked()[1].startswith("unhealthy: dovecot is backoff, starts again in 20.")


def test_a_program_that_nobody_knows(container: Container) -> None:
    """A program of the plan that the supervisor does not report is not taken for well."""
    container.plan(DOVECOT, Program(name="stats", argv=("stats",)))
    assert container.asked() == (False, "unhealthy: stats is unknown to the supervisor")
    assert not container.asked("live")[0]


@pytest.fixture
def zombie() -> Iterator[int]:
    """The pid of a child that has ended and is not yet reaped."""
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    yield process.pid
    process.wait()


@pytest.mark.parametrize("mode", ["live", "ready"])
def test_a_supervisor_that_does_not_notice_a_death(container: Container, mode: str, zombie: int) -> None:
    """A zombie, or no process at all, and the supervisor's report stays as it is: a new container would be better."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    for pid in (zombie, dead.pid):
        container.program("dovecot", pid=pid)
        assert container.asked(mode)[1].endswith(f": dovecot has just died, pid {pid} is gone")
        assert not container.asked(mode)[0]


def test_a_death_that_the_supervisor_is_about_to_notice(container: Container, zombie: int, tmp_path: Path) -> None:
    """The report is older than the death: a moment later there is a new one."""
    new = json.dumps(container.state)
    (tmp_path / "new").write_text(new)
    container.program("dovecot", pid=zombie)
    with subprocess.Popen(["sh", "-c", f"sleep 0.2; mv {tmp_path}/new {tmp_path}/state.json"]):
        assert container.asked("live") == (True, "alive: dovecot runs since 3 min")


def test_a_program_that_has_come_back(container: Container) -> None:
    """Well, but its deaths are told."""
    container.program("dovecot", deaths=2, last_exit="SIGSEGV", since=time.time() - 5)
    assert container.asked() == (True, "healthy: dovecot runs since 5 s after 2 deaths (last: SIGSEGV)")


def test_stopping(container: Container) -> None:
    """A container that stops is not ready, whatever its programs still do; nobody has to end it for that."""
    container.state["phase"] = "stopping"
    assert container.asked() == (False, "unhealthy: stopping")
    assert container.asked("live")[0]


def test_programs_that_run_once(container: Container) -> None:
    """Done is well; not yet done is not ready; failed for good is lost."""
    container.plan(DOVECOT, Program(name="load", argv=("load",), kind="once"))
    for word, ready, live in (("done", True, True), ("running", False, True), ("fatal", False, False)):
        container.program("load", kind="once", state=word)
        assert (container.asked()[0], container.asked("live")[0]) == (ready, live)
    container.program("load", state="done")
    assert container.asked()[1] == "healthy: dovecot runs since 3 min, load is done"


def test_jobs(container: Container) -> None:
    """One that fails is a warning, whatever state it is in; one that waits or runs is nothing to tell."""
    container.plan(DOVECOT, LOOK)
    for word in ("waiting", "running", "stopped"):
        container.program("look", kind="job", state=word, pid=None)
        assert container.asked() == (True, "healthy: dovecot runs since 3 min")
    container.program("look", deaths=1, last_exit="exit code 1")
    assert container.asked() == (True, "healthy, but: the job look has failed 1 time (last: exit code 1)")


@pytest.mark.parametrize(
    ("seconds", "words"), [(-1, "0 s"), (59, "59 s"), (61, "1 min"), (7300, "2 h"), (200_000, "2 d")]
)
def test_ages(seconds: float, words: str) -> None:
    """Ages are told in their largest unit; a clock that went back is no reason for an error."""
    assert health.age(seconds) == words


# What answers


def test_healthy(container: Container) -> None:
    """The program runs and every daemon's port answers."""
    with Server(SMTP) as smtp, Server(Redis()) as redis:
        container.plan(DOVECOT, probes=(probe("smtp", smtp.port), probe("redis", redis.port)))
        assert container.asked() == (True, "healthy: dovecot runs since 3 min, smtp ok, redis ok")


def test_alive_asks_nobody(container: Container) -> None:
    """Not even one that would not be understood."""
    container.plan(DOVECOT, probes=(probe("gopher", 1),))
    assert container.asked("live") == (True, "alive: dovecot runs since 3 min")


def test_probes_of_one_kind_are_told_apart(container: Container) -> None:
    """Three ports of one protocol are named with their ports."""
    with Server(SMTP) as one, Server(SMTP) as other:
        container.plan(DOVECOT, probes=(probe("smtp", one.port), probe("smtp", other.port)))
        assert container.asked()[1].endswith(f"smtp:{one.port} ok, smtp:{other.port} ok")


def test_a_daemon_that_does_not_answer(container: Container) -> None:
    """The program runs, but a port does not answer: unhealthy, and only the bad news."""
    with Server(SMTP) as smtp, Server(closes) as redis:
        container.plan(DOVECOT, probes=(probe("smtp", smtp.port), probe("redis", redis.port)))
        words = f"unhealthy: redis://127.0.0.1:{redis.port}: answer: closed the connection"
        assert container.asked() == (False, words)


def test_all_probes_share_a_budget() -> None:
    """Silent servers do not add up their time limits; what answers after them is still asked."""
    begin, report = time.monotonic(), health.Report("ready")
    with Server(silence) as one, Server(silence) as other, Server(SMTP) as good:
        asked = [probe("imap", server.port, timeout_s=5.0) for server in (one, other)] + [probe("smtp", good.port)]
        health.ask_all(report, [asdict(each) for each in asked], budget_s=0.5)
    assert time.monotonic() - begin < 2
    assert report.line.count("no answer within") == 2
    assert not re.search(r"within \d+\.\d\d", report.line)  # what is left of the budget, and for people
    assert report.good == ["smtp ok"]


# What is needed


@pytest.fixture
def needing(container: Container) -> Container:
    """One that needs a directory, and would like to have a gate; it is looked at every 30 s."""
    container.plan(DOVECOT, LOOK, needs=(DIRECTORY, GATE))
    container.program("look", kind="job", state="waiting", pid=None)
    return container


def test_what_is_needed_has_answered_lately(needing: Container) -> None:
    """Also when the last try was in vain: one moment is no outage."""
    needing.look(ldap=answer(ok=True, ago_s=20), lmtp=answer(ok=True, ago_s=20))
    assert needing.asked() == (True, "healthy: dovecot runs since 3 min")
    needing.look(ldap=answer(ok=False, ago_s=85), lmtp=answer(ok=False, ago_s=85))
    assert needing.asked() == (True, "healthy: dovecot runs since 3 min")


def test_what_is_needed_is_away(needing: Container) -> None:
    """Not ready, with the reason; but alive, as a new container would not have a directory either."""
    needing.look(ldap=answer(ok=False, ago_s=95), lmtp=answer(ok=True, ago_s=5))
    why = "ldap has not answered for 1 min: ldaps://ldap.example.org:636: tcp: connection refused"
    assert needing.asked() == (False, f"unhealthy: {why}")
    assert needing.asked("live") == (True, "alive: dovecot runs since 3 min")


def test_what_is_only_useful_is_away(needing: Container) -> None:
    """A warning."""
    needing.look(ldap=answer(ok=True, ago_s=5), lmtp=answer(ok=False, ago_s=None))
    well, line = needing.asked()
    assert well
    assert line.startswith("healthy, but: lmtp has not answered for 3 min: ")


def test_the_wait_at_the_start_counts_as_an_answer(needing: Container) -> None:
    """For as long as any other; and nobody who asks is as bad as nobody who answers."""
    needing.state["since"] = time.time() - 60
    assert needing.asked() == (True, "healthy: dovecot runs since 3 min")
    needing.look(ldap=answer(ok=False, ago_s=None), lmtp=answer(ok=False, ago_s=None))
    assert needing.asked()[0]
    needing.state["since"] = time.time() - 95
    assert "ldap has not answered for 1 min: ldaps" in needing.asked()[1]
    (needing.folder / "look.json").unlink()
    assert "ldap has not answered for 1 min: the job look has not ended yet" in needing.asked()[1]
    needing.look(ago_s=100, ldap=answer(ok=True, ago_s=100), lmtp=answer(ok=True, ago_s=100))
    assert "ldap has not answered for 1 min: the job look has last ended 1 min ago; see the log" in needing.asked()[1]


def test_silence_takes_its_time(container: Container) -> None:
    """However often one looks: a server that is away is asked for some seconds before that is known."""
    container.plan(DOVECOT, Program(name="look", argv=("look",), kind="job", every_s=1.0), needs=(DIRECTORY,))
    for ago_s, well in ((14, True), (16, False)):
        container.look(ldap=answer(ok=False, ago_s=ago_s))
        assert container.asked()[0] == well


def test_without_the_job_nothing_is_asked_of_needs(container: Container) -> None:
    """A plan without it says nothing about needs."""
    container.plan(DOVECOT, needs=(DIRECTORY,))
    assert container.asked() == (True, "healthy: dovecot runs since 3 min")


# Warnings


def test_measures_are_warnings(needing: Container) -> None:
    """A disk that is full makes no container unready: Exim answers for itself then."""
    fine: dict[str, Any] = {"ldap": answer(ok=True, ago_s=5), "lmtp": answer(ok=True, ago_s=5)}
    needing.look(measures=(figure(),), **fine)
    assert needing.asked() == (True, "healthy: dovecot runs since 3 min")
    needing.look(measures=(figure(), figure(warning="w is little"), figure(problem="p is none")), **fine)
    assert needing.asked() == (True, "healthy, but: w is little; p is none")


def test_a_refused_reload_is_a_warning(container: Container) -> None:
    """With its reason; one that went well is not told."""
    container.state["reload"] = {"at": time.time() - 130, "ok": False, "line": "cannot use TLS_KEY"}
    assert container.asked() == (True, "healthy, but: the reload 2 min ago was refused: cannot use TLS_KEY")
    container.state["reload"]["ok"] = True
    assert container.asked() == (True, "healthy: dovecot runs since 3 min")


@pytest.mark.parametrize(
    ("days", "words"),
    [(14.5, ""), (13.5, "the certificate /c expires in 13 d"), (-2.5, "the certificate /c expired 2 d ago")],
)
def test_a_certificate_that_ends_is_a_warning(container: Container, days: float, words: str) -> None:
    """From two weeks on, and after its end: a new container would not make it younger."""
    container.plan(DOVECOT, expires={"/c": time.time() + days * 86_400})
    assert container.asked() == (True, f"healthy, but: {words}" if words else "healthy: dovecot runs since 3 min")


# Deep


def test_deep_asks_at_once(container: Container, tmp_path: Path) -> None:
    """What is needed now, not lately; it does not wait for a look, and leaves the last one alone."""
    with Server(Redis()) as server:
        need = Need(name="redis", probes=(probe("redis", server.port),))
        container.plan(DOVECOT, needs=(need,))
        well, line = container.asked("deep")
        assert well
        assert re.fullmatch(r"healthy: dovecot runs since 3 min, redis answers in \d\.\d\d s", line)
    well, line = container.asked("deep")
    assert not well
    assert line == f"unhealthy: redis: redis://127.0.0.1:{server.port}: tcp: connection refused"
    container.plan(DOVECOT, needs=(Need(name="redis", probes=need.probes, required=False),))
    assert container.asked("deep")[0]
    assert not (tmp_path / "look.json").exists()


def test_deep_measures(container: Container, tmp_path: Path) -> None:
    """Problems are problems here, and warnings are warnings."""
    container.plan(DOVECOT, measures=(Measure(kind="signatures", where=str(tmp_path)),))
    assert container.asked("deep")[1].startswith("unhealthy: cannot measure signatures")
    write_database(tmp_path / "daily.cld", time.time())
    assert container.asked("deep")[0]
    write_database(tmp_path / "daily.cld", time.time() - 3 * 86_400)
    assert "but: the newest virus signatures" in container.asked("deep")[1]
    assert container.report("deep").as_dict()["measures"][0]["name"] == "signatures_age_seconds"


# The command


def run(container: Container, capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    code = health.main(arguments, str(container.folder))
    return code, capsys.readouterr().out


def test_before_the_plan(container: Container, capsys: pytest.CaptureFixture[str]) -> None:
    """While the first stage waits there is no plan: not ready, but as alive as can be."""
    (container.folder / "plan.json").unlink()
    assert run(container, capsys) == (1, "starting: waiting for what it needs\n")
    assert run(container, capsys, "--live") == (0, "alive: starting: waiting for what it needs\n")


def test_before_the_first_report(container: Container, capsys: pytest.CaptureFixture[str]) -> None:
    """While the supervisor begins there is no report."""
    assert run(container, capsys) == (1, "starting: the supervisor has not reported yet\n")
    assert run(container, capsys, "--live")[0] == 0


@pytest.mark.parametrize("broken", ["plan.json", "state.json"])
@pytest.mark.parametrize("text", ['{"half":', "[]", "{}"])
def test_files_that_cannot_be_read(
    container: Container, broken: str, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A broken file is the reason, in one line and without a traceback."""
    container.report()
    (container.folder / broken).write_text(text)
    code, line = run(container, capsys)
    assert code == 1
    assert line.startswith("unhealthy: ")
    assert line.count("\n") == 1


def test_the_command_says_healthy(container: Container, capsys: pytest.CaptureFixture[str]) -> None:
    """Good news: exit code 0, and a note of it for metrics."""
    container.report()
    assert run(container, capsys) == (0, "healthy: dovecot runs since 3 min\n")
    note = json.loads((container.folder / "health.json").read_text())
    assert note.pop("at") == pytest.approx(time.time(), abs=60)
    assert note == {"mode": "ready", "well": True, "line": "healthy: dovecot runs since 3 min"}


@pytest.mark.parametrize(("ago_s", "kept"), [(5, "ready"), (400, "live")])
def test_being_alive_does_not_hide_that_it_is_not_ready(
    container: Container, capsys: pytest.CaptureFixture[str], ago_s: float, kept: str
) -> None:
    """Where both are asked for, as in Kubernetes, metrics and status know about readiness; where only one, that."""
    note = {"at": time.time() - ago_s, "mode": "ready", "well": False, "line": "unhealthy: it hangs"}
    (container.folder / "health.json").write_text(json.dumps(note))
    container.report()
    assert run(container, capsys, "--live")[0] == 0
    told = json.loads((container.folder / "health.json").read_text())
    assert (told["mode"], told["well"]) == (kept, kept == "live")
    assert run(container, capsys, "--ready")[0] == 0
    assert json.loads((container.folder / "health.json").read_text())["well"]


def test_a_note_that_cannot_be_written_is_no_trouble(container: Container, capsys: pytest.CaptureFixture[str]) -> None:
    """The answer counts."""
    container.report()
    (container.folder / "health.json").mkdir()
    assert run(container, capsys)[0] == 0


def test_one_line_whatever_is_reported(container: Container, capsys: pytest.CaptureFixture[str]) -> None:
    """Bad news: exit code 1, and line feeds in a reason do not make two lines."""
    container.program("dovecot", state="fatal", last_exit="one\ntwo")
    container.report()
    assert run(container, capsys) == (1, "unhealthy: dovecot is fatal (last: one two)\n")


def test_all_details_as_json(needing: Container, capsys: pytest.CaptureFixture[str]) -> None:
    """The fields that are documented, and the same code."""
    with Server(SMTP) as smtp, Server(closes) as redis:
        probes = (probe("smtp", smtp.port), probe("redis", redis.port))
        needing.plan(DOVECOT, LOOK, needs=(DIRECTORY,), probes=probes, expires={"/c": time.time() + 86_400 * 100})
        needing.look(ldap=answer(ok=True, ago_s=5), measures=(figure(),))
        needing.report()
        code, text = run(needing, capsys, "--ready", "--json")
    found = json.loads(text)
    assert code == 1
    assert (found["well"], found["mode"], found["service"]) == (False, "ready", "imap")
    assert found["problems"] == [f"redis://127.0.0.1:{redis.port}: answer: closed the connection"]
    assert [(each["ok"], each["line"]) for each in found["probes"]] == [
        (True, "220 mail"),
        (False, "answer: closed the connection"),
    ]
    assert (found["needs"]["ldap"]["ok"], found["measures"][0]["name"]) == (True, "room_free_bytes")
    assert found["certificates"][0]["days"] == pytest.approx(100, abs=0.2)
    assert found["programs"]["dovecot"]["pid"] == os.getpid()
    documented = (Path(__file__).parents[2] / "docs" / "how-to" / "health.md").read_text()
    assert not [name for name in found if f"| `{name}` |" not in documented]


@pytest.mark.parametrize("arguments", [[], ["--live"], ["--deep", "--json"], ["--json"]])
def test_plain_arguments_need_no_parser(arguments: list[str]) -> None:
    """What containers call."""
    assert health.is_plain(arguments)


@pytest.mark.parametrize("arguments", [["--help"], ["--live", "--deep"], ["live"], ["--jso"]])
def test_other_arguments_are_for_the_parser(arguments: list[str]) -> None:
    """Help and mistakes."""
    assert not health.is_plain(arguments)


@pytest.mark.parametrize("mode", ["--live", "--ready"])
def test_health_imports_little(container: Container, mode: str) -> None:
    """Its process is started every few seconds: what takes long to import stays out of the whole way to the answer."""
    with Server(SMTP) as smtp:
        container.plan(DOVECOT, probes=(probe("smtp", smtp.port),))
        container.report()
        code = f"""
import sys
sys.path.append({str(Path(__file__).parents[2])!r})
from entrypoint import __main__, health
code = health.main(["{mode}"], "{container.folder}")
heavy = {{"ssl", "ldap3", "jinja2", "structlog", "supervisor", "psutil", "threading", "argparse", "random"}}
heavy |= {{"dataclasses", "pathlib", "typing", "json", "re"}}
heavy |= {{"socket", "enum", "collections"}} if "{mode}" == "--live" else set()
print(code, heavy & set(sys.modules))
"""
        said = subprocess.run([sys.executable, "-ISc", code], check=True, capture_output=True, text=True, timeout=30)
    assert said.stdout.splitlines()[-1] == "0 set()"
