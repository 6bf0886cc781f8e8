"""Processes whose parent has died: they have become ours (`launch.adopt_orphans`), and end with us."""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_NOTHING = 0  # kill(2): no signal is sent


def children() -> list[int]:
    """The PIDs of all our children, dead ones that nobody has waited for included."""
    parent = str(os.getpid())
    return [pid for pid, its_parent in _processes() if its_parent == parent]


def _processes() -> Iterator[tuple[int, str]]:
    """(PID, parent's PID) of every process."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with suppress(OSError):  # it has just ended
                # The name, in parentheses, may hold anything, parentheses included.
                yield int(entry.name), (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()[1]


def sweep(linger_s: float, polite_s: float, forced_s: float, wakeup: int) -> int:
    """End all our children, and theirs as they become ours; how many it were.

    For `linger_s` they may end by themselves, then comes SIGTERM, after `polite_s` SIGKILL, and after
    another `forced_s` give up. `wakeup` is the descriptor that becomes readable when a signal arrives.
    """
    seen: set[int] = set()
    for number, limit_s in ((_NOTHING, linger_s), (signal.SIGTERM, polite_s), (signal.SIGKILL, forced_s)):
        deadline = time.monotonic() + limit_s
        told: set[int] = set()
        while (alive := _reap_and_list()) and (left := deadline - time.monotonic()) > 0:
            _tell(set(alive) - told, number)
            told |= set(alive)
            seen |= told
            _sleep(min(left, 0.1), wakeup)
    return len(seen)


def _reap_and_list() -> list[int]:
    """Children that are still alive; the dead ones are waited for."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
        return children()
    return []


def _tell(pids: set[int], number: int) -> None:
    for pid in pids:
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def _sleep(seconds: float, wakeup: int) -> None:
    """Until a signal arrives, such as SIGCHLD, or the time is over."""
    ready, _, _ = select.select([wakeup], [], [], seconds)
    if ready:
        os.read(wakeup, 4096)
