"""dnsmasq's log: `Nov 22 19:43:02 dnsmasq[7]: message`, without the time when in the foreground.

Fields: process (dnsmasq, dnsmasq-dhcp), pid; of a query: query_type, name, address (who asked);
of an answer: name, answer.
"""

from __future__ import annotations

import re
from typing import Any

from entrypoint.logs.parsers.raw import level_of
from entrypoint.logs.parsers.raw import parse as parse_raw

_PREFIX = re.compile(
    r"(?:(?P<daemon_time>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) )?"
    r"(?P<process>dnsmasq[\w-]*)(?:\[(?P<pid>[1-9]\d{0,9})\])?: "
)
_QUERY = re.compile(r"^query\[(?P<query_type>[^\]]+)\] (?P<name>\S+) from (?P<address>\S+)$")
_ANSWER = re.compile(r"^(?:reply|cached|config|\S{0,100}hosts\S{0,100}) (?P<name>\S+) is (?P<answer>.+)$")
_TROUBLE = re.compile(
    r"^(?:failed|cannot|bad|unknown|illegal|possible DNS-rebind|Maximum number|reducing)\b|\bfailed\b|refused",
    re.IGNORECASE,
)


def parse(line: str) -> dict[str, Any]:
    """What a line of dnsmasq's says."""
    found = _PREFIX.match(line)
    if not found:
        return parse_raw(line)
    message = line[found.end() :]
    fields: dict[str, Any] = {"event": message, "level": level_of(message)}
    fields.update((k, v) for k, v in found.groupdict().items() if v)
    fields.update({"pid": int(found["pid"])} if found["pid"] else {})
    told = _QUERY.match(message) or _ANSWER.match(message)
    if told:
        fields.update(told.groupdict())
    elif fields["level"] == "info" and _TROUBLE.search(message):
        fields["level"] = "warning"
    return fields
