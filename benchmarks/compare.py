"""Ours beside a reference: measured in turn, told by medians."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, TypeVar

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")
Say = Callable[[str], None]

SIGN_OF_LIFE_S = 5.0
LEGEND = "Medians; ratio = ours / reference. ms, MiB: less is better; lines/s: more is better."


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """One thing measured on both sides, with the value of every run."""

    suite: str
    measure: str
    unit: str
    reference_name: str
    ours: Sequence[float]
    reference: Sequence[float]

    @property
    def ratio(self) -> float:
        """Our median as a multiple of the reference's."""
        return median(self.ours) / median(self.reference)

    def as_dict(self) -> dict[str, Any]:
        """Everything, for a program."""
        medians = {"ours_median": median(self.ours), "reference_median": median(self.reference)}
        return asdict(self) | medians | {"ratio": self.ratio, "runs": len(self.ours)}


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


def table(comparisons: Sequence[Comparison]) -> str:
    """All comparisons in one aligned table, with a legend."""
    heads = ("", "", "ours", "reference", "", "ratio", "runs", "reference is")
    rows = [heads, *(_row(comparison) for comparison in comparisons)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(_aligned(*cell) for cell in zip(row, heads, widths, strict=True)) for row in rows]
    return "\n".join([*(line.rstrip() for line in lines), "", LEGEND])


def _row(c: Comparison) -> tuple[str, ...]:
    ours, reference = figure(median(c.ours)), figure(median(c.reference))
    return c.suite, c.measure, ours, reference, c.unit, figure(c.ratio), str(len(c.ours)), c.reference_name


def _aligned(text: str, head: str, width: int) -> str:
    """Figures to the right, words to the left."""
    return text.rjust(width) if head in {"ours", "reference", "ratio", "runs"} else text.ljust(width)


def figure(value: float) -> str:
    """Three digits that count, or all before the point, with thousands apart: 0.214, 3.20, 41.0, 12,345."""
    size = abs(value)
    decimals = next((d for limit, d in ((1, 3), (10, 2), (100, 1)) if size < limit), 0)
    return f"{value:,.{decimals}f}"
