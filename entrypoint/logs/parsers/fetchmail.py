"""fetchmail's output, and that of our own delivery below it: no time, no level.

    fetchmail: Authorization failure on alice@imap.example.net
    2 messages for alice at imap.example.net.
    deliver: delivered to=<alice@example.org> id=<1@x> size=345 action=<no action> score=0.10 reply=250 2.0.0 …

Fields: process (fetchmail, deliver); of a delivery status (delivered, deferred: it stays at the provider), recipient,
message_id, size, action, score, reply, and error, which says why it stays.
"""

from __future__ import annotations

import re
from typing import Any

from entrypoint.logs.parsers.raw import parse as parse_raw

_PREFIX = re.compile(r"(?P<process>fetchmail|deliver): ")
_DELIVERED = re.compile(
    r"delivered to=<(?P<recipient>[^>]{1,400})> id=<(?P<message_id>[^>]{0,400})> size=(?P<size>\d{1,12}) "
    r"action=<(?P<action>[^>]{1,40})> score=(?P<score>-?\d{1,6}\.\d\d) reply=(?P<reply>.*)"
)
_REFUSED = re.compile(
    r"refused to=<(?P<recipient>[^>]{1,400})> id=<(?P<message_id>[^>]{0,400})> size=(?P<size>\d{1,12}) "
    r"because=(?P<error>.*)"
)
_TYPES = {"size": int, "score": float}
# What begins without a prefix, and what is a person's business.
_OWN = re.compile(
    r"No mail for |\d+ messages? (?:\(\d+ seen\) )?for |(?:reading|skipping) message "
    r"|name \d+: connection to |(?:IMAP|POP3) connection to "
)
_BAD = re.compile(
    r"(?i)failure|failed|error|cannot|can't|couldn't|could not|timeout|refused|unknown|returned nonzero|mismatch"
    r"|required|broken|unable|invalid|Query status=(?:[2-9]|1[0-24-9])|not flushed|unavailable"
)


def parse(line: str) -> dict[str, Any]:
    """What a line says."""
    found = _PREFIX.match(line)
    message = line[found.end() :] if found else line
    if found and found["process"] == "deliver":
        return {"event": message, "process": "deliver", **_delivery(message)}
    if not found and not _OWN.match(line):
        return parse_raw(line)
    level = "debug" if message.startswith("No mail for ") else "warning" if _BAD.search(message) else "info"
    return {"event": message, "level": level, "process": "fetchmail"}


def _delivery(message: str) -> dict[str, Any]:
    for status, level, pattern in (("delivered", "info", _DELIVERED), ("deferred", "warning", _REFUSED)):
        if found := pattern.fullmatch(message):
            said = {name: _TYPES.get(name, str)(text) for name, text in found.groupdict().items() if text}
            return {"level": level, "status": status, **said}
    return {"level": "warning"}
