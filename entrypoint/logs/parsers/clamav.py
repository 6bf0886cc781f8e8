"""clamd's and freshclam's log: `WARNING: Sun Nov 22 19:43:02 2026 -> message`, or without the
level (most lines) or the time (LogTime no); the library's own lines are `LibClamAV Error: message`.

Fields: severity, process (LibClamAV); of a find virus, address or file; of databases database,
version, signatures.
"""

from __future__ import annotations

import re
from typing import Any

from entrypoint.logs.parsers.raw import LEVEL_OF, level_of

_PREFIX = re.compile(
    r"(?:(?:(?P<process>LibClamAV) )?(?P<severity>ERROR|WARNING|Error|Warning|info|debug): )?"
    r"(?:(?P<daemon_time>[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}) -> )?"
)
_FOUND = re.compile(r"^(?P<file>.+): (?P<virus>\S+?)(?:\([0-9a-f]+:\d+\))? FOUND$")
_ADDRESS = re.compile(r"^instream\((?P<address>[^@)]+)@")
_DATABASE = re.compile(
    r"^(?P<database>[\w.-]+) (?:updated|database is up-to-date) "
    r"\(version: (?P<version>[^,]{1,50}), sigs: (?P<signatures>\d{1,15})"
)
_LOADED = re.compile(r"^Database correctly reloaded \((?P<signatures>\d{1,15}) signatures\)")
# What clamd tells at every start, about 30 lines of what it can do.
_ROUTINE = re.compile(r"Limits: | enabled\.$|(?:support|detection) disabled\.$")


def parse(line: str) -> dict[str, Any]:
    """What a line of clamd's or freshclam's says."""
    found = _PREFIX.match(line)
    assert found is not None  # every part of the prefix may be missing
    message = line[found.end() :]
    severity = found["severity"]
    fields: dict[str, Any] = {"event": message, "level": LEVEL_OF[severity.lower()] if severity else level_of(message)}
    fields.update((k, v) for k, v in found.groupdict().items() if v)
    if message.endswith(" FOUND"):
        _infected(fields, message)
    elif not severity and _ROUTINE.search(message):
        fields["level"] = "debug"
    else:
        _database(fields, message)
    return fields


def _infected(fields: dict[str, Any], message: str) -> None:
    found = _FOUND.match(message)
    if not found:
        return
    fields.update(level="warning", virus=found["virus"])
    address = _ADDRESS.match(found["file"])
    fields.update({"address": address["address"]} if address else {"file": found["file"]})


def _database(fields: dict[str, Any], message: str) -> None:
    """How new what clamd searches for is, and how much it is."""
    told = _DATABASE.match(message) or _LOADED.match(message)
    if told:
        fields.update({**told.groupdict(), "signatures": int(told["signatures"])})
