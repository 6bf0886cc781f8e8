"""One module a daemon: a line in, what it says out. Only the parsers in use are imported.

A parser returns at least `event` and `level`. `event` is always the line's end, unchanged; what
stands before it (time, process, level) is in other fields, as the daemon wrote it. A line that
no pattern knows is the event, whole.

Lines hold what strangers send. So whatever a pattern repeats it repeats a limited number of times,
unless it starts at a fixed place: otherwise a line made for it could keep PID 1 busy for seconds.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

Parse = Callable[[str], dict[str, Any]]

_PARSERS = {
    "raw": "raw:parse",
    "clamd": "clamav:parse",
    "dnsmasq": "dnsmasq:parse",
    "dovecot": "dovecot:parse",
    "exim-main": "exim:parse_main",
    "exim-panic": "exim:parse_panic",
    "exim-reject": "exim:parse_reject",
    "fail2ban": "fail2ban:parse",
    "fetchmail": "fetchmail:parse",
    "freshclam": "clamav:parse",
    "mailman-core": "mailman:parse_core",
    "mailman-web": "mailman:parse_web",
    "ours": "ours:parse",
    "redis": "redis:parse",
    "rspamd": "rspamd:parse",
    "slapd": "slapd:parse",
}
NAMES = tuple(_PARSERS)


def parser(name: str) -> Parse:
    """The parser called `name`; LookupError, with the names there are, for another."""
    if name not in _PARSERS:
        raise LookupError(f"no parser is called {name!r}; there are {', '.join(NAMES)}")
    module, function = _PARSERS[name].split(":")
    parse: Parse = getattr(import_module(f"{__name__}.{module}"), function)
    return parse
