"""What programs take of the machine, their descendants included: asked of /proc, when somebody wants to know."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import NamedTuple

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Usage(NamedTuple):
    """CPU seconds since its start, of children that were waited for, too; resident bytes; how many processes."""

    cpu_s: float
    memory_bytes: int
    processes: int


class _Process(NamedTuple):
    pid: int
    parent: int
    group: int
    usage: Usage


def usages(pids: Iterable[int]) -> dict[int, Usage]:
    """What each of these processes and all below it take."""
    everybody = list(_everybody())
    return {pid: _sum(_family(pid, everybody)) for pid in pids}


def _everybody() -> Iterator[_Process]:
    for name in os.listdir("/proc"):  # noqa: PTH208  # hundreds of them, and names are enough
        if name.isdecimal():
            with suppress(OSError):  # it has just ended
                yield _read(int(name))


def _read(pid: int) -> _Process:
    """proc(5): what follows the name, in parentheses that may hold anything, begins with the third field."""
    with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123  # as above
        fields = file.read().rpartition(b")")[2].split()
    ticks = sum(map(int, fields[11:15]))
    return _Process(pid, int(fields[1]), int(fields[2]), Usage(ticks / _TICKS, int(fields[21]) * _PAGE, 1))


def _family(pid: int, everybody: Iterable[_Process]) -> list[_Process]:
    """The process, its descendants, and who has left them but not its process group."""
    below: dict[int, list[_Process]] = {}
    for process in everybody:
        below.setdefault(process.parent, []).append(process)
    found = {p.pid: p for p in everybody if pid in {p.pid, p.group}}
    waiting = list(found)
    while waiting:
        for child in below.get(waiting.pop(), []):
            if child.pid not in found:
                found[child.pid] = child
                waiting.append(child.pid)
    return list(found.values())


def _sum(processes: Iterable[_Process]) -> Usage:
    parts = [process.usage for process in processes]
    return Usage(sum(p.cpu_s for p in parts), sum(p.memory_bytes for p in parts), sum(p.processes for p in parts))
