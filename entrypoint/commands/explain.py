"""`entrypoint explain`: what would happen to a message or a login, and why."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from entrypoint.commands import add_project
from entrypoint.errors import UsageError

HELP = "say what would happen to a message or a login, and why"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The three questions."""
    from entrypoint.explain.questions import ROLES

    kinds = parser.add_subparsers(metavar="QUESTION", required=True)
    route = _kind(kinds, "route", "where mail to an address goes", _route)
    route.add_argument("address", metavar="ADDRESS")
    route.add_argument("--from", dest="sender", default="", metavar="SENDER", help="who writes (envelope sender)")
    route.add_argument("--role", choices=ROLES, default="", help="the Exim that it comes to (default: exim-external)")
    route.add_argument("--client", default="", metavar="IP", help="the address that it comes from")

    send = _kind(kinds, "send", "whether a member may write as somebody", _send)
    send.add_argument("login", metavar="LOGIN")
    send.add_argument("as_", metavar="as", choices=("as",))
    send.add_argument("sender", metavar="SENDER")
    send.add_argument("to", nargs="?", metavar="to", choices=("to",))
    send.add_argument("recipient", nargs="?", default="", metavar="RECIPIENT")
    send.add_argument("--role", choices=ROLES[:2], default="", help="where it is sent (default: exim-external)")

    login = _kind(kinds, "login", "whether somebody may log in, to read and to send", _login)
    login.add_argument("login", metavar="LOGIN")
    login.add_argument("--password", action="store_true", help="try a password, asked for here or read from stdin")

    kinds.add_parser("part").set_defaults(question=None)  # what the host asks of a container


def _kind(kinds: Any, name: str, text: str, question: Callable[[argparse.Namespace], Any]) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = kinds.add_parser(name, help=text)
    add_project(parser)
    parser.add_argument("--json", action="store_true", help="everything that was found out, for programs")
    parser.set_defaults(question=question)
    return parser


def run(options: argparse.Namespace) -> int:
    """0 it would work, 1 it would not, 69 somebody cannot be asked."""
    from entrypoint import explain

    if options.question is None:
        return explain.part()
    return explain.main(options.question(options), options.project, machine=options.json)


def _route(options: argparse.Namespace) -> Any:
    from entrypoint.explain.questions import Question

    return Question(
        about="route", name=options.address, sender=options.sender, role=options.role, client=options.client
    )


def _send(options: argparse.Namespace) -> Any:
    from entrypoint.explain.questions import Question

    if options.to and not options.recipient:
        raise UsageError("cannot explain it: after `to` comes the recipient's address")
    return Question(
        about="send", name=options.login, sender=options.sender, recipient=options.recipient, role=options.role
    )


def _login(options: argparse.Namespace) -> Any:
    from entrypoint.explain.questions import Question

    return Question(about="login", name=options.login, password=_password() if options.password else None)


def _password() -> Any:
    """From the terminal without showing it, or the first line of stdin."""
    import sys

    from entrypoint.settings.schema import Secret

    if sys.stdin.isatty():
        import getpass

        text = getpass.getpass("Password: ")
    else:
        text = sys.stdin.readline().rstrip("\r\n")
    if not text:
        raise UsageError("cannot try an empty password: it would be no login at all")
    return Secret(text)
