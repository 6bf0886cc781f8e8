"""Findings for people, as a table that fits the terminal, and for programs."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from typing import Any

from entrypoint.console import DIM, RED, YELLOW, has_colour, paint, table
from entrypoint.environment.case import Case
from entrypoint.environment.findings import ERROR, WARNING, Finding
from entrypoint.ladder import Rung, as_text

_COLOURS = {ERROR: RED, WARNING: YELLOW}
_NARROWEST = 40
_BEFORE = 20  # columns before the sentence
_MANY = 4  # so many services are "all"


def show(findings: Sequence[Finding], case: Case, rungs: Sequence[Rung] | None) -> None:
    """Print everything: what the network answered, the findings, the summary."""
    if rungs:
        print(as_text(rungs, coloured=has_colour()), end="\n\n")
    if findings:
        print(as_table(findings, case), end="\n\n")
    print(summary(findings, case))


def as_table(findings: Sequence[Finding], case: Case) -> str:
    """A row for each; on a terminal long sentences go on below, else each has one line, for grep."""
    on_terminal = sys.stdout.isatty()
    width = max(shutil.get_terminal_size().columns - _BEFORE, _NARROWEST) if on_terminal else 0
    rows = [row for finding in findings for row in _rows(finding, case, width)]
    return table(("line", "level", "finding"), rows, right=("line",), colours=_COLOURS, coloured=has_colour())


def _rows(finding: Finding, case: Case, width: int) -> Iterator[dict[str, str]]:
    whole = f"{finding.text}{_whose(finding, case)}"
    first, *more = textwrap.wrap(whole, width, break_on_hyphens=False) if width else [whole]
    lines = ",".join(map(str, finding.lines))
    yield {"line": lines, "level": finding.severity, "finding": first}
    for line in more:
        yield {"finding": line}


def _whose(finding: Finding, case: Case) -> str:
    """The services that have it, when it is not clear."""
    ours = [service.name for service in case.services]
    who = [name for name in finding.services if name in ours] or finding.services
    if len(ours) >= _MANY and set(ours) <= set(who):
        return " (all services)"
    return f" ({', '.join(who)})" if who else ""


def summary(findings: Sequence[Finding], case: Case) -> str:
    """One line: how many of which sort, and what was looked at."""
    counts = {severity: sum(found.severity == severity for found in findings) for severity in (ERROR, WARNING)}
    told = " and ".join(f"{count} {severity}{'' if count == 1 else 's'}" for severity, count in counts.items() if count)
    services = ", ".join(service.name for service in case.services) or "no service"
    if not told:
        return f"good for {services}"
    colour = RED if counts[ERROR] else YELLOW
    return f"{paint(told, colour, on=has_colour())} {paint(f'(for {services})', DIM, on=has_colour())}"


def as_json(findings: Sequence[Finding], case: Case, rungs: Sequence[Rung] | None) -> str:
    """Everything, as an object."""
    found: dict[str, Any] = {
        "services": [service.name for service in case.services],
        "findings": [finding.as_dict() for finding in findings],
    }
    if rungs is not None:
        found["online"] = [rung.as_dict() for rung in rungs]
    return json.dumps(found, indent=2, ensure_ascii=False)


def exit_code(findings: Sequence[Finding]) -> int:
    """0: good; 1: with warnings; 78: refused."""
    severities = {finding.severity for finding in findings}
    return 78 if ERROR in severities else 1 if WARNING in severities else 0
