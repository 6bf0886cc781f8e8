"""What is compared: four ways to run the same one program in the foreground.

Each is configured as in most images: nothing but what keeps its own files and the program's output in order, and the
output goes on to whoever reads that of the container.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from entrypoint.plan import Plan, Program, write_plan
from entrypoint.supervise.become import command
from tools.commands import ask
from tools.machine import peers

OURS = "Postern"
STOCK = f"supervisord {version('supervisor')}"
S6 = f"s6 {(ask('dpkg-query', '--show', '--showformat', '${Version}', 's6') or '').partition('-')[0]}".strip()
NONE = "no supervisor"

STOCK_INI = """\
[supervisord]
nodaemon = true
user = {user}
logfile = /dev/null
logfile_maxbytes = 0
pidfile = {folder}/stock.pid

[program:daemon]
command = /bin/sh {script}
autorestart = true
stdout_logfile = /dev/fd/1
stdout_logfile_maxbytes = 0
redirect_stderr = true
"""

Command = Sequence[str]


def columns() -> list[str]:
    """Who takes part, ours first."""
    return [OURS, STOCK, S6 if has_s6() else "s6 (not installed)", NONE]


def has_s6() -> bool:
    """Whether it is there."""
    return shutil.which("s6-svscan") is not None


def notes() -> list[str]:
    """What a person has to know about a column without figures."""
    return [] if has_s6() else [f"s6 is left out, since it is not there. {peers.HELP}"]


def contenders(folder: Path, script: Path, *, logged: bool = False) -> Mapping[str, Command]:
    """The commands of all that are there, for a program that is a script; with `logged`, s6 has its logger, too.

    Without one, what a program of s6 writes goes straight on, as without a supervisor.
    """
    found = {OURS: ours(folder, script), STOCK: stock(folder, script)}
    if has_s6():
        found[S6] = s6(folder, script, logged=logged)
    return found | {NONE: ["/bin/sh", str(script)]}


def ours(folder: Path, script: Path, parser: str = "raw") -> Command:
    """The second stage, as `become_supervisor` has it."""
    program = Program(name="daemon", argv=("/bin/sh", str(script)), env={"PATH": os.environ["PATH"]}, parser=parser)
    file = folder / parser / "plan.json"
    write_plan(Plan(service="bench", version="1", programs=(program,), log_format="json"), file)
    return command(file)


def stock(folder: Path, script: Path) -> Command:
    """supervisord as the library's authors start it."""
    file = folder / "stock.ini"
    file.write_text(STOCK_INI.format(folder=folder, script=script, user=os.getuid()))
    return [str(Path(sys.executable).with_name("supervisord")), "-n", "-c", str(file)]


def s6(folder: Path, script: Path, *, logged: bool = False) -> Command:
    """s6-svscan over one service, and its logger, which passes on what it gets."""
    services = folder / "s6"
    _service(services / "daemon", f"exec /bin/sh {script}")
    if logged:
        _service(services / "daemon" / "log", "exec s6-log 1")
    return ["s6-svscan", str(services)]


def _service(folder: Path, line: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    run = folder / "run"
    run.write_text(f"#!/bin/sh\n{line}\n")
    run.chmod(0o755)
