"""Progress for a person: one line a fact, the step's name in front.

Lines are written whole, so that steps which run side by side do not mix. Colour only on a terminal, and not where
NO_COLOR is set (no-color.org).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

NAME_WIDTH = 12
GREEN, RED, DIM = "32", "31", "2"


class ToolError(Exception):
    """Something a person has to see, and perhaps to do: `cannot X: why`, then what helps."""

    def __init__(self, problem: str, *help_lines: str) -> None:
        super().__init__(problem)
        self.help_lines = help_lines


@dataclass
class Step:
    """The lines of one step. `outcome` is what its last line says; "ok" stands for "was already there"."""

    name: str
    stream: TextIO
    outcome: str = "ok"
    started: float = field(default_factory=time.monotonic)

    def say(self, text: str) -> None:
        """Tell what begins now."""
        self._write(text, DIM)

    def done(self, outcome: str) -> None:
        """Set the last line, which also says how long the step took."""
        self.outcome = f"{outcome} ({time.monotonic() - self.started:.1f} s)"

    def finish(self) -> None:
        """Write the last line."""
        self._write(self.outcome, GREEN)

    def fail(self, error: ToolError) -> None:
        """Write why the step ended, and what helps."""
        self._write(str(error), RED)
        for line in error.help_lines:
            self._write(line, "")

    def _write(self, text: str, colour: str) -> None:
        self.stream.write(f"{self.name:<{NAME_WIDTH}} {paint(text, colour, self.stream)}\n")
        self.stream.flush()


@contextmanager
def step(name: str, stream: TextIO | None = None) -> Iterator[Step]:
    """A step that reports its own end, good or bad; the error goes on to the caller."""
    current = Step(name, stream or sys.stderr)
    try:
        yield current
    except ToolError as error:
        current.fail(error)
        raise
    current.finish()


def paint(text: str, colour: str, stream: TextIO) -> str:
    """The text in this SGR colour where the stream is a terminal, the plain text elsewhere."""
    if not colour or "NO_COLOR" in os.environ or not stream.isatty():
        return text
    return f"\x1b[{colour}m{text}\x1b[0m"
