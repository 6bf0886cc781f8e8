"""What people see on a terminal: aligned tables, and colour where it is one (no-color.org)."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import TextIO

GREEN, YELLOW, RED, DIM, BOLD = "32", "33", "31", "2", "1"

Row = Mapping[str, str]


def has_colour(stream: TextIO | None = None) -> bool:
    """Whether there may be colour on this stream (default: stdout)."""
    return (stream or sys.stdout).isatty() and not os.environ.get("NO_COLOR")


def show(text: str) -> None:
    """Print it, all at once; whoever has read enough may go away, as `| head` does."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is written at the exit


def paint(text: str, colour: str, *, on: bool) -> str:
    """The text in this SGR colour, where colour is on."""
    return f"\x1b[{colour}m{text}\x1b[0m" if on and colour else text


def table(
    heads: Sequence[str],
    rows: Sequence[Row],
    *,
    right: Collection[str] = (),
    colours: Mapping[str, str] | None = None,
    coloured: bool = False,
) -> str:
    """Aligned columns under their heads; those in `right`, figures, to the right.

    `colours` says in which colour a cell is whose first word is that key.
    """
    widths = {head: max(len(head), *(len(row.get(head, "")) for row in rows)) for head in heads}

    def cell(text: str, head: str) -> str:
        return text.rjust(widths[head]) if head in right else text.ljust(widths[head])

    lines = ["  ".join(cell(head, head) for head in heads).upper().rstrip()]
    for row in rows:
        told = {head: row.get(head, "") for head in heads}
        cells = (
            paint(cell(text, head), (colours or {}).get(text.partition(" ")[0], ""), on=coloured)
            for head, text in told.items()
        )
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
