"""Which lines are about a message: it has another name in each service, and each knows the next one's.

Its Message-ID is in what Exim receives, rspamd scans and Dovecot stores. Exim's id for it, another one in each role, is
in all that Exim says of it, and rspamd has it as well. The host that takes a message says its own name for it in its
reply: `250 OK id=…` an Exim, `250 2.0.0 <recipient> … Saved` Dovecot's LMTP. A bounce names the message it is about.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import IO, Any

from entrypoint.trace.read import event_of

Event = dict[str, Any]

EXIM_ID = r"[0-9A-Za-z]{6}-(?:[0-9A-Za-z]{11}-[0-9A-Za-z]{4}|[0-9A-Za-z]{6}-[0-9A-Za-z]{2})"
_TAKEN = re.compile(rf"\bid=(?P<exim_id>{EXIM_ID})\b|> (?P<session>[\w+/:]{{8,100}}) Saved\b")
# Of a message that is sent round in circles enough is seen.
_NAMES_LIMIT = 200
_UNKNOWN = frozenset({"", "undef", "unspecified"})


def follow(log: IO[bytes], name: str) -> list[Event]:
    """Everything in the log that is about the message with this name, in the order of time."""
    names = {name}
    while True:
        events = list(_about(log, names))
        more = names.union(*map(_names_of, events)) - _UNKNOWN
        if more == names or len(names) > _NAMES_LIMIT:
            return sorted(events, key=_when)
        names = more


def _when(event: Event) -> tuple[float, int, str]:
    """The time; within a millisecond, what Exim says comes after that which it says it about."""
    return float(event["time"]), int(event["program"] == "exim"), str(event["service"])


def _about(log: IO[bytes], names: set[str]) -> Iterator[Event]:
    """The events that one of the names belongs to."""
    log.seek(0)
    marks = [form.encode() for name in names for form in {name, json.dumps(name, ensure_ascii=False)[1:-1]}]
    for line in log:
        if any(mark in line for mark in marks):
            event = event_of(line)
            if event and not names.isdisjoint(_own_names(event)):
                yield event


def _own_names(event: Event) -> Iterable[str]:
    """The names of the message that an event is about: not what somebody wrote into its text."""
    taken = taken_as(event)
    return {str(event.get(field, "")) for field in ("message_id", "exim_id", "bounce_of")} | taken | _sessions(event)


def _sessions(event: Event) -> set[str]:
    """Dovecot's name for a delivery; a login's session is no message's."""
    return {str(event.get("session", ""))} if event.get("process") == "lmtp" else set()


def _names_of(event: Event) -> set[str]:
    """What else the message is called. (A bounce is followed from the message it is about, and not the other way.)"""
    return {str(event.get(field, "")) for field in ("message_id", "exim_id")} | taken_as(event)


def taken_as(event: Event) -> set[str]:
    """What the next host calls the message."""
    found = _TAKEN.search(str(event.get("reply", "")))
    return {name for name in found.groups() if name} if found else set()
