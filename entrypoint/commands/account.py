"""`entrypoint account`: who is in the embedded directory."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from entrypoint.commands import add_project

if TYPE_CHECKING:
    from entrypoint.accounts.directory import Directory

HELP = "add, list and remove people of the embedded directory"


def arguments(parser: argparse.ArgumentParser) -> None:
    """A verb, and whom it is about."""
    verbs = parser.add_subparsers(metavar="VERB", dest="verb", required=True)
    add = verbs.add_parser("add", help="a new account; the password is asked for, or read from standard input")
    add.add_argument("address", metavar="ADDRESS")
    add.add_argument("--name", default="", metavar="NAME", help='the name of the person, such as "Alice Example"')
    add.add_argument("--quota", default="default", metavar="SIZE", help="such as 500M or 2G; 0: no limit")
    add.add_argument("--no-mail", action="store_true", help="not into the group of those who may use mail")
    passwd = verbs.add_parser("passwd", help="another password, asked for, or read from standard input")
    passwd.add_argument("address", metavar="ADDRESS")
    for verb in (add, passwd):
        verb.add_argument("--generate", action="store_true", help="make a password, and print it once")
    remove = verbs.add_parser("remove", help="remove an account; the mailbox stays")
    remove.add_argument("address", metavar="ADDRESS")
    remove.add_argument("--yes", action="store_true", help="do not ask")
    listing = verbs.add_parser("list", help="all accounts")
    listing.add_argument("--json", action="store_true", help="for programs")
    for verb in (add, passwd, remove, listing):
        add_project(verb)


def run(options: argparse.Namespace) -> int:
    """0; 64 or 78 with the reason."""
    return {"add": _add, "passwd": _passwd, "remove": _remove, "list": _list}[options.verb](options)


def _add(options: argparse.Namespace) -> int:
    from entrypoint.accounts import people, words

    words.address(options.address)  # before a password is asked for
    words.quota(options.quota)
    more = {"name": options.name, "quota": options.quota, "may_mail": not options.no_mail}
    return _with_password(options, partial(people.add, **more))


def _passwd(options: argparse.Namespace) -> int:
    from entrypoint.accounts import people, words

    words.address(options.address)
    return _with_password(options, people.set_password)


def _with_password(options: argparse.Namespace, work: Callable[[Directory, str, str], str]) -> int:
    """With a password that is made where the directory is and printed alone; or asked for here."""
    from entrypoint.accounts import ask, commands, words

    if not options.generate:
        password = ask.password(options.address)
        return commands.run(options, lambda it: work(it, options.address, password), stdin=f"{password}\n")
    made = words.made_password()

    def with_made(directory: Directory) -> str:
        commands.note(work(directory, options.address, made))
        return made

    return commands.run(options, with_made)


def _remove(options: argparse.Namespace) -> int:
    from entrypoint.accounts import ask, commands, people, words

    address = words.address(options.address)
    if not options.yes:
        ask.insist_on_yes(f"Remove {address}? Nobody can log in as that then; {people.mailbox_stays(address)}.")
    more = () if options.yes else ("--yes",)
    return commands.run(options, lambda directory: people.remove(directory, address), more=more)


def _list(options: argparse.Namespace) -> int:
    from entrypoint.accounts import commands

    def work(directory: Directory) -> str:
        from entrypoint.accounts import show

        return show.accounts(directory.accounts(), machine=options.json)

    return commands.run(options, work)
