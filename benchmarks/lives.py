"""A program's life below each supervisor: how soon it starts, starts again and ends, and what that takes meanwhile."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.compare import Row, Say, in_turn
from benchmarks.contenders import contenders
from benchmarks.processes import birth_register, memory_mib, ms_since, running, settle, supervising, wait, wakeups

PROGRAM = 'echo $$ >"{births}"; exec sleep 1000\n'
CALM_S = 0.3  # after a start: what still has to be done for that is no tick

START, AGAIN, STOP = "start → child", "kill -9 → new pid", "TERM → exit"
USS, PSS, WAKEUPS = "memory, USS", "memory, PSS", "wake-ups at rest"
UNITS = {START: "ms", AGAIN: "ms", STOP: "ms", USS: "MiB", PSS: "MiB", WAKEUPS: "/s"}

Life = dict[str, float]


def measure(runs: int, say: Say) -> list[Row]:
    """Times, memory and wake-ups of each."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        births, script = folder / "births", folder / "daemon"
        script.write_text(PROGRAM.format(births=births))
        commands = contenders(folder, script)
        found = in_turn({who: partial(live, command, births) for who, command in commands.items()}, runs, say)
    return [
        Row(
            measure=what,
            unit=unit,
            values={who: [life[what] for life in lives] for who, lives in found.items() if what in lives[0]},
        )
        for what, unit in UNITS.items()
    ]


def live(command: Sequence[str], births: Path) -> Life:
    """Start it, kill its program, stop it. A program alone has neither memory of a supervisor, nor a second life."""
    life: Life = {}
    with birth_register(births) as next_pid:
        began = time.perf_counter()
        with running(command) as process:
            pid = next_pid()
            life[START] = ms_since(began)
            settle()
            if own := supervising(process, pid):
                life[USS], life[PSS] = memory_mib(own)
                began = time.perf_counter()
                os.kill(pid, signal.SIGKILL)
                next_pid()
                life[AGAIN] = ms_since(began)
                time.sleep(CALM_S)
                calm, before = time.perf_counter(), wakeups(own)
                settle()
                life[WAKEUPS] = (wakeups(own) - before) / (time.perf_counter() - calm)
            began = time.perf_counter()
            process.terminate()
            wait(process)
            life[STOP] = ms_since(began)
    return life
