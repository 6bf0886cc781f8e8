"""A program that requires a daemon starts when that answers, with real processes and sockets."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from entrypoint.errors import EntrypointError
from entrypoint.plan import Probe, Program
from entrypoint.readiness import in_order
from tests.unit.supervised import ENV, ROOT, Supervised, sh, until


@pytest.fixture
def port() -> Iterator[int]:
    """A port that nobody listens on."""
    with socket.socket() as reserved:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


def _names(programs: tuple[Program, ...]) -> list[str]:
    return [program.name for program in programs]


def test_between_a_daemon_and_what_requires_it_comes_who_waits(port: int) -> None:
    """What requires the daemon requires that one instead."""
    probe = Probe(kind="tcp", host="127.0.0.1", port=port)
    daemon, client = sh("", "daemon", ready=(probe,)), sh("", "client", requires=("daemon",))
    planned = in_order((client, daemon), ENV)
    assert _names(planned) == ["daemon", "daemon-ready", "client"]
    assert planned[1].requires == ("daemon",)
    assert planned[2].requires == ("daemon-ready",)


def test_without_probes_or_without_anybody_who_requires_it_nobody_waits(port: int) -> None:
    """A daemon without a question to ask counts as ready; one that nobody needs is not asked."""
    probe = Probe(kind="tcp", host="127.0.0.1", port=port)
    assert _names(in_order((sh("", "a"), sh("", "b", requires=("a",))), ENV)) == ["a", "b"]
    assert _names(in_order((sh("", "a", ready=(probe,)), sh("", "b")), ENV)) == ["a", "b"]


@pytest.mark.parametrize(
    ("programs", "why"),
    [
        ((sh("", "a", requires=("b",)),), "it requires b"),
        ((sh("", "a", requires=("b",)), sh("", "b", kind="job")), "it requires b"),
        ((sh("", "a", requires=("b",)), sh("", "b", requires=("a",))), "cannot plan: "),
        ((sh("", "a", requires=("a",)),), "cannot plan: a requires a"),
    ],
)
def test_what_cannot_be_fulfilled_is_refused(programs: tuple[Program, ...], why: str) -> None:
    """Unknown names, jobs, circles."""
    with pytest.raises(EntrypointError, match=why):
        in_order(programs, ENV)


def test_the_second_starts_when_the_first_answers(tmp_path: Path, port: int) -> None:
    """Not when the first was started: it listens only after a while."""
    listen = f"import socket,time; s=socket.create_server(('127.0.0.1',{port})); time.sleep(99)"
    script = f'until [ -e {tmp_path}/go ]; do sleep 0.01; done; exec {sys.executable} -c "{listen}"'
    slow = sh(script, "slow", ready=(Probe(kind="tcp", host="127.0.0.1", port=port),))
    programs = in_order((slow, sh("exec sleep 99", requires=("slow",))), {**ENV, "PYTHONPATH": str(ROOT)})
    with Supervised(tmp_path, *_with_plan(programs, tmp_path)) as supervised:
        supervised.wait_for("waiting for a needed service", need="slow")
        assert supervised.state()["programs"]["daemon"]["state"] == "waiting"
        (tmp_path / "go").touch()
        supervised.wait_until("running")
        line = supervised.wait_for("a needed service answered", need="slow")
        assert line["program"] == "entrypoint"
        until(lambda: supervised.state()["programs"]["slow-ready"]["state"] == "done")


def _with_plan(programs: tuple[Program, ...], folder: Path) -> list[Program]:
    """The one who waits reads the plan of this test, and not the container's."""
    script = "import sys; from pathlib import Path; from entrypoint.plan import read_plan; "
    script += (
        f"from entrypoint.readiness import main; sys.exit(main('slow', read_plan(Path('{folder}/run/plan.json'))))"
    )
    return [
        Program(**{**vars(p), "argv": (sys.executable, "-P", "-c", script)}) if p.name.endswith("-ready") else p
        for p in programs
    ]
