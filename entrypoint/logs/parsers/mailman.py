"""Mailman's logs: those of its core, and those of its web interface.

Core: `Nov 24 02:24:21 2026 (12) message`; its REST server (gunicorn) writes
`[2026-11-24 02:24:16 +0000] [12] [INFO] message`, and a line for each request.
Web: Django `ERROR 2026-11-24 02:23:37,576 12 logger message`, qcluster
`02:23:24 [Q] INFO message`, uwsgi a line for each request, and lines without any prefix.

Fields: pid, process (qcluster, or the logger's name), severity; of a post message_id, action
(accept, hold, discard, reject, defer), list, sender, recipient, size, error; of a request
method, path, http_status, address, size, duration_ms.
"""

from __future__ import annotations

import re
from typing import Any

from entrypoint.logs.parsers.raw import LEVEL_OF
from entrypoint.logs.parsers.raw import parse as parse_raw

_PID = r"[1-9]\d{0,9}"
_SEVERITY = "DEBUG|INFO|WARNING|ERROR|CRITICAL"
_CORE = re.compile(
    rf"(?P<daemon_time>[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d \d{{4}}) \((?P<pid>{_PID})\) "
    r"|\[(?P<rest_time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4})\] "
    rf"\[(?P<rest_pid>{_PID})\] \[(?P<severity>{_SEVERITY})\] "
)
_WEB = re.compile(
    rf"(?P<severity>{_SEVERITY}) (?P<daemon_time>\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d,\d{{3}}) "
    rf"(?P<pid>{_PID}) (?P<process>[\w.]{{1,100}}) "
    rf"|(?P<queue_time>\d\d:\d\d:\d\d) \[Q\] (?P<queue_severity>{_SEVERITY}) "
)
# gunicorn, whose lines begin with the address, or with the time where a socket has none.
_REST_REQUEST = re.compile(
    r"(?:(?P<address>[0-9A-Fa-f:.]{2,45}) \S{1,50} \S{1,50} )?"
    r"\[(?P<daemon_time>\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\] "
    r'"(?P<method>[A-Z]{3,10}) (?P<path>\S{1,2000}) HTTP/[\d.]+" (?P<http_status>\d{3}) (?P<size>\d{1,15})\b'
)
_UWSGI_REQUEST = re.compile(
    rf"\[pid: (?P<pid>{_PID})\|app: \S{{1,20}}\|req: \S{{1,40}}\] (?P<address>[0-9A-Fa-f:.]{{2,45}}) "
    r"\((?P<user>[^)]{0,300})\) \{[^}]{0,100}\} \[(?P<daemon_time>[^\]]{1,40})\] "
    r"(?P<method>[A-Z]{3,10}) (?P<path>\S{1,2000}) => "
    r"generated (?P<size>\d{1,15}) bytes in (?P<duration_ms>\d{1,15}) msecs \(HTTP/[\d.]+ (?P<http_status>\d{3})\)"
)
_MESSAGE_ID = re.compile(r"(?:^|message-id=|: )<(?P<message_id>[^>\s]{1,500})>")
_VERDICT = re.compile(r"^(?P<action>ACCEPT|HOLD|DISCARD|REJECT|DEFER): ")
_LIST = re.compile(r"^(?:HOLD|DISCARD|REJECT|DEFER): (?P<list>\S{1,300}@\S{1,300}) post from (?P<sender>\S{1,600}) ")
_HELD = re.compile(r", message-id=<[^>]*>: (?P<error>.*)$")
_FAILED = re.compile(r"^<[^>]*> delivery to (?P<recipient>\S{1,600}) failed with code (?P<error>.*)$")
_POST = re.compile(
    r"^<[^>]*> post to (?P<list>\S{1,600}) from (?P<sender>\S{1,600}), (?P<size>\d{1,15}) bytes"
    r"(?:, (?P<failures>\d{1,9}) failures)?"
)
# What its LMTP server is told, line by line, and its runners' housekeeping.
_ROUTINE = re.compile(r"\('[^']*', \d+\) |Peer: |Available AUTH mechanisms: |Task runner ")
_NUMBERS = ("pid", "size", "failures", "http_status", "duration_ms")


def parse_core(line: str) -> dict[str, Any]:
    """What a line of Mailman's core says."""
    found = _CORE.match(line)
    if not found:
        return _request(line, _REST_REQUEST)
    fields = _begin(line, found)
    message = fields["event"]
    if _ROUTINE.match(message):
        fields["level"] = "debug"
        return fields
    for pattern in (_MESSAGE_ID, _VERDICT, _LIST, _HELD, _FAILED, _POST):
        told = pattern.search(message)
        fields.update((k, v) for k, v in (told.groupdict().items() if told else ()) if v)
    if "action" in fields:
        fields["action"] = fields["action"].lower()
    if "recipient" in fields and "error" in fields:
        fields["level"] = "warning"
    return _numbers(fields)


def parse_web(line: str) -> dict[str, Any]:
    """What a line of Mailman's web interface says: of Django, qcluster or uwsgi."""
    found = _WEB.match(line)
    if not found:
        return _request(line, _UWSGI_REQUEST)
    fields = _begin(line, found)
    if found["queue_time"]:
        fields["process"] = "qcluster"
    return _numbers(fields)


def _begin(line: str, found: re.Match[str]) -> dict[str, Any]:
    """The fields of a prefix; those that stand in two forms under one name."""
    told = {key.removeprefix("rest_").removeprefix("queue_"): v for key, v in found.groupdict().items() if v}
    told = {"daemon_time": told.pop("time"), **told} if "time" in told else told
    level = LEVEL_OF.get(told.get("severity", "").lower(), "info")
    return _numbers({"event": line[found.end() :], "level": level, **told})


def _request(line: str, pattern: re.Pattern[str]) -> dict[str, Any]:
    """A request, whose line stays whole; any other line of unknown form."""
    found = pattern.match(line)
    if not found:
        return parse_raw(line)
    fields = {"event": line, "level": "info", **{key: v for key, v in found.groupdict().items() if v}}
    return _numbers({**fields, "level": "error"} if found["http_status"].startswith("5") else fields)


def _numbers(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: int(value) if key in _NUMBERS else value for key, value in fields.items()}
