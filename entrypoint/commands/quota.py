"""`entrypoint quota`: how much an account of the embedded directory may keep."""

from __future__ import annotations

import argparse

from entrypoint.commands import add_project

HELP = "say how much mail an account may keep"


def arguments(parser: argparse.ArgumentParser) -> None:
    """A verb, whose quota, and how much."""
    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True)
    verb = verbs.add_parser("set", help="another quota")
    verb.add_argument("address", metavar="ADDRESS")
    verb.add_argument("size", metavar="SIZE", help="such as 500M or 2G; 0: no limit; default: MAILBOX_SIZE_LIMIT")
    add_project(verb)


def run(options: argparse.Namespace) -> int:
    """0; 64 or 78 with the reason."""
    from entrypoint.accounts import commands, people

    return commands.run(options, lambda directory: people.set_quota(directory, options.address, options.size))
