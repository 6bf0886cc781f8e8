"""How often what happens: the daemons' lines counted by what their fields say, for the metrics.

Labels have few values, all of them known here: what a stranger sends can never make a new one. All
that a daemon can be asked for is there from the start, with 0, so that the first event is an increase.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from entrypoint.logs.setup import LEVELS

REASONS = (
    "unknown-user",
    "relay",
    "spam",
    "virus",
    "greylisted",
    "auth",
    "sender",
    "full",
    "size",
    "dnsbl",
    "unavailable",
    "other",
)
ACTIONS = ("no action", "greylist", "add header", "rewrite subject", "soft reject", "reject")
_STATUSES = ("received", "delivered", "deferred", "failed")
_RESULTS = ("ok", "failed")
# Dovecot's processes, and Exim, whose lines have no process.
_PROTOCOLS = {"imap-login": "imap", "pop3-login": "pop3", "managesieve-login": "managesieve", "": "smtp"}
_OTHER = "other"
# Exim writes to these what stands in its main log, too: a delivery that is put off in a panic is still one.
_SECOND_COPIES = frozenset({"exim-panic", "exim-reject"})

Key = tuple[str, tuple[tuple[str, str], ...]]  # a counter's name without _total, and its labels


class Counts:
    """Counters by name and labels."""

    def __init__(self) -> None:
        self.values: dict[Key, int] = {_key("log_lines", level=level): 0 for level in LEVELS}

    def of(self, parser: str) -> Callable[[Mapping[str, Any]], None]:
        """What counts the lines that this parser reads; all that they can tell begins with 0."""
        for key in _of_parser(parser):
            self.values.setdefault(key, 0)
        return self.take_level if parser in _SECOND_COPIES else self.take

    def take(self, fields: Mapping[str, Any]) -> None:
        """Count what the fields of one line tell: of most lines only the level, so that comes first and straight."""
        self.take_level(fields)
        if "status" in fields:
            self._add(_of_status(fields))
        if "login" in fields:
            protocol = _PROTOCOLS.get(fields.get("process", ""), _OTHER)
            self._add(_key("logins", protocol=protocol, result=fields["login"]))
        if "verdict" in fields:
            self._add(_VERDICTS.get(fields.get("action", _OTHER), _VERDICTS[_OTHER]))

    def take_level(self, fields: Mapping[str, Any]) -> None:
        """Count the line, and nothing of what it tells."""
        self.values[_LINES[fields["level"]]] += 1

    def _add(self, key: Key | None) -> None:
        if key:
            self.values[key] = self.values.get(key, 0) + 1


def _key(name: str, **labels: str) -> Key:
    return name, tuple(labels.items())


_LINES = {level: _key("log_lines", level=level) for level in LEVELS}
_MAIL = {status: _key(f"mail_{status}") for status in _STATUSES}
_REJECTED = {reason: _key("mail_rejected", reason=reason) for reason in REASONS}
_VERDICTS = {action: _key("spam_verdicts", action=action.replace(" ", "_")) for action in (*ACTIONS, _OTHER)}


def _of_status(fields: Mapping[str, Any]) -> Key | None:
    if fields["status"] == "rejected":
        return _REJECTED.get(fields.get("reason", _OTHER), _REJECTED[_OTHER])
    return _MAIL.get(fields["status"])


def _of_parser(parser: str) -> Iterator[Key]:
    if parser == "exim-main":
        yield from (*_MAIL.values(), *_REJECTED.values())
        yield from (_key("logins", protocol="smtp", result=result) for result in _RESULTS)
    elif parser == "dovecot":
        protocols = [protocol for process, protocol in _PROTOCOLS.items() if process]
        yield from (_key("logins", protocol=each, result=result) for each in protocols for result in _RESULTS)
    elif parser == "rspamd":
        yield from (key for action, key in _VERDICTS.items() if action != _OTHER)
