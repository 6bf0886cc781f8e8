"""A message's way for people, as a timeline with the time between steps, and for programs."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from entrypoint.logs.render import escape, local, utc
from entrypoint.trace.steps import BAD, DOUBTFUL, GOOD, Step, Story

_GREEN, _YELLOW, _RED, _DIM = "32", "33", "31", "2"
_ROUNDED_FROM_S = 60
# What only explains another step does not stand out.
_QUIET = frozenset({"note", "completed"})


def as_text(story: Story, *, coloured: bool = False) -> str:
    """The timeline, aligned; `coloured` counts unless NO_COLOR is set."""
    coloured = coloured and not os.environ.get("NO_COLOR")
    width = max(len(step.service) for step in story.steps)
    lines = [_title(story)]
    before: float | None = None
    for step in story.steps:
        when = f"{'' if before is None else between(step.time - before):>13}"
        text = _painted(step.kind, escape(step.text)) if coloured else escape(step.text)
        lines.append(f"{local(step.time)} {when}  {escape(step.service):<{width}}  {text}")
        before = step.time
    return "\n".join([*lines, *_ends(story, coloured=coloured)])


def _title(story: Story) -> str:
    """Who wrote to whom."""
    names = [
        f"<{story.first('message_id') or story.name}>" if "@" in story.name or story.first("message_id") else story.name
    ]
    sender, recipients = story.first("sender"), story.first("recipients")
    names += [f"from {sender}"] if sender else []
    names += [f"for {', '.join(recipients)}"] if isinstance(recipients, list) else []
    return escape(" ".join(names))


def _ends(story: Story, *, coloured: bool) -> Iterable[str]:
    """What has become of it."""
    if not story.recipients:
        last = next((step for step in reversed(story.steps) if step.kind not in _QUIET), story.steps[-1])
        yield f"in the end: {last.kind}"
    for recipient, state in story.recipients.items():
        kind = state.partition(" in ")[0]
        yield f"{escape(recipient)}: {_painted(kind, escape(state)) if coloured else escape(state)}"


def _painted(kind: str, text: str) -> str:
    if kind in _QUIET:
        colour = _DIM
    elif kind in GOOD:
        colour = _GREEN
    elif kind in DOUBTFUL or kind == "waiting":
        colour = _YELLOW
    elif kind in BAD:
        colour = _RED
    else:
        return text
    return f"\x1b[{colour}m{text}\x1b[0m"


def between(seconds: float) -> str:
    """A time as people say it, in two units at most."""
    if seconds < _ROUNDED_FROM_S:
        return f"+{seconds:.3f} s"
    whole = round(seconds)
    for size, unit, size_below, below in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            return f"+{whole // size} {unit} {whole % size // size_below} {below}"
    raise AssertionError(seconds)


def as_json(story: Story) -> dict[str, Any]:
    """The same for programs."""
    begin = story.steps[0].time
    return {
        "name": story.name,
        "message_id": story.first("message_id"),
        "sender": story.first("sender"),
        "recipients": dict(story.recipients),
        "steps": [_step_as_json(step, begin) for step in story.steps],
    }


def _step_as_json(step: Step, begin: float) -> dict[str, Any]:
    # Fields of the log's own, but for those that stand here already.
    fields = {name: value for name, value in step.event.items() if name not in ("time", "service", "program")}
    return {
        "time": utc(step.time),
        "after_s": round(step.time - begin, 3),
        "service": step.service,
        "program": step.program,
        "kind": step.kind,
        "text": step.text,
        "fields": fields,
    }
