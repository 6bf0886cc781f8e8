"""How many lines each supervisor takes from its program to its own output in a second of CPU time.

The program writes real lines of Exim as fast as it can, and a reader takes them away as fast as they come. Counted is
the CPU time of what is in between: the supervisor's process, or s6's logger and what is around it. What the program
and the reader take is theirs. Memory is what the second so many lines add to that of the first.
"""

from __future__ import annotations

import math
import os
import select
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from benchmarks.compare import Row, Say, in_turn
from benchmarks.contenders import NONE, OURS, contenders, ours
from benchmarks.logs import repeated, samples
from benchmarks.processes import PATIENCE_S, SETTLING_S, birth_register, cpu_s, memory_mib, running, supervising, wait
from tools.console import ToolError

DAEMON = "exim-main"
LINES = 30_000
PIECE_BYTES = 2**20
PROGRAM = 'echo $$ >"{births}"\nwhile read -r _; do cat "{lines}"; done <"{go}"\n'


class Pumped(NamedTuple):
    """Lines for each second of CPU time, and what memory (USS) has grown by."""

    lines_per_s: float
    grown_mib: float


def measure(runs: int, say: Say) -> list[Row]:
    """Lines as they are through each, and through ours with fields read out of them, as json."""
    runs = max(2, runs // 3)  # each is thousands of lines
    with TemporaryDirectory() as name:
        folder = Path(name)
        script, births, go = folder / "daemon", folder / "births", folder / "go"
        os.mkfifo(go)
        (folder / "lines").write_bytes(repeated(samples(DAEMON), LINES))
        script.write_text(PROGRAM.format(births=births, lines=folder / "lines", go=go))
        commands = {who: command for who, command in contenders(folder, script, logged=True).items() if who != NONE}
        fields = in_turn(
            {who: partial(pump, command, births, go) for who, command in commands.items()}
            | {"fields": partial(pump, ours(folder, script, DAEMON), births, go)},
            runs,
            say,
        )
    with_fields = fields.pop("fields")
    rates = {who: [each.lines_per_s for each in found] for who, found in fields.items()}
    grown = {who: [each.grown_mib for each in found] for who, found in fields.items()}
    return [
        Row(measure="lines as they are", unit="lines/s", values=rates),
        Row(measure="lines read, as json", unit="lines/s", values={OURS: [each.lines_per_s for each in with_fields]}),
        Row(measure=f"memory that {LINES:,} lines add", unit="MiB", values=grown),
    ]


def pump(command: Sequence[str], births: Path, go: Path) -> Pumped:
    """Two loads of lines through one supervisor; the second one counts."""
    reading, writing = os.pipe()
    door = os.open(go, os.O_RDWR)
    try:
        with birth_register(births) as next_pid, running(command, writing) as process:
            program = next_pid()
            _take(reading, math.inf, SETTLING_S[1])
            own = supervising(process, program)
            _load(door, reading)
            (before, _), began = memory_mib(own), cpu_s(own)
            _load(door, reading)
            pumped = Pumped(LINES / (cpu_s(own) - began), memory_mib(own)[0] - before)
            process.terminate()
            wait(process)
            return pumped
    finally:
        for descriptor in (reading, writing, door):
            os.close(descriptor)


def _load(door: int, reading: int) -> None:
    os.write(door, b"\n")
    left = _take(reading, LINES, PATIENCE_S)
    if left > 0:
        raise ToolError(f"cannot measure: {left} of {LINES} lines did not come within {PATIENCE_S:.0f} s")


def _take(reading: int, lines: float, limit_s: float) -> float:
    """Read so many lines, or what comes within the time; how many are missing then."""
    end = time.monotonic() + limit_s
    while lines > 0 and select.select([reading], [], [], max(0.0, end - time.monotonic()))[0]:
        lines -= os.read(reading, PIECE_BYTES).count(b"\n")
    return lines
