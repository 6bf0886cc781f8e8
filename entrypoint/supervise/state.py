"""state.json: what the health check and `entrypoint status` know of the supervised programs.

{"phase": "running",              or "stopping"
 "service": "imap", "version": "0.1.0",
 "pid": 1, "since": 1795376582.1, of the supervisor; times are seconds since the epoch
 "reload": null,                  or what came of the last one: {"at": …, "ok": false, "line": "cannot …"}
 "programs": {
   "dovecot": {
     "kind": "daemon",            or once, job
     "state": "running",          waiting (for its time, or for what it requires), running, backoff,
                                  stopping, stopped, fatal, done (a once that has ended well)
     "pid": 12,                   null when it does not run
     "since": 1795376582.3,       when it came into this state
     "deaths": 0,                 within the last `deaths_window_s`; of a job: failures in a row
     "starts": 1,
     "last_exit": null,           in words: "exit code 42", "signal 9 (SIGKILL)"
     "next": null                 when it starts again
}}}
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from entrypoint.plan import Plan, write_atomically
from entrypoint.supervise.child import Child


class StateFile:
    """The file, written when there is something new to tell."""

    def __init__(self, path: Path, plan: Plan) -> None:
        self.path = path
        self._plan = plan
        self._since = time.time()
        self._written = ""

    def save(self, children: Mapping[str, Child], *, stopping: bool, reload: Mapping[str, Any] | None) -> None:
        """Replace the file, unless nothing has changed."""
        state = {
            "phase": "stopping" if stopping else "running",
            "service": self._plan.service,
            "version": self._plan.version,
            "pid": os.getpid(),
            "since": self._since,
            "reload": reload,
            "programs": {name: child.describe() for name, child in children.items()},
        }
        text = json.dumps(state, indent=2) + "\n"
        if text != self._written:
            self._written = text  # also when it cannot be written: once is enough to say so
            write_atomically(self.path, text)
