"""What the lines about a message mean: the steps of its way, and what has become of it for each recipient."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from entrypoint.trace.follow import Event, taken_as

# What a step means for the message; `note` is all that only explains another one.
GOOD = frozenset({"delivered", "stored", "completed"})
BAD = frozenset({"failed", "rejected"})
DOUBTFUL = frozenset({"deferred", "put off"})


@dataclass(frozen=True)
class Step:
    """One step: when (seconds since the epoch), where, what kind of step, and in words."""

    time: float
    service: str
    program: str
    kind: str
    text: str
    event: Mapping[str, Any]


@dataclass(frozen=True)
class Story:
    """The way of one message. `recipients` has each one's last state, in words."""

    name: str
    steps: tuple[Step, ...]
    recipients: Mapping[str, str]

    @classmethod
    def of(cls, name: str, events: Iterable[Event]) -> Story:
        """Out of the lines about a message, in the order of time."""
        told = list(events)
        ours = {str(event["exim_id"]) for event in told if event.get("status") == "received" and "exim_id" in event}
        steps = tuple(step(event, ours) for event in told)
        return cls(name, steps, outcome(steps))

    def first(self, field: str) -> Any:
        """The first value of a field that is known."""
        return next((step.event[field] for step in self.steps if step.event.get(field)), None)


def step(event: Event, ours: Container[str] = ()) -> Step:
    """What a line means; `ours` are the ids of Exim's under which services of ours have received the message."""
    if event.get("status") == "delivered" and taken_as(event) in ours:
        kind, text = _passed_on(event)
    else:
        kind, text = _MEANING.get(event["program"], _note)(event)
    return Step(float(event["time"]), event["service"], event["program"], kind, text, event)


def _exim(event: Event) -> tuple[str, str]:
    status = str(event.get("status", ""))
    return _EXIM[status](event) if status in _EXIM else _note(event)


def _received(event: Event) -> tuple[str, str]:
    facts = [str(event.get("protocol", ""))]
    facts += [f"{event['size']} bytes"] if "size" in event else []
    facts += [f"for {', '.join(event['recipients'])}"] if "recipients" in event else []
    about = ", ".join(fact for fact in facts if fact)
    if "bounce_of" in event:
        return "bounced", f"wrote a bounce about {event['bounce_of']} ({about})"
    if event.get("user"):
        return "received", f"submitted by {event['user']} from {_host(event)} ({about})"
    return "received", f"received from {_host(event)} ({about})"


def _delivered(event: Event) -> tuple[str, str]:
    how = " by LMTP" if event.get("transport") == "lmtp" else ""
    return "delivered", f"delivered for {event.get('recipient')} to {_host(event)}{how}{_said(event)}"


def _passed_on(event: Event) -> tuple[str, str]:
    return "passed on", f"passed on for {event.get('recipient')} to {_host(event)}"


def _deferred(event: Event) -> tuple[str, str]:
    return "deferred", f"deferred for {event.get('recipient')}, tried again later: {event.get('error', '')}"


def _failed(event: Event) -> tuple[str, str]:
    return "failed", f"failed for {event.get('recipient')}: {event.get('error', '')}"


def _completed(_event: Event) -> tuple[str, str]:
    return "completed", "done with it"


def _rejected(event: Event) -> tuple[str, str]:
    why = ": ".join(str(event[name]) for name in ("reason", "error") if event.get(name))
    if event.get("temporary"):
        return "put off", f"not taken yet, from {_host(event)}: {why}"
    return "rejected", f"rejected, from {_host(event)}: {why}"


def _rspamd(event: Event) -> tuple[str, str]:
    if "verdict" not in event:
        return _note(event)
    virus = f", virus {event['virus']}" if "virus" in event else ""
    score = f", score {event['score']:g} of {event['required']:g}" if {"score", "required"} <= event.keys() else ""
    forced = f" by {event['forced_by']}" if "forced_by" in event else ""
    return "scanned", f"{event['verdict']}: {event.get('action', '')}{forced}{score}{virus}"


def _dovecot(event: Event) -> tuple[str, str]:
    if "mailbox" not in event:
        return _note(event)
    return "stored", f"stored in {event['mailbox']} of {event.get('user', 'somebody')}"


def _mailman(event: Event) -> tuple[str, str]:
    return str(event.get("action", "note")), str(event["event"])


def _note(event: Event) -> tuple[str, str]:
    return "note", str(event["event"]).removeprefix(f"{event.get('exim_id')} ")


_EXIM: Mapping[str, Callable[[Event], tuple[str, str]]] = {
    "received": _received,
    "delivered": _delivered,
    "deferred": _deferred,
    "failed": _failed,
    "completed": _completed,
    "rejected": _rejected,
}
_MEANING: Mapping[str, Callable[[Event], tuple[str, str]]] = {
    "exim": _exim,
    "rspamd": _rspamd,
    "dovecot": _dovecot,
    "mailman-core": _mailman,
}


def _host(event: Event) -> str:
    """The other host: by its name, or what it calls itself, and its address."""
    name = str(event.get("host") or event.get("helo") or event.get("local_user") or "")
    if "_" in name and event.get("helo"):
        name = str(event["helo"])  # the engine's name of a container, which says less than its own
    address = f"[{event['address']}]" if event.get("address") else ""
    return " ".join(word for word in (name, address) if word) or "this container"


def _said(event: Event) -> str:
    """What the last host said; Dovecot's answer only says what its own line says better."""
    reply = str(event.get("reply", ""))
    return f": {reply}" if reply and event.get("transport") != "lmtp" else ""


def outcome(steps: Iterable[Step]) -> dict[str, str]:
    """The last state of each recipient: delivered, stored in …, passed on, deferred, failed, waiting."""
    states: dict[str, str] = {}
    waiting: dict[str, set[str]] = {}
    for one in steps:
        _waits(waiting, one.event)
        event, kind = one.event, one.kind
        who = str(event.get("recipient") or (event.get("user") if kind == "stored" else "") or "").lower()
        if who and kind == "stored":
            states[who] = f"stored in {event['mailbox']}"
        elif who and kind == "passed on":
            states.setdefault(who, kind)  # the next one may have logged before what it did
        elif who and kind in ("delivered", "deferred", "failed"):
            # Dovecot says where it is before Exim hears that it was taken.
            states[who] = states[who] if kind == "delivered" and states.get(who, "").startswith("stored") else kind
    left = set().union(*waiting.values()) - states.keys()
    return states | dict.fromkeys(sorted(left), "waiting")


def _waits(waiting: dict[str, set[str]], event: Mapping[str, Any]) -> None:
    """Keep in mind for whom a role has a message, until it is done with it."""
    name = str(event.get("exim_id", ""))
    if event.get("status") == "received":
        waiting[name] = {str(recipient).lower() for recipient in event.get("recipients", ())}
    elif event.get("status") == "completed":
        waiting.pop(name, None)
