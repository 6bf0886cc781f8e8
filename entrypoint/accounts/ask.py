"""What a person is asked, where the person is: on the host, before the command is passed on."""

from __future__ import annotations

import getpass
import sys

from entrypoint.accounts import words
from entrypoint.errors import Refused, UsageError


def password(address: str) -> str:
    """Asked twice on a terminal; otherwise the first line of standard input."""
    if not sys.stdin.isatty():
        found = sys.stdin.readline(1 << 16).removesuffix("\n").removesuffix("\r")
        if not found:
            raise UsageError(
                f"cannot set the password of {address}: standard input is empty; give it there as one line, "
                "or let --generate make one"
            )
        return words.password(found)
    found = words.password(getpass.getpass(f"Password for {address}: "))
    if getpass.getpass("The same again: ") != found:
        raise Refused("cannot set the password: the two are not the same")
    return found


def insist_on_yes(question: str) -> None:
    """Refused unless the person says yes; UsageError where nobody can be asked."""
    if not sys.stdin.isatty():
        raise UsageError("cannot ask whether this is meant: standard input is no terminal; say --yes")
    if input(f"{question} [y/N] ").strip().lower() not in {"y", "yes"}:
        raise Refused("nothing is changed")
