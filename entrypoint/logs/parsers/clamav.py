"""clamd's and freshclam's log: `Sun Nov 22 19:43:02 2026 -> message`, or without the time.

Fields: virus and address of a find.
"""

from __future__ import annotations

import re
from typing import Any

from entrypoint.logs.parsers.raw import level_of

_PREFIX = re.compile(r"(?P<daemon_time>[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}) -> ")
_FOUND = re.compile(r"^(?P<what>.+): (?P<virus>\S+?)(?:\([0-9a-f]+:\d+\))? FOUND$")
_ADDRESS = re.compile(r"^instream\((?P<address>[^@)]+)@")


def parse(line: str) -> dict[str, Any]:
    """What a line of clamd's or freshclam's says."""
    found = _PREFIX.match(line)
    message = line[found.end() :] if found else line
    fields: dict[str, Any] = {"event": message, "level": level_of(message)}
    if found:
        fields["daemon_time"] = found["daemon_time"]
    virus = _FOUND.match(message) if message.endswith(" FOUND") else None
    if virus:
        _infected(fields, virus)
    return fields


def _infected(fields: dict[str, Any], virus: re.Match[str]) -> None:
    fields.update(level="warning", virus=virus["virus"])
    address = _ADDRESS.match(virus["what"])
    if address:
        fields["address"] = address["address"]
