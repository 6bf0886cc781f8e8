"""What the benchmarks measure beside ours, from Debian: s6, and curl as a health check. supervisord is in .venv."""

from __future__ import annotations

import shutil

from tools.console import Step, ToolError
from tools.machine import apt

PROGRAMS = {"s6-svscan": "s6", "curl": "curl"}
HELP = "On Debian, as root: apt-get install s6 curl"


def set_up(step: Step) -> None:
    """Have all of them; ToolError where that needs somebody else: the benchmarks then go on without."""
    missing = [package for program, package in PROGRAMS.items() if not shutil.which(program)]
    if not missing:
        step.outcome = "ok: s6, curl"
        return
    try:
        apt.install(missing, step.say)
    except ToolError as error:
        raise ToolError(str(error), *error.help_lines, "What is missing has no figures in the table.") from error
    step.done(f"installed {' '.join(missing)}")
