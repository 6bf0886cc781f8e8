"""Exim's main, reject and panic log (Exim specification, chapter "Log files").

`status` says what a line is about: received (<=), delivered (=>, ->, >>), failed (**),
deferred (==, but where it is not yet time to try again), completed, rejected. A rejection has a
`reason`, one of REASONS, and `temporary` when the client may try again. `login` is "ok" for each
message that came with a login (Exim writes no line about the login alone), and "failed" for each
try that failed. Other fields: exim_id, message_id, sender, recipient, recipients, host, helo,
address, port, size, user, authenticator, local_user, tls, protocol, router, transport, subject,
reply, command, error; bounce_of, the exim_id of the message that a bounce is about.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from entrypoint.logs.parsers.raw import level_of

_PREFIX = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?:\.\d+)?(?P<zone> [+-]\d{4})?) (?:\[(?P<pid>[1-9]\d{0,9})\] )?"
)
_ID = re.compile(r"(?P<id>[0-9A-Za-z]{6}-(?:[0-9A-Za-z]{11}-[0-9A-Za-z]{4}|[0-9A-Za-z]{6}-[0-9A-Za-z]{2})) ?")
_FLAG = re.compile(r"(?P<flag><=|=>|->|>>|\*>|\*\*|==) ?(?P<address><>|<[^>]*>|\S+)")
_STATUS = {
    "<=": ("received", "info"),
    "=>": ("delivered", "info"),
    "->": ("delivered", "info"),
    ">>": ("delivered", "info"),
    "*>": ("delivered", "info"),
    "**": ("failed", "warning"),
    "==": ("deferred", "warning"),
}
_FIELD = re.compile(r' (?P<key>[A-Z][A-Z0-9]{0,4}|id)=(?P<value>"(?:[^"\\]|\\.){0,1000}"|<[^>]{0,1000}>|[^\s"]\S*)')
_NAMES = {
    "F": "sender",
    "P": "protocol",
    "R": "router",
    "T": "transport",
    "X": "tls",
    "U": "local_user",
    "C": "reply",
    "id": "message_id",
    "DKIM": "dkim",
    "QT": "queue_time",
    "DT": "delivery_time",
}
_HOST = re.compile(
    r"\b(?:H=|failed for |(?:connection|call|received|message) from )"
    r"(?P<host>[^\s(\[]{1,255})?(?: ?\((?P<helo>[^)]{0,255})\))? ?"
    r"\[(?P<address>[0-9A-Fa-f:.]{2,45})\](?::(?P<port>\d{1,5}))?"
)
_REJECTED = re.compile(
    r"(?P<temporary>\btemporarily )?\brejected (?P<command>after DATA|by \w+|EHLO or HELO|[A-Z]+|\S+)"
    r"(?:(?: FROM:| )<(?P<address>[^>]*)>?)?(?:.*?: (?P<error>.*))?"
)
# The words of our own refusals and of Exim's, in the order in which they count.
_REASON = re.compile(
    r"(?P<virus>virus|malware)|(?P<greylisted>rspamd: (?:soft reject|greylist)|greylist)|(?P<spam>rspamd: |spam)"
    r"|(?P<auth>log in first|authenti|AUTH command)|(?P<sender>of your addresses|sender verify|header syntax)"
    r"|(?P<relay>relay|only to members)|(?P<full>quota|mailbox (?:is )?full)|(?P<size>too (?:big|large))"
    r"|(?P<unknown_user>unknown (?:recipient|user)|no such user|unrouteable|user unknown|not a usable address)"
    r"|(?P<dnsbl>dnsbl|black ?list|block ?list)",
    re.IGNORECASE,
)
REASONS = (*(name.replace("_", "-") for name in _REASON.groupindex), "unavailable", "other")
_ADDRESSES = re.compile(r"<[^>]*>")
_OF_SENDERS = ("MAIL", "from")
_AUTH_FAILED = re.compile(r"^(?P<authenticator>\S{1,64}) authenticator failed for .*?: (?P<error>[45]\d\d .*)")
_SET_ID = re.compile(r"\(set_id=(?P<user>[^)]{0,255})\)")
# Exim quotes a look-up that failed together with the account, `user=… pass=…`, whose password is in no other line.
# (Or as it stands in exim.conf, where a mistake is quoted: ${quote:…}, which has no brace inside.)
_LOOKUP_PASSWORD = re.compile(r'\bpass=(?:"(?:[^"\\]|\\.)*(?:"|$)|\$\{quote:[^}]*(?:\}|$)|\S+)')
# What comes every minute, and what half of all clients do when they leave.
_ROUTINE = re.compile(r"(?:Start|End) queue run: |TLS error on connection from .*non-properly terminated")
_TROUBLE = re.compile(
    r"Message abandoned|spool directory space|spam acl condition|(?:daemon: )?(?:failed|cannot|unable)\b", re.IGNORECASE
)
_DEFERRED = re.compile(r" (?P<error>defer \(-?\d+\).*)$")
# Written in each queue run, every minute, for each message that waits: nothing was tried.
_NOT_YET = re.compile(r"defer \(-\d+\)(?: [DQ]T=\S+)*: retry time not reached\b")
_TIMES = re.compile(r"(?: [DQ]T=[\w.]{1,20})+$")


def parse_main(line: str) -> dict[str, Any]:
    """What a line of the main log says."""
    fields, rest = _begin(line)
    found = _ID.match(rest)
    if found:
        fields["exim_id"] = found["id"]
    message = rest[found.end() :] if found else rest
    flag = _FLAG.match(message)
    if flag:
        _flagged(fields, flag, message)
    elif message.startswith("Completed"):
        fields["status"] = "completed"
        _keyed(fields, message)
    else:
        _other(fields, message)
    return fields


def parse_reject(line: str) -> dict[str, Any]:
    """What a line of the reject log says: the reason, then the message's headers as debug."""
    fields = parse_main(line)
    if "daemon_time" not in fields:
        fields["level"] = "debug"
    return fields


