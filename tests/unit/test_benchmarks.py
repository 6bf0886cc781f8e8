"""What the benchmarks compute and print; what they measure is not tested."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.compare import Comparison, figure, in_turn, table
from benchmarks.logs import DAEMONS, samples
from benchmarks.start import flat_template, with_marks
from entrypoint.logs.parsers import parser
from entrypoint.render import install_dir

SPAWN = Comparison(
    suite="supervisor", measure="spawn", unit="ms", reference_name="stock", ours=[9, 20, 21], reference=[100, 80, 500]
)
RATE = Comparison(
    suite="logs", measure="exim, json", unit="lines/s", reference_name="raw", ours=[40_000], reference=[160_000]
)


def test_ratio_is_of_medians() -> None:
    assert SPAWN.ratio == pytest.approx(0.2)


def test_table_is_aligned() -> None:
    assert table([SPAWN, RATE]).splitlines()[:3] == [
        "                          ours  reference           ratio  runs  reference is",
        "supervisor  spawn         20.0        100  ms       0.200     3  stock",
        "logs        exim, json  40,000    160,000  lines/s  0.250     1  raw",
    ]


def test_json_has_medians_and_every_run() -> None:
    found = json.loads(json.dumps(SPAWN.as_dict()))
    assert (found["ours"], found["ours_median"], found["reference_median"], found["runs"]) == ([9, 20, 21], 20, 100, 3)


@pytest.mark.parametrize(
    ("value", "text"), [(0.2144, "0.214"), (3.2, "3.20"), (41.04, "41.0"), (123.4, "123"), (12345.6, "12,346")]
)
def test_figure_has_three_digits_that_count(value: float, text: str) -> None:
    assert figure(value) == text


def test_measures_take_turns_and_the_first_round_does_not_count() -> None:
    calls: list[str] = []

    def called(name: str) -> int:
        calls.append(name)
        return len(calls)

    results = in_turn({"a": lambda: called("a"), "b": lambda: called("b")}, 2, lambda _: None)
    assert "".join(calls) == "abbaab"
    assert results == {"a": [4, 5], "b": [3, 6]}


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
