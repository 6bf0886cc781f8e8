"""`python -m benchmarks`: measure, and print a table. Progress goes to stderr, the result to stdout."""

from __future__ import annotations

import argparse
import compileall
import json
import os
import platform
import sys
from collections.abc import Sequence

from benchmarks import inside, logs, start, supervision
from benchmarks.compare import Table, markdown, text
from tools.commands import ROOT
from tools.console import ToolError, step

SUITES = {"supervisor": supervision.measure, "start": start.measure, "logs": logs.measure}
RUNS, QUICK_RUNS = 15, 3
IN_IMAGE = "--in-image"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what was asked for; the exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(words)
    try:
        if options.in_image:
            return inside.run([word for word in words if word != IN_IMAGE])
        return _measure(options)
    except ToolError:
        return 1


def _measure(options: argparse.Namespace) -> int:
    compileall.compile_dir(ROOT / "entrypoint", quiet=2)  # as it is in the images
    runs = QUICK_RUNS if options.quick else RUNS
    machine = _machine()
    tables = [_measured(name, runs) for name in options.only or SUITES]
    if options.json:
        print(json.dumps({"machine": machine, "runs": runs, "tables": [t.as_dict() for t in tables]}, indent=2))
    else:
        form = markdown if options.markdown else text
        print(*(form(table) + "\n" for table in tables), ", ".join(f"{k} {v}" for k, v in machine.items()), sep="\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measure, and print a table.")
    parser.add_argument("--only", action="append", choices=SUITES, help="may be repeated; default: all")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="for programs, with every single run")
    form.add_argument("--markdown", action="store_true", help="for docs/explanation/benchmarks.md")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_RUNS} runs, not {RUNS}: does it work at all?")
    parser.add_argument(IN_IMAGE, action="store_true", help="in a container, with the Python of the images")
    return parser


def _measured(name: str, runs: int) -> Table:
    """One suite, with its progress."""
    with step(name) as current:
        table = SUITES[name](runs, current.say)
        current.done(f"{runs} runs")
    return table


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
