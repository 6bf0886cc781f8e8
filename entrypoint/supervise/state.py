"""state.json: what the health check and `entrypoint status` know of the supervised programs.

{"phase": "running",              or "stopping"
 "service": "imap", "version": "0.1.0",
 "pid": 1, "since": 1795376582.1, of the supervisor; times are seconds since the epoch
 "programs": {
   "dovecot": {
     "state": "running",          starting (not yet), running, backoff, stopping, stopped or fatal
     "pid": 12,                   null when it does not run
     "since": 1795376582.3,       when it came into this state
     "deaths": 0,                 within the last `deaths_window_s`
     "last_exit": null            in words: "exit code 42", "signal 9 (SIGKILL)"
}}}
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from entrypoint.plan import Plan, write_atomically
from entrypoint.supervise.daemon import Daemon
from entrypoint.supervise.library import ProcessStates

_WORDS = {
    ProcessStates.RUNNING: "running",
    ProcessStates.BACKOFF: "backoff",
    ProcessStates.STOPPING: "stopping",
    ProcessStates.STOPPED: "stopped",
    ProcessStates.EXITED: "stopped",
    ProcessStates.FATAL: "fatal",
    ProcessStates.UNKNOWN: "fatal",  # it could not even be sent a signal
}


class StateFile:
    """The file, written when there is something new to tell."""

    def __init__(self, path: Path, plan: Plan) -> None:
        self._path = path
        self._plan = plan
        self._since = time.time()
        self._written = ""

    def save(self, daemons: Sequence[Daemon], *, stopping: bool) -> None:
        """Replace the file, unless nothing has changed."""
        text = json.dumps(self._describe(daemons, stopping=stopping), indent=2) + "\n"
        if text != self._written:
            self._written = text  # also when it cannot be written: once is enough to say so
            write_atomically(self._path, text)

    def _describe(self, daemons: Sequence[Daemon], *, stopping: bool) -> dict[str, Any]:
        return {
            "phase": "stopping" if stopping else "running",
            "service": self._plan.service,
            "version": self._plan.version,
            "pid": os.getpid(),
            "since": self._since,
            "programs": {daemon.program.name: describe(daemon) for daemon in daemons},
        }


def describe(daemon: Daemon) -> dict[str, Any]:
    """How one program is."""
    daemon.forget_deaths()
    return {
        "state": _WORDS[daemon.state] if daemon.laststart else "starting",
        "pid": daemon.pid or None,
        "since": daemon.since,
        "deaths": len(daemon.deaths),
        "last_exit": daemon.last_ending.words if daemon.last_ending else None,
    }
