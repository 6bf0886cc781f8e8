"""What the benchmarks compute and print, and that their tools work; the figures themselves are not tested."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from benchmarks import contenders, lives, processes, pump
from benchmarks.compare import Row, Table, figure, in_turn, markdown, text
from benchmarks.logs import DAEMONS, samples
from benchmarks.start_inside import flat_template, with_marks
from entrypoint.logs.parsers import parser
from entrypoint.render import install_dir
from tests.unit.supervised import alive, until
from tools.console import ToolError

SPAWN = Row(measure="spawn", unit="ms", values={"ours": [9, 20, 21], "stock": [100, 80, 500], "none": [1]})
STOP = Row(measure="stop", unit="ms", values={"ours": [3], "none": [2]})
LIVE = Row(measure="live", unit="1,000/s", values={"stock": [12_345.6]})
TICKS = Row(measure="ticks", unit="/s", values={"ours": [1], "stock": [0]})
TABLE = Table(suite="a suite", columns=["ours", "stock", "none"], rows=[SPAWN, STOP, LIVE], notes=["A note."])


@pytest.mark.parametrize(
    ("row", "ratio"),
    [(SPAWN, pytest.approx(0.2)), (STOP, pytest.approx(1.5)), (LIVE, None), (TICKS, None)],
    ids=["of medians", "the next with a figure", "none of ours", "nothing to divide by"],
)
def test_ratio_is_ours_by_the_first_other(row: Row, ratio: float | None) -> None:
    assert TABLE.ratio(row) == ratio


def test_text_is_aligned() -> None:
    assert text(TABLE).splitlines()[:6] == [
        "a suite           ours              stock              none  ratio",
        "spawn    ms       20.0 (9.00…21.0)     100 (80.0…500)  1.00  0.200",
        "stop     ms       3.00                 n/a             2.00   1.50",
        "live     1,000/s   n/a              12,346              n/a",
        "",
        "A note.",
    ]


def test_markdown_has_the_same_figures() -> None:
    assert markdown(TABLE).splitlines() == [
        "|  | unit | ours | stock | none | ratio |",
        "| --- | --- | ---: | ---: | ---: | ---: |",
        "| spawn | ms | 20.0 (9.00…21.0) | 100 (80.0…500) | 1.00 | 0.200 |",
        "| stop | ms | 3.00 | n/a | 2.00 | 1.50 |",
        "| live | 1,000/s | n/a | 12,346 | n/a |  |",
    ]


def test_json_has_medians_and_every_run() -> None:
    told = json.loads(json.dumps(TABLE.as_dict()))
    assert told["columns"] == ["ours", "stock", "none"]
    assert told["rows"][0]["columns"]["ours"] == {"median": 20, "least": 9, "most": 21, "runs": [9, 20, 21]}
    assert list(told["rows"][2]["columns"]) == ["stock"]


@pytest.mark.parametrize(
    ("value", "figured"), [(0.2144, "0.214"), (3.2, "3.20"), (41.04, "41.0"), (123.4, "123"), (12345.6, "12,346")]
)
def test_figure_has_three_digits_that_count(value: float, figured: str) -> None:
    assert figure(value) == figured


def test_measures_take_turns_and_the_first_round_does_not_count() -> None:
    calls: list[str] = []

    def called(name: str) -> int:
        calls.append(name)
        return len(calls)

    results = in_turn({"a": lambda: called("a"), "b": lambda: called("b")}, 2, lambda _: None)
    assert "".join(calls) == "abbaab"
    assert results == {"a": [4, 5], "b": [3, 6]}


# --- supervisors -----------------------------------------------------------------------------------------------------


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing rests for long, which would only matter for figures."""
    monkeypatch.setattr(processes, "SETTLING_S", (0.05, 0.1))
    monkeypatch.setattr(pump, "SETTLING_S", (0.5, 1.0))
    monkeypatch.setattr(lives, "CALM_S", 0.3)
    monkeypatch.setattr(pump, "LINES", 6_000)  # more than a tick of a coarse CPU clock


