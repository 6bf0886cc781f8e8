"""Which lines are about a message: it has another name in each service, and each knows the next one's.

Its Message-ID is in what Exim receives, rspamd scans and Dovecot stores. Exim's id for it, another one in each role, is
in all that Exim says of it, and rspamd has it as well. The host that takes a message says its own name for it in its
reply: `250 OK id=…` an Exim, `250 2.0.0 <recipient> … Saved` Dovecot's LMTP. A bounce names the message it is about.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from typing import IO, Any

from entrypoint.trace.read import event_of

Event = dict[str, Any]
Name = tuple[str, str]  # of which kind, and the name: an id of Exim's may be another message's Message-ID

EXIM_ID = r"[0-9A-Za-z]{6}-(?:[0-9A-Za-z]{11}-[0-9A-Za-z]{4}|[0-9A-Za-z]{6}-[0-9A-Za-z]{2})"
_TAKEN = re.compile(rf"\bid=(?P<exim_id>{EXIM_ID})\b|> (?P<session>[\w+/:]{{8,100}}) Saved\b")
# Of a message that is sent round in circles enough is seen.
_NAMES_LIMIT = 200
_UNKNOWN = frozenset({"", "undef", "unspecified"})


def follow(log: IO[bytes], name: str) -> list[Event]:
    """Everything in the log that is about the message with this name, in the order of time."""
    names = {("exim_id" if re.fullmatch(EXIM_ID, name) else "message_id", name)}
    while True:
        events = list(_about(log, names))
        more = names.union(*map(_names_of, events), _said(events))
        if more == names or len(names) > _NAMES_LIMIT:
            return sorted(_scans_first(events), key=_when)
        names = more


def _said(events: list[Event]) -> set[Name]:
    """What other hosts call the message, where it has no Message-ID, as a bounce of Exim's in Exim's own log.

    Only there: another host says what it likes, and one that lies would draw others' mail into this story.
    """
    known = {event.get("exim_id") for event in events if event.get("message_id")}
    return set().union(*(_next_names(event) for event in events if event.get("exim_id") not in known))


def _scans_first(events: list[Event]) -> Iterator[Event]:
    """The events; a scan that was logged after what Exim made of its verdict gets the time of that.

    rspamd writes its line when it has answered, and then it is nobody's business how long that takes.
    """
    verdicts: dict[str, float] = {}
    for event in events:
        if event.get("status") in {"received", "rejected"} and event.get("exim_id"):
            verdicts.setdefault(str(event["exim_id"]), float(event["time"]))
    for event in events:
        known = verdicts.get(str(event.get("exim_id")), math.inf)
        late = event["program"] == "rspamd" and known < float(event["time"])
        yield {**event, "time": known} if late else event


def _when(event: Event) -> tuple[float, int, str]:
    """The time; within a millisecond, what Exim says comes after that which it says it about."""
    return float(event["time"]), int(event["program"] == "exim"), str(event["service"])


def _about(log: IO[bytes], names: set[Name]) -> Iterator[Event]:
    """The events that one of the names belongs to."""
    log.seek(0)
    marks = [form.encode() for _, name in names for form in {name, json.dumps(name, ensure_ascii=False)[1:-1]}]
    for line in log:
        if any(mark in line for mark in marks):
            event = event_of(line)
            if event and not names.isdisjoint(_own_names(event)):
                yield event


def _own_names(event: Event) -> set[Name]:
    """The names of the message that an event is about: not what somebody wrote into its text."""
    bounced = {("exim_id", str(event["bounce_of"]))} if "bounce_of" in event else set()
    # Of a login, a session is no message's.
    session = {("session", str(event.get("session", "")))} if event.get("process") == "lmtp" else set()
    return _names_of(event) | bounced | session | _next_names(event)


def _names_of(event: Event) -> set[Name]:
    """What the message is called where this was logged.

    (A bounce is followed from the message that it is about, and not the other way.)
    """
    names = {(kind, str(event.get(kind, ""))) for kind in ("message_id", "exim_id")}
    # Dovecot's own word for a delivery, which no other host can say.
    if event.get("transport") == "lmtp":
        names |= {name for name in _next_names(event) if name[0] == "session"}
    return {name for name in names if name[1] not in _UNKNOWN}


def _next_names(event: Event) -> set[Name]:
    """What the next host calls the message, as it has said itself."""
    found = _TAKEN.search(str(event.get("reply", "")))
    return {(kind, name) for kind, name in found.groupdict().items() if name} if found else set()


def taken_as(event: Event) -> str:
    """Exim's id for the message at the next host, if that is an Exim."""
    return next((name for kind, name in _next_names(event) if kind == "exim_id"), "")
