"""`python -m benchmarks`: measure, and print a table. Progress goes to stderr, the result to stdout."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence

from benchmarks import health, logs, start, supervision
from benchmarks.compare import Comparison, table
from tools.console import ToolError, step

SUITES = {"supervisor": supervision.measure, "health": health.measure, "start": start.measure, "logs": logs.measure}
RUNS, QUICK_RUNS = 15, 3


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for; the exit code."""
    options = _parser().parse_args(arguments)
    runs = QUICK_RUNS if options.quick else RUNS
    try:
        comparisons = [c for name in options.only or SUITES for c in _measured(name, runs)]
    except ToolError:
        return 1
    machine = _machine()
    if options.json:
        print(json.dumps({"machine": machine, "comparisons": [c.as_dict() for c in comparisons]}, indent=2))
    else:
        print(table(comparisons), "", ", ".join(f"{k} {v}" for k, v in machine.items()), sep="\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure, and print a table.")
    parser.add_argument("--only", action="append", choices=SUITES, help="may be repeated; default: all")
    parser.add_argument("--json", action="store_true", help="for programs, with every single run")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_RUNS} runs, not {RUNS}: does it work at all?")
    return parser


def _measured(name: str, runs: int) -> list[Comparison]:
    """One suite, with its progress."""
    with step(name) as current:
        comparisons = SUITES[name](runs, current.say)
        current.done(f"{runs} runs")
    return comparisons


def _machine() -> dict[str, str]:
    """What the numbers, but hardly the ratios, depend on."""
    return {
        "Python": platform.python_version(),
        "Linux": platform.release(),
        "CPUs": str(os.cpu_count()),
        "load": f"{os.getloadavg()[0]:.1f}",
    }


if __name__ == "__main__":
    sys.exit(main())