@pytest.mark.usefixtures("hasty")
def test_a_life_below_our_supervisor_has_all_measures_and_one_without_has_two(tmp_path: Path) -> None:
    script = tmp_path / "daemon"
    script.write_text(lives.PROGRAM.format(births=tmp_path / "births"))
    found = {
        who: lives.live(command, tmp_path / "births")
        for who, command in contenders.contenders(tmp_path, script).items()
        if who in {contenders.OURS, contenders.NONE}
    }
    assert found[contenders.OURS].keys() == lives.UNITS.keys()
    assert found[contenders.NONE].keys() == {lives.START, lives.STOP}
    assert all(value > 0 for life in found.values() for what, value in life.items() if what != lives.WAKEUPS)


@pytest.mark.usefixtures("hasty")
def test_lines_go_through_the_pump_or_are_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script, births, go = (tmp_path / name for name in ("daemon", "births", "go"))
    os.mkfifo(go)
    (tmp_path / "lines").write_text("a line\n" * pump.LINES)
    script.write_text(pump.PROGRAM.format(births=births, lines=tmp_path / "lines", go=go))
    assert pump.pump(contenders.ours(tmp_path, script), births, go).lines_per_s > 0
    monkeypatch.setattr(pump, "PATIENCE_S", 0.2)
    (tmp_path / "lines").write_text("a line\n" * (pump.LINES - 1))
    with pytest.raises(ToolError, match="1 of 6000 lines did not come"):
        pump.pump(contenders.ours(tmp_path, script), births, go)


def test_who_is_not_there_has_no_figures_and_the_table_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "s6 (not installed)" in contenders.columns()
    assert "apt-get install s6" in contenders.notes()[0]
    assert contenders.S6 not in contenders.contenders(tmp_path, tmp_path / "daemon")
    (tmp_path / "s6-svscan").touch(mode=0o755)
    assert contenders.columns()[2] == contenders.S6
    assert not contenders.notes()
    assert contenders.S6 in contenders.contenders(tmp_path, tmp_path / "daemon")


def test_nothing_is_left_running(tmp_path: Path) -> None:
    script = f"while :; do sh -c 'echo $$ >>{tmp_path}/pids; exec sleep 98' & wait; done"
    pids = tmp_path / "pids"
    with processes.running(["/bin/sh", "-c", script]):
        until(lambda: pids.exists() and pids.read_text())
    until(lambda: not any(alive(int(pid)) for pid in pids.read_text().split()))


def test_cpu_time_is_that_of_the_process() -> None:
    busy = "import time\nwhile time.process_time() < 0.2: pass\nprint(flush=True)\ninput()"
    with subprocess.Popen([sys.executable, "-c", busy], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        assert 0.2 <= processes.cpu_s([psutil.Process(process.pid)]) < 5
        process.kill()


# --- what stands beside ours -----------------------------------------------------------------------------------------


def test_marks_stand_where_the_template_has_values() -> None:
    assert with_marks("a {{ x | exim }} b\n{% if y %}{{ z }}{% endif %}") == ("a @0@ b\n{% if y %}@1@{% endif %}", 2)


def test_flat_template_has_what_is_included(tmp_path: Path) -> None:
    (tmp_path / "one").write_text('1\n{% include "two" %}\n')
    (tmp_path / "two").write_text("2\n")
    assert flat_template(tmp_path, "one") == '1\n{% include "two" %}\n2\n'


def test_the_reference_of_the_start_fills_as_much_as_exim_external() -> None:
    flat = flat_template(install_dir("exim"), "exim-external/run/config/exim.conf.j2")
    assert "primary_hostname = {{ host" in flat  # of what it extends
    assert with_marks(flat)[1] > 20


@pytest.mark.parametrize("daemon", DAEMONS)
def test_parsers_know_the_sample_lines(daemon: str) -> None:
    assert len(samples(daemon)) >= 5 if daemon != "rspamd" else samples(daemon)
    for line in samples(daemon):
        assert len(parser(daemon)(line)) > 4, line
