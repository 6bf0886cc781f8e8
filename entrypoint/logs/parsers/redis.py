"""Redis's and Valkey's log: `1:M 22 Nov 2026 19:43:02.123 * message`, the sign being the level.

Fields: pid, role (M primary, S replica, C child, X sentinel), severity (the sign). What a signal
interrupts it with is `1:signal-handler (1795486534) message`: pid, process, daemon_time in seconds.
"""

from __future__ import annotations

import re
from typing import Any

from entrypoint.logs.parsers.raw import parse as parse_raw

_LEVELS = {".": "debug", "-": "debug", "*": "info", "#": "warning"}
_PREFIX = re.compile(
    r"(?P<pid>[1-9]\d{0,9}):(?P<role>[XCSM]) "
    r"(?P<daemon_time>\d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d\.\d+) (?P<severity>[.\-*#]) "
)
_SIGNAL = re.compile(r"(?P<pid>[1-9]\d{0,9}):(?P<process>signal-handler) \((?P<daemon_time>\d{1,15})\) ")


def parse(line: str) -> dict[str, Any]:
    """What a line of Redis's says."""
    found = _PREFIX.match(line)
    level = _LEVELS[found["severity"]] if found else "info"
    found = found or _SIGNAL.match(line)
    if not found:
        return parse_raw(line)
    return {"event": line[found.end() :], "level": level, **found.groupdict(), "pid": int(found["pid"])}
