"""`entrypoint trace MESSAGE-ID`: the way of one message through all services."""

from __future__ import annotations

import argparse
from pathlib import Path

from entrypoint.commands import add_project

HELP = "show the way of one message through all services (on the host)"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The message, and the log."""
    parser.add_argument("message", metavar="MESSAGE-ID", help="with or without <>; or Exim's id of the message")
    parser.add_argument(
        "--file",
        type=Path,
        metavar="FILE",
        help="read the log from this file (- is standard input), not from docker compose",
    )
    add_project(parser)
    parser.add_argument("--json", action="store_true", help="every step with its fields, for programs")


def run(options: argparse.Namespace) -> int:
    """0, or 1 when the log has nothing of it."""
    from entrypoint import trace

    return trace.main(options.message, options.file, project=options.project, machine=options.json)
