"""`make demo` and `make demo-down`: python -m tools.demo [up | down] [--json].

up (the default) starts what does not run, sends a message in and one out, and says what happened and how to go on.
Progress is on stderr, the result on stdout. Exit codes: 0 mail went both ways, 1 it did not, 64 wrong command line,
130 interrupted.
"""

from __future__ import annotations

import argparse
import imaplib
import json
import shutil
import smtplib
import sys
import time
from collections.abc import Callable, Mapping
from email import message_from_bytes
from typing import NoReturn, TypeVar

from tools.commands import ROOT
from tools.console import ToolError, step
from tools.demo import report
from tools.demo.mail import Clients, message
from tools.demo.report import Event
from tools.demo.settings import DEMO_ENV, DEMO_FOLDER, read_env
from tools.demo.stack import Stack
from tools.demo.world import OUTSIDE, World, make_world

T = TypeVar("T")

FOLDER = ROOT / DEMO_FOLDER
SOMEONE = f"someone@{OUTSIDE}"


class Parser(argparse.ArgumentParser):
    """argparse, but a wrong command line ends with 64 (EX_USAGE) and not 2."""

    def error(self, problem: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(64, f"{self.prog}: {problem}\n")


def main() -> int:
    """Do what the command line says; the exit code."""
    parser = Parser(prog="python -m tools.demo", description="A complete mail system on this machine, to try out.")
    parser.add_argument("command", nargs="?", choices=("up", "down"), default="up")
    parser.add_argument("--json", action="store_true", help="tell the result as JSON")
    options = parser.parse_args()
    try:
        settings = read_env(DEMO_ENV)
        if options.command == "up":
            up(settings, options.json)
        else:
            down(settings)
    except ToolError:
        if options.command == "up":
            print("What has been started is left to be looked at. make demo-down removes it.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def up(settings: Mapping[str, str], as_json: bool) -> None:
    """Start, send and read, report."""
    world, stack = prepare(settings), Stack(settings)
    events = [start(stack), *exchange(Clients(stack, world))]
    if as_json:
        print(json.dumps(report.as_data(events, world, settings), indent=1))
    else:
        print(f"\n{report.as_text(events, world, settings)}", end="")


def down(settings: Mapping[str, str]) -> None:
    """Remove all that `up` has made, but the images."""
    with step("down") as current:
        stack = Stack(settings)
        there = FOLDER.exists() or bool(stack.containers())
        current.say(f"removing the containers, volumes and network of {stack.project}")
        stack.down()
        shutil.rmtree(FOLDER, ignore_errors=True)
        current.done("removed" if there else "nothing was there")


def prepare(settings: Mapping[str, str]) -> World:
    """The demo's world, new or that of the last time."""
    with step("world") as current:
        there = FOLDER.exists()
        world = make_world(FOLDER, settings)
        if not there:
            current.done(f"made {DEMO_FOLDER}: certificates, keys, passwords, members, names")
        else:
            current.outcome = f"ok: {DEMO_FOLDER}"
    return world


def start(stack: Stack) -> Event:
    """The stack, up and healthy."""
    with step("stack") as current:
        current.say(f"starting the services of {stack.project}")
        _, seconds = timed(lambda: stack.up(current.say))
        count = len(stack.containers())
        current.done(f"{count} services are healthy")
    return Event(f"{count} services started", "all healthy", seconds)


def exchange(clients: Clients) -> list[Event]:
    """A message in and one out, both followed to where they arrive."""
    with step("mail") as current:
        try:
            current.say("one from outside to alice")
            events = come_in(clients, "alice")
            current.say("one from alice to the outside")
            events += go_out(clients, "alice")
        except (OSError, smtplib.SMTPException, imaplib.IMAP4.error) as error:
            raise ToolError(f"cannot talk to the stack: {error}") from error
        current.done("both arrived")
    return events


def come_in(clients: Clients, uid: str) -> list[Event]:
    """From the world to a member."""
    recipient = clients.world.address(uid)
    mail = message(SOMEONE, recipient, "Welcome", "This message came from outside.\n")
    tls, sent_s = timed(lambda: clients.from_outside(mail))
    content, read_s = timed(lambda: clients.in_mailbox(uid, mail["Message-ID"]))
    subject = message_from_bytes(content)["Subject"]
    return [
        Event(f"{SOMEONE} wrote to {recipient}", f"the MX took it ({tls}, verified)", sent_s),
        Event(f"{recipient} read it over IMAPS", f"in INBOX, verified, subject {subject}", read_s),
    ]


def go_out(clients: Clients, uid: str) -> list[Event]:
    """From a member to the world, which has to find a good signature of ours."""
    sender = clients.world.address(uid)
    mail = message(sender, SOMEONE, "Greetings", "This message goes to the outside.\n")
    tls, sent_s = timed(lambda: clients.from_member(uid, mail))
    found, arrived_s = timed(lambda: clients.in_sink(mail["Message-ID"]))
    verdicts = found["dkim"]
    words = ", ".join(f"DKIM {v['result']} (d={v['domain']} s={v['selector']})" for v in verdicts) or "no DKIM"
    if [(v["domain"], v["result"]) for v in verdicts] != [(clients.world.domain, "pass")]:
        raise ToolError(f"cannot be content: the message arrived outside with {words}", json.dumps(verdicts))
    return [
        Event(f"{sender} wrote to {SOMEONE}", f"submission took it ({tls}, verified)", sent_s),
        Event(f"{OUTSIDE} got it", words, arrived_s),
    ]


def timed(work: Callable[[], T]) -> tuple[T, float]:
    """What the work gives, and the seconds it took."""
    started = time.monotonic()
    return work(), time.monotonic() - started


if __name__ == "__main__":
    sys.exit(main())
