"""`entrypoint trace MESSAGE-ID`: the way of one message through all services, out of what they have logged.

read    where the log comes from, and one line of it as fields: json lines, and console lines as far as they tell
follow  which lines are about the message: over all of its names, from service to service
steps   what a line means for the message, and what has become of it
show    a timeline for people, or json

The log is read as often as new names turn up, usually three times, and is never in memory: a line counts only when one
of the names stands in it, and all others are not even parsed.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from entrypoint.errors import UsageError
from entrypoint.trace.follow import follow
from entrypoint.trace.read import read_log
from entrypoint.trace.show import as_json, as_text
from entrypoint.trace.steps import Story


def main(name: str, file: Path | None, *, project: str = "", machine: bool = False) -> int:
    """Print the way of the message called `name`; 1 where the log has nothing of it."""
    wanted = name.strip().removeprefix("<").removesuffix(">")
    if not wanted:
        raise UsageError("cannot trace nothing: name a message, by its Message-ID or by Exim's id")
    with read_log(file, project) as log:
        events = follow(log, wanted)
    if not events:
        print(f"nothing of {wanted} in the log{_hint(wanted)}", file=sys.stderr)
        return 1
    story = Story.of(wanted, events)
    if machine:
        print(json.dumps(as_json(story), ensure_ascii=False, indent=1))
    else:
        print(as_text(story, coloured=sys.stdout.isatty()))
    return 0


def _hint(name: str) -> str:
    """Why there may be nothing."""
    if "@" in name and not name.endswith("@"):
        return ": what is refused before its text was sent has no Message-ID there; old lines may be gone already"
    return ": a Message-ID has an @, and Exim's ids look like 1xVg3D-0000000000P-0mqw"
