"""What the programs of ours say that run below the supervisor (the look, the reload): json, as it writes itself.

The line becomes the event that it was: its fields are taken over, and `program` is who we all are.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

from entrypoint.logs.parsers.raw import parse as parse_raw
from entrypoint.logs.setup import LEVELS, OURSELVES


def parse(line: str) -> dict[str, Any]:
    """The event that the line is, or, where it is none (a traceback, say), the line."""
    if not line.startswith("{"):
        return parse_raw(line)
    try:
        fields = json.loads(line)
        at = datetime.fromisoformat(fields["time"]).timestamp()
        known = fields["level"] in LEVELS and isinstance(fields["event"], str)
    except (ValueError, LookupError, TypeError):
        return parse_raw(line)
    return {**fields, "time": at, "program": OURSELVES} if known else parse_raw(line)
