"""Several columns side by side: measured in turn, told by medians."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, TypeVar

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")
Say = Callable[[str], None]

SIGN_OF_LIFE_S = 5.0
NOTHING = "n/a"
LEGEND = (
    "Medians (least…most). ratio = the first column / the next one with a figure. "
    "ms, MiB, /s: less is better; lines/s: more is better."
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One thing that was measured: the value of every run, by column. It makes no sense for a column without any."""

    measure: str
    unit: str
    values: Mapping[str, Sequence[float]]


@dataclass(frozen=True, kw_only=True)
class Table:
    """What a suite has measured: the first column is ours, the others are something known."""

    suite: str
    columns: Sequence[str]
    rows: Sequence[Row]
    notes: Sequence[str] = ()

    def ratio(self, row: Row) -> float | None:
        """Our median as a multiple of that of the first other column that has one; None without one, or of 0."""
        ours, *others = (row.values.get(column) for column in self.columns)
        other = next((values for values in others if values), None)
        return median(ours) / median(other) if ours and other and median(other) else None

    def as_dict(self) -> dict[str, Any]:
        """Everything, for a program."""
        rows = [
            {"measure": row.measure, "unit": row.unit, "ratio": self.ratio(row)}
            | {"columns": {name: _told(row.values[name]) for name in self.columns if row.values.get(name)}}
            for row in self.rows
        ]
        return {"suite": self.suite, "columns": list(self.columns), "rows": rows, "notes": list(self.notes)}


def _told(values: Sequence[float]) -> dict[str, Any]:
    return {"median": median(values), "least": min(values), "most": max(values), "runs": list(values)}


def in_turn(measures: Mapping[Key, Callable[[], Result]], runs: int, say: Say) -> dict[Key, list[Result]]:
    """What each measure returned in each run.

    A first run, which fills caches, is not counted. Every second run goes backwards, so that nothing always comes after
    the same thing, and a change in the machine's load meets all.
    """
    results: dict[Key, list[Result]] = {key: [] for key in measures}
    told = time.monotonic()
    for run in range(runs + 1):
        if time.monotonic() - told > SIGN_OF_LIFE_S:
            told = time.monotonic()
            say(f"run {run} of {runs}")
        for key in list(measures)[:: -1 if run % 2 else 1]:
            results[key].append(measures[key]())
    return {key: found[1:] for key, found in results.items()}


def text(table: Table) -> str:
    """The table for a terminal."""
    columns = [
        [table.suite, *(row.measure for row in table.rows)],
        ["", *(row.unit for row in table.rows)],
        *([name, *_aligned([_cell(row, name) for row in table.rows])] for name in table.columns),
        _right(["ratio", *(_ratio(table, row) for row in table.rows)]),
    ]
    lines = zip(*(_left(column) for column in columns), strict=True)
    return "\n".join([*("  ".join(line).rstrip() for line in lines), "", *table.notes, LEGEND])


def markdown(table: Table) -> str:
    """The table for docs/explanation/benchmarks.md."""
    heads = ["", "unit", *table.columns, "ratio"]
    rows = [
        [row.measure, row.unit, *(" ".join(_cell(row, name)).strip() for name in table.columns), _ratio(table, row)]
        for row in table.rows
    ]
    rule = ["---", "---", *("---:" for _ in heads[2:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in (heads, rule, *rows))


def _cell(row: Row, name: str) -> tuple[str, str]:
    """The median, and between what it lies."""
    values = row.values.get(name)
    if not values:
        return NOTHING, ""
    least, most = figure(min(values)), figure(max(values))
    return figure(median(values)), f"({least}…{most})" if len(values) > 1 else ""


def _ratio(table: Table, row: Row) -> str:
    ratio = table.ratio(row)
    return "" if ratio is None else figure(ratio)


def _aligned(cells: Sequence[tuple[str, str]]) -> list[str]:
    """Medians below each other, and so is what they lie between."""
    medians = _right([first for first, _ in cells])
    return [f"{first} {then}".rstrip() for first, (_, then) in zip(medians, cells, strict=True)]


def _left(cells: Sequence[str]) -> list[str]:
    width = max(map(len, cells))
    return [cell.ljust(width) for cell in cells]


def _right(cells: Sequence[str]) -> list[str]:
    width = max(map(len, cells))
    return [cell.rjust(width) for cell in cells]


def figure(value: float) -> str:
    """Three digits that count, or all before the point, with thousands apart: 0.214, 3.20, 41.0, 12,345."""
    size = abs(value)
    decimals = next((d for limit, d in ((1, 3), (10, 2), (100, 1)) if size < limit), 0)
    return f"{value:,.{decimals}f}"
