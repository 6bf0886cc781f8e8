"""How the commands get to the directory: as they are in ldap's container, passed on from the host.

Passwords are asked for, or made, where the person is, and go on through standard input: never in a command line, which
every process of the machine could read.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from entrypoint import host
from entrypoint.errors import Refused, Unavailable, UsageError
from entrypoint.plan import read_plan

if TYPE_CHECKING:
    from entrypoint.accounts.directory import Directory

SERVICE = "ldap"


def run(
    options: argparse.Namespace, work: Callable[[Directory], str], *, stdin: str = "", more: tuple[str, ...] = ()
) -> int:
    """Do it here and print what has become of it, or pass it on with `stdin` and further words."""
    if not host.in_container():
        return host.pass_on(SERVICE, options.project, [*options.words, *more], stdin=stdin)
    insist_on_container()
    from entrypoint.accounts.directory import opened

    with opened() as directory:
        said = work(directory)
    if said:
        print(said)
    return 0


def insist_on_container() -> None:
    """UsageError in the container of another service; Refused for another user than the service's."""
    try:
        service = read_plan().service
    except FileNotFoundError:
        raise Unavailable("cannot ask the directory: nothing runs in this container") from None
    except PermissionError:
        raise Refused(
            f"cannot ask the directory as uid {os.getuid()}: only the service's own user may; without another user: "
            "docker compose exec ldap entrypoint …, or the same command on the host"
        ) from None
    if service != SERVICE:
        raise UsageError(
            f"cannot find the directory here, in the container of {service}: "
            "docker compose exec ldap entrypoint …, or the same command on the host"
        )


def note(text: str) -> None:
    """For people, beside an output that programs may read."""
    print(text, file=sys.stderr)
