"""Dovecot 2.4's log: `Nov 22 19:43:02 imap(user)<pid><session>: Info: message`.

Fields: process (imap-login, imap, lmtp, auth, …), user, pid, session; out of the message:
method, address (rip), msgid as message_id, mailbox, error where a login was aborted. `login` is
"ok" for each login and "failed" for each connection that tried and did not get in (`attempts`
says how often); who left without a try, or without TLS, has none.
"""

from __future__ import annotations

import re
from typing import Any

from entrypoint.logs.parsers.raw import parse as parse_raw

_LEVELS = {
    "Debug": "debug",
    "Info": "info",
    "Warning": "warning",
    "Error": "error",
    "Fatal": "critical",
    "Panic": "critical",
}
_PREFIX = re.compile(
    r"(?:(?P<time>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d\S*) )?"
    r"(?P<process>[a-z][\w-]{0,63})"
    r"(?:\((?P<who>.{0,300}?)\)(?=[<:]))?"
    r"(?:<(?P<first>[^>]{0,100})>)?(?:<(?P<second>[^>]{0,100})>)?"
    rf": (?P<level>{'|'.join(_LEVELS)}): "
)
_FIELD = re.compile(r"\b(?P<key>user|method|rip|session|msgid|box)=(?:<(?P<quoted>[^>]{0,500})>|(?P<plain>[^\s,:;]+))")
_PID = re.compile(r"[1-9][0-9]{0,9}")
_NAMES = {"rip": "address", "msgid": "message_id", "box": "mailbox"}
_STORED = re.compile(r"(?:saved mail to|stored mail into mailbox) (?P<quote>'?)(?P<mailbox>.{1,500}?)(?P=quote)$")
# The health check, every few seconds: it greets from inside of the container, and leaves without a login. At LMTP the
# Exims ask now and then, too; when they deliver, other lines tell more.
_ROUTINE = re.compile(
    r"Login aborted: .*\(no_auth_attempts\): .* rip=127\.0\.0\.1,|(?:C|Disc)onnect from 127\.0\.0\.1\b"
    r"|Connect from |Disconnect from \S+: Logged out \(state=READY\)"
)
_ABORTED = re.compile(r"^Login aborted: .*?\((?P<error>[^()]*)\) \(\w+\): ")
# Said of those alone who have tried; others broke off the handshake, or came before Dovecot was ready, or too late.
_ATTEMPTS = re.compile(r", (?:\d{1,9}/(?P<of>\d{1,9}) successful auths|(?P<all>\d{1,9}) attempts) ")


def parse(line: str) -> dict[str, Any]:
    """What a line of Dovecot's says."""
    found = _PREFIX.match(line)
    if not found:
        return parse_raw(line)
    message = line[found.end() :]
    level = "debug" if _ROUTINE.match(message) else _LEVELS[found["level"]]
    fields: dict[str, Any] = {"event": message, "level": level, "process": found["process"]}
    if _LEVELS[found["level"]] != found["level"].lower():
        fields["severity"] = found["level"]
    if found["time"]:
        fields["daemon_time"] = found["time"]
    _who(fields, found)
    _said(fields, message)
    return fields


def _who(fields: dict[str, Any], prefix: re.Match[str]) -> None:
    """User, pid and session: `imap(user)<pid><session>`, `lmtp(pid)`, `auth(user,ip)<session>`."""
    who, first, second = prefix["who"], prefix["first"], prefix["second"]
    if who and _PID.fullmatch(who):
        fields["pid"] = int(who)
    elif who:
        fields["user"], _, details = who.partition(",")
        fields.update({"client": details, "address": details.partition(",")[0]} if details else {})
    if first is not None:
        fields.update({"pid": int(first)} if _PID.fullmatch(first) else {"session": first})
    if second is not None:
        fields.setdefault("sub_session" if "session" in fields else "session", second)


def _said(fields: dict[str, Any], message: str) -> None:
    """What the message names as key=value, the mailbox mail went to, and why a login failed."""
    for found in _FIELD.finditer(message):
        value = found["plain"] if found["quoted"] is None else found["quoted"]
        if value and value != "unspecified":  # of a login without a try, of a message without an id
            fields.setdefault(_NAMES.get(found["key"], found["key"]), value)
    stored = _STORED.search(message)
    if stored:
        fields["mailbox"] = stored["mailbox"]
    if fields["process"].endswith("-login"):
        _login(fields, message)


def _login(fields: dict[str, Any], message: str) -> None:
    """Whether somebody got in."""
    aborted = _ABORTED.match(message)
    if aborted:
        fields["error"] = aborted["error"]
        attempts = _ATTEMPTS.search(aborted["error"])
        fields.update({"login": "failed", "attempts": int(attempts["of"] or attempts["all"])} if attempts else {})
    elif message.startswith(("Logged in: ", "Login: ")):  # 2.4, 2.3
        fields["login"] = "ok"
    elif message.startswith("Login failed: "):
        fields.update(login="failed", error=message.partition(": ")[2].partition(": ")[0])
