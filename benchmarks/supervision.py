"""Our supervisor beside stock supervisord, s6 and none at all: one table, measured in one run."""

from __future__ import annotations

from benchmarks import contenders, health, lives, pump
from benchmarks.compare import Say, Table

PARTS = {"lives": lives.measure, "lines": pump.measure, "health": health.measure}


def measure(runs: int, say: Say) -> Table:
    """Times, memory, lines and health checks of each."""
    rows = []
    for name, part in PARTS.items():
        say(name)
        rows += part(runs, say)
    return Table(suite="supervisor", columns=contenders.columns(), rows=rows, notes=contenders.notes())
