"""A round: fetchmail once for each mailbox, a few at a time, and what came of it written down for people.

It is a job of the plan, so that a round never begins while the last one goes on. A mailbox that fails holds up no other
one and no later round, and ends nothing.

{"at": 1795376612.0,                       when this was written; seconds since the epoch
 "mailboxes": [{
   "title": "alice@example.net at imap.example.net",
   "reason": "",                           why the last round has failed, in words; "" when it was good
   "since": null}]}                        of the first of these failures in a row
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from base64 import b64decode
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock
from typing import Any

from entrypoint.plan import write_atomically

FETCHMAIL = "/usr/bin/fetchmail"
CONFIG = Path("/run/config/fetchmailrc")
MAILBOXES = Path("/run/config/mailboxes")
STATUS = Path("/run/fetchmail/status.json")
STATE = Path("/var/lib/fetchmail")
AT_ONCE = 4

# fetchmail(1), "Exit codes". There was mail, or none; another one is at it; as much as one round takes.
_GOOD = {0, 1, 8, 13}
_REASONS = {
    2: "no connection",
    3: "the login is refused; is the password right?",
    4: "the server does not speak as it should",
    5: "fetchmail does not understand its configuration",
    7: "the server reports an error, or says nothing",
    9: "the server is busy with this mailbox",
    11: "the name of the server is not known",
}
# What explains "no connection", where fetchmail says more.
_TELLING = re.compile(
    r"(?:fetchmail|name \d+): (?!Connection errors)(.*(?:certificate|connection|STARTTLS|TLS).*)", re.IGNORECASE
)
_LONGEST_REASON = 200


@dataclass(frozen=True)
class Mailbox:
    """A line of the file `mailboxes`: how fetchmail calls it, who gets its mail, what people call it."""

    name: str
    recipient: str
    title: str


class Round:
    """The fetchmails that run now: a stop ends them."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = Lock()
        self._stopped = Event()

    def stop(self, *_args: object) -> None:
        """End them; each leaves the message that it has under way where it is."""
        self._stopped.set()
        for process in tuple(self._running):
            process.terminate()

    def fetch(self, mailbox: Mailbox) -> str:
        """Everything that is new there; why not, in words, or ""."""
        files = (f"--pidfile={STATUS.parent / mailbox.name}.pid", f"--idfile={STATE / mailbox.name}.ids")
        command = [FETCHMAIL, f"--fetchmailrc={CONFIG}", "--nosyslog", *files, mailbox.name]
        if self._stopped.is_set():
            return ""  # nobody asks for it any more
        with subprocess.Popen(
            command,
            env={**os.environ, "DELIVER_TO": mailbox.recipient},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="backslashreplace",
        ) as process:
            self._running.add(process)
            if self._stopped.is_set():  # in between
                process.terminate()
            lines = self._pass_on(process)
        self._running.discard(process)
        return "" if self._stopped.is_set() else reason(process.returncode, lines)

    def _pass_on(self, process: subprocess.Popen[str]) -> list[str]:
        """The last lines; all of them go into the log, each whole."""
        lines: list[str] = []
        assert process.stdout
        for line in process.stdout:
            with self._lock:
                sys.stderr.write(line if line.endswith("\n") else f"{line}\n")
                sys.stderr.flush()
            lines = [*lines[-199:], line.rstrip("\n")]
        return lines


def reason(code: int, lines: Sequence[str]) -> str:
    """Why a mailbox was not fetched whole, of fetchmail's exit code and its lines; "" when it was."""
    if refused := [line for line in lines if line.startswith("deliver: refused ")]:
        stay = "a message stays there" if len(refused) == 1 else f"{len(refused)} messages stay there"
        return f"{stay}: {refused[-1].partition(' because=')[2]}"[:_LONGEST_REASON]
    if code in _GOOD:
        return ""
    told = [found[1] for line in lines if (found := _TELLING.match(line))]
    words = _REASONS.get(code, f"fetchmail ended with {code}")
    return (f"{words}: {told[0]}" if told and code in {2, 4} else words)[:_LONGEST_REASON]


def read_mailboxes(text: str) -> list[Mailbox]:
    """What install/fetchmail/run/config/mailboxes.j2 has written: name, and the two texts in base64."""
    lines = (line.split() for line in text.splitlines() if not line.startswith("#"))
    return [Mailbox(words[0], *(b64decode(word).decode() for word in words[1:])) for words in lines if words]


def status(reasons: Mapping[str, str], before: Mapping[str, Any], now: float) -> dict[str, Any]:
    """What is written down: `reasons` by title, with the times of the last round's failures where they go on."""
    since = {each["title"]: each["since"] for each in before.get("mailboxes", ()) if each["reason"]}
    mailboxes = [
        {"title": title, "reason": why, "since": since.get(title, now) if why else None}
        for title, why in reasons.items()
    ]
    return {"at": now, "mailboxes": mailboxes}


def last_status() -> dict[str, Any]:
    """What the last round has written; nothing when there was none."""
    with suppress(OSError, ValueError):
        found = json.loads(STATUS.read_text(encoding="utf-8"))
        if isinstance(found, dict):
            return found
    return {}


def main() -> int:
    """One round; 0 whatever becomes of a mailbox, which is for the health check to tell."""
    mailboxes = read_mailboxes(MAILBOXES.read_text(encoding="utf-8"))
    STATUS.parent.mkdir(parents=True, exist_ok=True)
    current = Round()
    signal.signal(signal.SIGTERM, current.stop)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        reasons = dict(zip((each.title for each in mailboxes), pool.map(current.fetch, mailboxes), strict=True))
    write_atomically(STATUS, json.dumps(status(reasons, last_status(), time.time()), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