def parse_panic(line: str) -> dict[str, Any]:
    """What a line of the panic log says: always an error."""
    return {**parse_main(line), "level": "error"}


def _begin(line: str) -> tuple[dict[str, Any], str]:
    """The fields of the prefix, and what comes after it; a password in it is masked."""
    _, account, rest = line.partition("user=")
    if account and "pass=" in rest:
        line = line[: -len(rest)] + _LOOKUP_PASSWORD.sub("pass=********", rest)
    found = _PREFIX.match(line)
    if not found:
        return {"event": line, "level": "info"}, line
    rest = line[found.end() :]
    fields: dict[str, Any] = {"event": rest, "level": "info", "daemon_time": found["time"]}
    if found["pid"]:
        fields["pid"] = int(found["pid"])
    if found["zone"] and "." in found["time"]:  # otherwise the time of arrival says more
        fields["time"] = datetime.strptime(found["time"], "%Y-%m-%d %H:%M:%S.%f %z").timestamp()
    return fields, rest


def _flagged(fields: dict[str, Any], flag: re.Match[str], message: str) -> None:
    """Arrivals and deliveries: a flag, an address, then KEY=value."""
    status, fields["level"] = _STATUS[flag["flag"]]
    fields["status"] = status
    _keyed(fields, message)
    address = flag["address"].strip("<>:")
    fields["sender" if status == "received" else "recipient"] = address
    if status == "received":
        _recipients(fields, message)
        if "router" in fields:
            fields["bounce_of"] = fields.pop("router")
        fields.update({"login": "ok"} if "authenticator" in fields else {})
    elif status == "failed":
        fields["error"] = _error(_after_colon(message))
    elif status == "deferred":
        found = _DEFERRED.search(message)
        fields["error"] = _error(found["error"] if found else _after_colon(message))
        if _NOT_YET.match(fields["error"]):
            fields["level"] = "debug"
            del fields["status"]


def _recipients(fields: dict[str, Any], message: str) -> None:
    _, end, recipients = message.rpartition(" for ")
    if end and all("@" in word for word in recipients.split(" ")):
        fields["recipients"] = recipients.split(" ")


def _error(text: str) -> str:
    """Without the times at its end, which are fields."""
    return _TIMES.sub("", text)


def _after_colon(message: str) -> str:
    """The reason for a failure: after the first colon that ends a word."""
    return message.partition(": ")[2]


def _other(fields: dict[str, Any], message: str) -> None:
    """Refusals, failed logins, and everything that has at least a host."""
    _keyed(fields, message)
    rejected = _REJECTED.search(message)
    failed = _AUTH_FAILED.match(message)
    if failed:
        _login_failed(fields, failed, message)
    elif rejected:
        _rejected(fields, rejected)
    else:
        usual = "warning" if _TROUBLE.match(message) else "info"
        fields["level"] = "debug" if _ROUTINE.match(message) else level_of(message, usual)


def _login_failed(fields: dict[str, Any], failed: re.Match[str], message: str) -> None:
    """535 is a wrong password; 435 means that the directory could not be asked."""
    _keep(fields, failed, "authenticator", "error")
    user = _SET_ID.search(message)
    fields.update(user.groupdict() if user else {})
    fields.update(status="rejected", login="failed", reason="auth")
    if failed["error"].startswith("4"):
        fields.update(reason="unavailable", temporary=True)


def _rejected(fields: dict[str, Any], rejected: re.Match[str]) -> None:
    fields["status"] = "rejected"
    _keep(fields, rejected, "command")
    if rejected["address"]:
        fields["sender" if rejected["command"] in _OF_SENDERS else "recipient"] = rejected["address"]
    if rejected["error"] is not None:
        fields["error"] = rejected["error"]
    if rejected["temporary"]:
        fields["temporary"] = True
    fields["reason"] = _reason(rejected["error"] or "", temporary=bool(rejected["temporary"]))


def _reason(error: str, *, temporary: bool) -> str:
    """The reason in one word; what addresses are called does not count."""
    found = _REASON.search(_ADDRESSES.sub("", error))
    if found:
        assert found.lastgroup is not None
        return found.lastgroup.replace("_", "-")
    return "unavailable" if temporary else "other"


def _keyed(fields: dict[str, Any], message: str) -> None:
    """Fields out of KEY=value pairs, and the host, whose value has blanks."""
    for found in _FIELD.finditer(f" {message}"):
        key, value = found["key"], found["value"]
        if key == "A":
            fields["authenticator"], _, user = value.partition(":")
            fields.update({"user": user} if user else {})
        elif key == "T" and value.startswith('"'):
            fields["subject"] = value.strip('"')
        elif key == "C" and not value.startswith('"'):
            continue  # the commands of a session that Exim has ended
        elif key == "S":
            fields.update({"size": int(value)} if value.isdecimal() and len(value) < 16 else {})
        elif key in _NAMES and _NAMES[key] not in fields:
            fields[_NAMES[key]] = _value(key, value)
    host = _HOST.search(message)
    if host:
        _keep(fields, host, "host", "helo", "address")
        fields.update({"port": int(host["port"])} if host["port"] else {})


def _value(key: str, value: str) -> str:
    if key == "C":
        return value.strip('"')
    return value.rstrip(":") if key == "DT" else value.strip("<>")


def _keep(fields: dict[str, Any], found: re.Match[str], *names: str) -> None:
    """The named groups that matched, as fields."""
    fields.update((name, found[name]) for name in names if found[name])
