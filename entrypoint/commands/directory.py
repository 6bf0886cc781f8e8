"""`entrypoint directory`: all of the embedded directory as one file, and back."""

from __future__ import annotations

import argparse
import sys

from entrypoint.commands import add_project

HELP = "back up the embedded directory, and restore it"


def arguments(parser: argparse.ArgumentParser) -> None:
    """A verb."""
    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True)
    for name, about in (
        ("backup", "write everything to standard output, while it runs: entrypoint directory backup >FILE"),
        ("restore", "put a backup in its place: entrypoint directory restore <FILE"),
    ):
        add_project(verbs.add_parser(name, help=about))


def run(options: argparse.Namespace) -> int:
    """0; 64 or 78 with the reason."""
    from entrypoint import host
    from entrypoint.accounts import commands, streams

    streams.insist_on_files(options.verb)
    if not host.in_container():
        return host.pass_on(commands.SERVICE, options.project, options.words)
    commands.insist_on_container()
    from entrypoint.accounts import backup

    if options.verb == "backup":
        backup.write(sys.stdout)
    else:
        print(backup.restore(sys.stdin.buffer))
    return 0
