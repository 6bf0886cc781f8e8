"""OpenLDAP's slapd with `-d stats`: `6921f5a6.1a2b3c4d 0x7f12 conn=1000 op=0 BIND dn="…"`.

Each operation writes several such lines: they are debug, but for a result that is an error a
person may look for (49, invalid credentials, and such). Fields: thread, conn, op, fd, dn, base,
filter, err, address.
"""

from __future__ import annotations

import re
from typing import Any

from entrypoint.logs.parsers.raw import level_of

_PREFIX = re.compile(r"(?P<daemon_time>[0-9a-f]{8}\.[0-9a-f]{6,8}) (?:(?P<thread>0x[0-9a-f]+) )?")
_CONN = re.compile(r"^(?:connection_input: )?conn=(?P<conn>\d{1,18}) ")
_TROUBLE = re.compile(r"TLS: can't|[\w ]{0,60}\bfailed\b|could not|unable|out of memory", re.IGNORECASE)
_FIELD = re.compile(r'\b(?P<key>op|fd|dn|base|filter|err)=(?:"(?P<quoted>(?:[^"\\]|\\.){0,1000})"|(?P<plain>[^\s"]+))')
_ADDRESS = re.compile(r"ACCEPT from IP=\[?(?P<address>[0-9A-Fa-f.:]{2,45}?)\]?:\d+ ")
_NUMBERS = frozenset({"op", "fd", "err"})
_USUAL = frozenset({0, 5, 6, 10, 14, 32})  # success, compare, referral, SASL step, no such object


def parse(line: str) -> dict[str, Any]:
    """What a line of slapd's says."""
    found = _PREFIX.match(line)
    message = line[found.end() :] if found else line
    fields: dict[str, Any] = {"event": message, "level": "info"}
    if found:
        fields.update((k, v) for k, v in found.groupdict().items() if v)
    conn = _CONN.match(message)
    if conn:
        fields["conn"] = int(conn["conn"])
        _operation(fields, message)
    else:
        fields["level"] = level_of(message, "warning" if _TROUBLE.match(message) else "info")
    return fields


def _operation(fields: dict[str, Any], message: str) -> None:
    """A line about one connection: its fields, and whether anybody wants to see it."""
    for found in _FIELD.finditer(message):
        value = found["plain"] if found["quoted"] is None else found["quoted"]
        if found["key"] not in _NUMBERS:
            fields[found["key"]] = value
        elif value.isdecimal() and len(value) < 16:
            fields[found["key"]] = int(value)
    address = _ADDRESS.search(message)
    if address:
        fields["address"] = address["address"]
    failed = "RESULT" in message and fields.get("err", 0) not in _USUAL
    fields["level"] = "info" if failed else "debug"
