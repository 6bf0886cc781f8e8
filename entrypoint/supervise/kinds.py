"""The programs of the plan as supervisor wants them, each of its kind."""

from __future__ import annotations

import math
import signal
from typing import TYPE_CHECKING, Any

from entrypoint.logs import log_line
from entrypoint.supervise.child import Child
from entrypoint.supervise.daemon import Daemon, Once
from entrypoint.supervise.job import Job
from entrypoint.supervise.library import ProcessConfig

if TYPE_CHECKING:
    from entrypoint.plan import Program
    from entrypoint.supervise.loop import Options

KINDS: dict[str, type[Child]] = {"daemon": Daemon, "once": Once, "job": Job}


class ProgramConfig(ProcessConfig):  # type: ignore[misc]  # the library has no types
    """A program as supervisor wants it; when it starts and starts again is its kind's own matter."""

    def __init__(self, options: Options, program: Program) -> None:
        unused = dict.fromkeys(ProcessConfig.req_param_names)
        wanted = {
            "name": program.name,
            "priority": 999,
            "autostart": False,
            "autorestart": False,
            "startsecs": 0,
            "startretries": math.inf,
            "exitcodes": (0,),
            "stopsignal": signal.Signals[f"SIG{program.stop_signal.removeprefix('SIG')}"],
            "stopwaitsecs": program.grace_s,
            "stopasgroup": False,
            "killasgroup": True,
            "redirect_stderr": False,
        }
        super().__init__(options, **(unused | wanted))
        self.program = program
        self.take_line = log_line(options.logs, program.name, program.parser)

    def make_process(self, group: Any = None) -> Child:
        """The program, not yet started."""
        child = KINDS[self.program.kind](self)
        child.group = group
        return child
