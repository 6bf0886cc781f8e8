"""Everything on stderr, one event a line, for people (console) or for machines (json).

Our own events go through structlog; the daemons' lines are read by one parser a daemon, shaped
like our events, and go through the same renderer, but past the rest, because they are many.

One json object has, in this order:

    time     when, in UTC, ISO 8601 with milliseconds: 2026-11-22T19:43:02.123Z
    level    debug, info, warning, error or critical
    service  name of the service, as in the compose file
    program  the daemon that wrote the line, or "entrypoint"
    event    for entrypoint: what happened; for a daemon: its message, as it wrote it
    …        fields, other for each kind of event; `parsers` says which

Parsers take only a prefix off a line (time, level, process), and keep it in fields:
`daemon_time` is the time that the daemon wrote, `severity` its own word for the level where it
is another than ours. `cut_bytes` says how much of an overlong line was left out.

The console shows the same: time (local), level, service, program, event, and the fields that
cannot be read in the event already.
"""

from entrypoint.logs.lines import log_line
from entrypoint.logs.setup import Logs, Sink, configure

__all__ = ["Logs", "Sink", "configure", "log_line"]
