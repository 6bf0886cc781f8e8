"""`entrypoint reload`: ask the supervisor of this container for a reload, and wait for what comes of it."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from entrypoint.errors import Refused, Unavailable
from entrypoint.plan import RELOAD_JOB, STATE_FILE

DEADLINE_S = 600.0  # two runs of the job, at its limit each
_PAUSE_S = 0.05


def main(state_file: Path = STATE_FILE, deadline_s: float = DEADLINE_S) -> int:
    """Print one line; 0, or 78 when the reload was refused. Unavailable when nothing runs here."""
    end = time.monotonic() + deadline_s
    # One that is under way may have read the files before they were changed.
    before = _wait(state_file, end, lambda state: state["programs"][RELOAD_JOB]["state"] != "running")
    _ask(before["pid"])
    after = _wait(state_file, end, lambda state: _at(state) > _at(before))
    print(after["reload"]["line"])
    return 0 if after["reload"]["ok"] else Refused.exit_code


def _at(state: dict[str, Any]) -> float:
    return float(state["reload"]["at"]) if state["reload"] else 0.0


def _ask(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGHUP)
    except OSError as error:
        raise Unavailable(f"cannot reload: process {pid}, the supervisor: {error.strerror}") from None


def _wait(state_file: Path, end: float, found: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The supervisor's state, as soon as it is as wanted."""
    while True:
        state = _state(state_file)
        if state["phase"] == "stopping":
            raise Unavailable("cannot reload: the service is stopping")
        if found(state):
            return state
        if time.monotonic() > end:
            raise Unavailable("cannot reload: no answer in time; what it does is in the container's log")
        time.sleep(_PAUSE_S)


def _state(file: Path) -> dict[str, Any]:
    try:
        state: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise Unavailable(
            f"cannot reload: {file}: {error.strerror}; this is for a container whose service has started: "
            "docker compose exec SERVICE entrypoint reload"
        ) from None
    return state
