"""The steps in their order, and the command line that picks from them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from tools.console import Step, ToolError, step
from tools.machine import base, compose, engine, peers, swaks, venv

STEPS: dict[str, Callable[[Step], None]] = {
    "venv": venv.set_up,
    "engine": engine.set_up,
    "compose": compose.set_up,
    "base": base.set_up,
    "swaks": swaks.set_up,
    "peers": peers.set_up,
}
# What only tests need is taken when it is named.
USUAL = ("venv", "engine", "compose", "base")
USAGE = f"usage: tools/setup [{'] ['.join(STEPS)}]"


def main(names: Sequence[str]) -> int:
    """Take the steps with these names, the usual ones without any; the exit code."""
    if unknown := [name for name in names if name not in STEPS]:
        print(f"{USAGE}\nno step is called {', '.join(unknown)}", file=sys.stderr)
        return 64
    try:
        for name in names or USUAL:
            with step(name) as current:
                STEPS[name](current)
    except ToolError:
        return 1
    return 0
