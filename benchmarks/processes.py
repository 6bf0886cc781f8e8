"""Processes under measurement: started, listened to, looked into, and always ended."""

from __future__ import annotations

import os
import random
import select
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

from entrypoint.supervise.become import bare_environment
from tools.console import ToolError

PATIENCE_S = 30.0
# Stock takes a program that dies within its first second for one that failed to start. A little longer or shorter by
# chance: what rests until a clock ticks is then met at any moment of its second.
SETTLING_S = (1.2, 2.2)


@contextmanager
def birth_register(fifo: Path) -> Iterator[Callable[[], int]]:
    """A function that waits for the program's next start, and says its PID: it writes that to the FIFO first of all."""
    if not fifo.exists():
        os.mkfifo(fifo)
    descriptor = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)  # open for writing, too: no writer has to wait, none is last

    def next_pid() -> int:
        if not select.select([descriptor], [], [], PATIENCE_S)[0]:
            raise ToolError(f"cannot measure: the program did not start within {PATIENCE_S:.0f} s")
        return int(os.read(descriptor, 64))

    try:
        yield next_pid
    finally:
        os.close(descriptor)


@contextmanager
def running(command: Sequence[str], output: int = subprocess.DEVNULL) -> Iterator[subprocess.Popen[bytes]]:
    """A supervisor, or a program alone; it and what it has started end with the block."""
    process = subprocess.Popen(
        command, env=bare_environment(os.environ), stdin=subprocess.DEVNULL, stdout=output, stderr=output
    )
    try:
        yield process
    finally:
        with suppress(psutil.NoSuchProcess):
            below = psutil.Process(process.pid).children(recursive=True)
            process.kill()  # parents first: they would start anew what dies
            for child in below:
                with suppress(psutil.NoSuchProcess):
                    child.kill()
        process.wait()


def wait(process: subprocess.Popen[bytes]) -> None:
    """Until the process has ended, to the moment: Popen.wait with a timeout looks only every so often."""
    descriptor = os.pidfd_open(process.pid)
    try:
        if not select.select([descriptor], [], [], PATIENCE_S)[0]:
            raise ToolError(f"cannot measure: {process.args!r} did not end within {PATIENCE_S:.0f} s of SIGTERM")
    finally:
        os.close(descriptor)


def settle() -> None:
    """Let it come to rest."""
    time.sleep(random.uniform(*SETTLING_S))


def ms_since(began: float) -> float:
    """Milliseconds since that time.perf_counter()."""
    return (time.perf_counter() - began) * 1000


def supervising(process: subprocess.Popen[bytes], program: int) -> list[psutil.Process]:
    """What runs beside the program with this PID, on its account; nothing, where the program is alone."""
    first = psutil.Process(process.pid)
    return [each for each in (first, *first.children(recursive=True)) if each.pid != program]


def memory_mib(processes: Iterable[psutil.Process]) -> tuple[float, float]:
    """USS, what would be free without them; PSS, with their share of what they use together with others."""
    found = [each.memory_full_info() for each in processes]
    return sum(info.uss for info in found) / 2**20, sum(info.pss for info in found) / 2**20


def wakeups(processes: Iterable[psutil.Process]) -> int:
    """How often they have gone to sleep until now, and so have woken up."""
    return sum(each.num_ctx_switches().voluntary for each in processes)


def cpu_s(processes: Iterable[psutil.Process]) -> float:
    """CPU time that they have taken, to the microsecond (psutil has it to 10 ms)."""
    return sum(time.clock_gettime(~each.pid << 3 | 2) for each in processes)  # as clock_getcpuclockid(3) does it


def cpu_ms(command: list[str]) -> float:
    """User and system time of a command and everything that it has waited for."""
    quiet = [(os.POSIX_SPAWN_OPEN, descriptor, os.devnull, os.O_RDWR, 0) for descriptor in range(3)]
    env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8"}
    pid = os.posix_spawn(command[0], command, env, file_actions=quiet)
    _, status, usage = os.wait4(pid, 0)
    if status:
        raise ToolError(f"cannot measure: {' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    return (usage.ru_utime + usage.ru_stime) * 1000
