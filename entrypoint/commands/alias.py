"""`entrypoint alias`: further addresses of people in the embedded directory."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from entrypoint.commands import add_project

if TYPE_CHECKING:
    from entrypoint.accounts.directory import Directory

HELP = "add, list and remove further addresses of an account"


def arguments(parser: argparse.ArgumentParser) -> None:
    """A verb, whose alias, and which."""
    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True)
    for name, about in (
        ("add", "mail to ALIAS goes to ADDRESS, too"),
        ("remove", "no longer"),
        ("list", "all of ADDRESS"),
    ):
        verb = verbs.add_parser(name, help=about)
        verb.add_argument("address", metavar="ADDRESS")
        if name == "list":
            verb.add_argument("--json", action="store_true", help="for programs")
        else:
            verb.add_argument("alias", metavar="ALIAS")
        add_project(verb)


def run(options: argparse.Namespace) -> int:
    """0; 64 or 78 with the reason."""
    from entrypoint.accounts import commands, people, show, words

    address = words.address(options.address)

    def work(directory: Directory) -> str:
        if options.verb == "list":
            return show.aliases(directory.account(address), machine=options.json)
        change = people.add_alias if options.verb == "add" else people.remove_alias
        return change(directory, address, options.alias)

    return commands.run(options, work)
