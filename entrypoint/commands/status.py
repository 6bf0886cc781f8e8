"""`entrypoint status`: programs as a table, of a container or of the stack."""

from __future__ import annotations

import argparse

from entrypoint.commands import add_project

HELP = "show the programs of this container, or of the stack (on the host)"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Which stack, and for whom."""
    add_project(parser)
    parser.add_argument("--json", action="store_true", help="everything, for programs")


def run(options: argparse.Namespace) -> int:
    """Print it."""
    from entrypoint import status

    return status.main(options.project, as_json=options.json)
