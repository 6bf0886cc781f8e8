"""fail2ban's log: `2026-11-24 02:21:46,781 fail2ban.actions        [12]: NOTICE  [jail] Ban 192.0.2.9`.

Fields: process (fail2ban.actions, …), pid, severity, jail; of what happens to a client action
(found, ban, unban, already banned) and address.
"""

from __future__ import annotations

import re
from typing import Any

from entrypoint.logs.parsers.raw import LEVEL_OF
from entrypoint.logs.parsers.raw import parse as parse_raw

_PREFIX = re.compile(
    r"(?P<daemon_time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) (?P<process>fail2ban[\w.]*) +\[(?P<pid>[1-9]\d{0,9})\]: "
    r"(?P<severity>[A-Z]{1,10}) +"
)
_JAIL = re.compile(r"^\[(?P<jail>[^\]]{1,100})\] ")
_CLIENT = re.compile(
    r"^\[[^\]]+\] (?:(?P<before>Found|(?:Restore )?Ban|Unban|Ignore) (?P<address>[0-9A-Fa-f:.]{2,45})\b"
    r"|(?P<seen>[0-9A-Fa-f:.]{2,45}) (?P<after>already banned))"
)


def parse(line: str) -> dict[str, Any]:
    """What a line of fail2ban's says."""
    found = _PREFIX.match(line)
    if not found:
        return parse_raw(line)
    message = line[found.end() :]
    fields: dict[str, Any] = {"event": message, "level": LEVEL_OF.get(found["severity"].lower(), "info")}
    fields.update(found.groupdict(), pid=int(found["pid"]))
    jail = _JAIL.match(message)
    if jail:
        fields["jail"] = jail["jail"]
        client = _CLIENT.match(message)
        fields.update(_happened(client) if client else {})
    return fields


def _happened(client: re.Match[str]) -> dict[str, str]:
    return {"action": (client["before"] or client["after"]).lower(), "address": client["address"] or client["seen"]}
