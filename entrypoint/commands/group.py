"""`entrypoint group`: who may use mail, and further groups of the embedded directory."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from entrypoint.commands import add_project

if TYPE_CHECKING:
    from entrypoint.accounts.directory import Directory

HELP = "say who may use mail, and who is in further groups"


def arguments(parser: argparse.ArgumentParser) -> None:
    """A verb, who, and the group."""
    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True)
    for name, about in (("add", "into the group"), ("remove", "out of it, at once"), ("list", "who is in which group")):
        verb = verbs.add_parser(name, help=about)
        if name == "list":
            verb.add_argument("--json", action="store_true", help="for programs")
            verb.add_argument("group", metavar="GROUP", nargs="?", default="", help="default: all groups")
        else:
            verb.add_argument("address", metavar="ADDRESS")
            verb.add_argument(
                "group", metavar="GROUP", nargs="?", default="", help="default: who may use mail (LDAP_GROUP)"
            )
        add_project(verb)


def run(options: argparse.Namespace) -> int:
    """0; 64 or 78 with the reason."""
    from entrypoint.accounts import commands, people, show

    def work(directory: Directory) -> str:
        if options.verb == "list":
            return show.groups(directory, options.group, machine=options.json)
        change = people.join if options.verb == "add" else people.leave
        return change(directory, options.address, options.group)

    return commands.run(options, work)
