"""`entrypoint health`, as people call it. Docker's way to it is shorter: entrypoint.__main__."""

from __future__ import annotations

import argparse

HELP = "say in one line whether the service is well"


def arguments(parser: argparse.ArgumentParser) -> None:
    """How deep the question goes, and for whom the answer is."""
    depth = parser.add_mutually_exclusive_group()
    depth.add_argument("--live", action="store_true", help="its programs run: no new container would be better")
    depth.add_argument("--ready", action="store_true", help="it also answers, and so does what it needs (default)")
    depth.add_argument("--deep", action="store_true", help="all that can be asked and measured, and a message sent")
    parser.add_argument("--json", action="store_true", help="everything that was found out, for programs")


def run(options: argparse.Namespace) -> int:
    """0 well, 1 not."""
    from entrypoint import health

    return health.main([f"--{name}" for name in (*health.MODES, "json") if getattr(options, name)])
