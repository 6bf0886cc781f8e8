"""Our supervisor beside stock supervisord, both in the foreground with the same one program.

Stock is configured as in most images: nothing but what keeps its own files and the program's output in order. Both have
run for a while, by chance a little longer or shorter, before a signal comes: what rests until a clock ticks is then met
at any moment of its second.
"""

from __future__ import annotations

import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import psutil

from benchmarks.compare import Comparison, Say, in_turn
from entrypoint.plan import Plan, Program, write_plan
from entrypoint.supervise.become import bare_environment, command
from tools.console import ToolError

PATIENCE_S = 30.0
SETTLING_S = (1.2, 2.2)  # stock takes a program that dies within its first second for one that failed to start

PROGRAM = 'echo $$ >"{births}"; exec sleep 1000\n'
STOCK_INI = """\
[supervisord]
nodaemon = true
user = root
logfile = /dev/null
logfile_maxbytes = 0
pidfile = {folder}/supervisord.pid

[program:daemon]
command = /bin/sh {folder}/daemon
autorestart = true
stdout_logfile = /dev/fd/1
stdout_logfile_maxbytes = 0
redirect_stderr = true
"""


class Life(NamedTuple):
    """What one life of a supervisor with its program took."""

    spawn_ms: float
    respawn_ms: float
    stop_ms: float
    uss_mib: float


MEASURES = {
    "start → first spawn": ("ms", "spawn_ms"),
    "kill -9 → new pid": ("ms", "respawn_ms"),
    "SIGTERM → exit": ("ms", "stop_ms"),
    "memory of its own (USS)": ("MiB", "uss_mib"),
}


def measure(runs: int, say: Say) -> list[Comparison]:
    """Both supervisors' times and memory."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        births = folder / "births"
        os.mkfifo(births)
        (folder / "daemon").write_text(PROGRAM.format(births=births))
        commands = {"ours": _ours(folder), "stock": _stock(folder)}
        lives = in_turn({who: partial(live, command, births) for who, command in commands.items()}, runs, say)
    return [
        Comparison(
            suite="supervisor",
            measure=what,
            unit=unit,
            reference_name=f"supervisord -n {version('supervisor')}",
            ours=[getattr(life, field) for life in lives["ours"]],
            reference=[getattr(life, field) for life in lives["stock"]],
        )
        for what, (unit, field) in MEASURES.items()
    ]


def _ours(folder: Path) -> list[str]:
    """The second stage's command, as `become_supervisor` has it."""
    env = {"PATH": os.environ["PATH"]}
    program = Program(name="daemon", argv=("/bin/sh", str(folder / "daemon")), env=env)
    write_plan(Plan(service="bench", version="1", programs=(program,)), folder / "plan.json")
    return command(folder / "plan.json")


def _stock(folder: Path) -> list[str]:
    (folder / "stock.ini").write_text(STOCK_INI.format(folder=folder))
    return [str(Path(sys.executable).with_name("supervisord")), "-n", "-c", str(folder / "stock.ini")]


def live(command: Sequence[str], births: Path) -> Life:
    """Start a supervisor, kill its program, stop it."""
    with _birth_register(births) as next_pid:
        began = time.perf_counter()
        with _running(command) as supervisor:
            pid = next_pid()
            spawn_ms = _ms_since(began)
            _settle()
            uss = psutil.Process(supervisor.pid).memory_full_info().uss
            began = time.perf_counter()
            os.kill(pid, signal.SIGKILL)
            next_pid()
            respawn_ms = _ms_since(began)
            _settle()
            began = time.perf_counter()
            supervisor.terminate()
            _wait(supervisor)
            return Life(spawn_ms, respawn_ms, _ms_since(began), uss / 2**20)


@contextmanager
def _birth_register(fifo: Path) -> Iterator[Callable[[], int]]:
    """A function that waits for the program's next start, and says its PID: it writes that first of all."""
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
def _running(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    """The supervisor; it and what it has started end with the block."""
    nowhere = subprocess.DEVNULL
    process = subprocess.Popen(command, env=bare_environment(os.environ), stdin=nowhere, stdout=nowhere, stderr=nowhere)
    try:
        yield process
    finally:
        with suppress(psutil.NoSuchProcess):
            for child in psutil.Process(process.pid).children(recursive=True):
                child.kill()
        process.kill()
        process.wait()


def _wait(process: subprocess.Popen[bytes]) -> None:
    """Until the process has ended, to the moment: Popen.wait with a timeout looks only every so often."""
    descriptor = os.pidfd_open(process.pid)
    try:
        if not select.select([descriptor], [], [], PATIENCE_S)[0]:
            raise ToolError(f"cannot measure: {process.args!r} did not end within {PATIENCE_S:.0f} s of SIGTERM")
    finally:
        os.close(descriptor)


def _settle() -> None:
    time.sleep(random.uniform(*SETTLING_S))


def _ms_since(began: float) -> float:
    return (time.perf_counter() - began) * 1000
