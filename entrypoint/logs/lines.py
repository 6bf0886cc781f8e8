"""A daemon's line to a line of ours: parse, name, render, write. A parser that fails costs
nothing but its fields: the line goes out whole.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import structlog

from entrypoint.logs.parsers import Parse, parser
from entrypoint.logs.parsers.raw import parse as parse_raw
from entrypoint.logs.setup import LEVELS, Logs


def log_line(logs: Logs, program: str, parser_name: str) -> Callable[[str, int], None]:
    """A function that logs one line of `program`, read by the parser called `parser_name`.

    Its second argument says how many bytes of the line were cut off.
    """
    parse = _forgiving(parser(parser_name), program)
    render, write, service, threshold = logs.render, logs.sink.write, logs.service, logs.threshold
    count = logs.counts.of(parser_name) if logs.counts else None

    def log(text: str, cut_bytes: int = 0) -> None:
        fields = parse(text)
        if count:
            count(fields)
        if LEVELS[fields["level"]] < threshold:
            return
        event = {
            "time": fields.pop("time", None) or time.time(),
            "level": fields.pop("level"),
            "service": service,
            "program": program,
            **fields,
        }
        if cut_bytes:
            event["cut_bytes"] = cut_bytes
        write(render(event) + "\n")

    return log


def _forgiving(parse: Parse, program: str) -> Callable[[str], dict[str, Any]]:
    """`parse`, but a line that it fails on passes whole, and its first failure is logged."""
    told = False

    def read(line: str) -> dict[str, Any]:
        nonlocal told
        try:
            return parse(line)
        except Exception as why:  # noqa: BLE001  # whatever it is, the line counts more
            if not told:
                structlog.get_logger().exception("parser failed", daemon=program)
            told = True
            return {**parse_raw(line), "parser_error": repr(why)}

    return read
