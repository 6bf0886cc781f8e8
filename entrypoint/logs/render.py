"""Events to text: one line each. Written for speed, since each line of each daemon comes here.

Times are seconds since the epoch until here; the part down to the second is formatted once a
second. Control characters are escaped, so that no daemon, and nobody who sends mail to one,
can write to the terminal or start a line of its own.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

Renderer = Callable[[dict[str, Any]], str]

_CONTROL = {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F, *range(0x80, 0xA0))}
# Marks that reverse the direction of writing: what follows them would look like something else.
_CONTROL |= {code: f"\\u{code:04x}" for code in (0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))}
_CONTROL |= {0x0A: "\\n", 0x0D: "\\r", 0x09: "\t", 0x2028: "\\u2028", 0x2029: "\\u2029"}
_SHORT = {"warning": "warn", "critical": "crit"}
_COLOUR = {"debug": "2", "info": "32", "warning": "33", "error": "31", "critical": "31;1"}
_HEAD = frozenset({"time", "level", "service", "program", "event"})
# What programs search by and people can see: the status in Exim's arrows, say.
_UNSHOWN = _HEAD | {"daemon_time", "process", "severity", "status", "thread", "tag", "module", "exception"}


def _clock(pattern: str, convert: Callable[[float], time.struct_time], end: str) -> Callable[[float], str]:
    """A function from epoch seconds to text that formats only the milliseconds each time."""
    second, text = -1, ""

    def format_time(at: float) -> str:
        nonlocal second, text
        whole, millis = divmod(int(at * 1000), 1000)
        if whole != second:
            second, text = whole, time.strftime(pattern, convert(whole))
        return f"{text}.{millis:03d}{end}"

    return format_time


def _encoder() -> Callable[[object], str]:
    """`JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode`, in half of its time.

    It makes a new one of what does the work for each value; one is enough.
    """
    try:
        from _json import encode_basestring, make_encoder
    except ImportError:
        return json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), default=str).encode
    encode = make_encoder(None, str, encode_basestring, None, ":", ",", False, False, True)  # no keywords
    return lambda value: "".join(encode(value, 0))


_encode = _encoder()
utc = _clock("%Y-%m-%dT%H:%M:%S", time.gmtime, "Z")
local = _clock("%Y-%m-%d %H:%M:%S", time.localtime, "")


def render_json(event: dict[str, Any]) -> str:
    """The event as one json object on one line."""
    event["time"] = utc(event["time"])
    return _encode(event)


def console_renderer(terminal: bool) -> Renderer:
    """A renderer of aligned lines for people, coloured on a terminal unless NO_COLOR is set."""
    coloured = terminal and not os.environ.get("NO_COLOR")

    def render(event: dict[str, Any]) -> str:
        level = event["level"]
        mark = f"{_SHORT.get(level, level):<5}"
        if coloured:
            mark = f"\x1b[{_COLOUR.get(level, '0')}m{mark}\x1b[0m"
        head = f"{local(event['time'])} {mark} {event['service']:<16} {event['program']:<10} "
        return head + _body(event)

    return render


def _body(event: Mapping[str, Any]) -> str:
    """What happened, then the fields that do not stand there already."""
    text = str(event["event"])
    line = f"{event['process']}: {text}" if "process" in event else text
    told = [f"{k}={_plain(v)}" for k, v in event.items() if k not in _UNSHOWN and not _stands_in(text, v)]
    return "  ".join([escape(line), " ".join(told)]).rstrip(" ") + _exception(event)


def _stands_in(text: str, value: object) -> bool:
    """Whether a person can read the value in the text: as a word, not by chance within one."""
    if isinstance(value, list):
        return all(_stands_in(text, item) for item in value)
    if not (word := str(value)):
        return True
    before, found, after = text.partition(word)
    return bool(found) and not before[-1:].isalnum() and not after[:1].isalnum()


def _plain(value: object) -> str:
    """The value as a word; in quotes when it is none."""
    if isinstance(value, (list, tuple)):
        return ",".join(map(_plain, value))
    text = str(value)
    return _encode(text) if not text or set(text) & set(' "=') else escape(text)


def escape(text: str) -> str:
    return text if text.isprintable() else text.translate(_CONTROL)


def _exception(event: Mapping[str, Any]) -> str:
    """A traceback of ours below its event, each line indented: the only event of many lines."""
    return "".join(f"\n    {escape(line)}" for line in str(event.get("exception", "")).splitlines())
