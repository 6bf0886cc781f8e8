"""The one place where logging is set up, for our own events and for the daemons' lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from entrypoint.logs.render import Renderer, console_renderer, render_json

if TYPE_CHECKING:
    from entrypoint.logs.counts import Counts

LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40, "critical": 50}
ALIASES = {"warn": "warning", "fatal": "critical", "exception": "error"}
OURSELVES = "entrypoint"


class Sink(Protocol):
    """What lines are written to: sys.stderr, or something that never blocks."""

    def write(self, text: str, /) -> int: ...

    def flush(self) -> None: ...

    def isatty(self) -> bool: ...


@dataclass(frozen=True)
class Logs:
    """Where lines go, how they look, from which level on they are wanted, and who counts them."""

    render: Renderer
    sink: Sink
    service: str
    threshold: int
    counts: Counts | None = None


def configure(
    log_format: str = "console",
    log_level: str = "info",
    stream: Sink | None = None,
    *,
    service: str = OURSELVES,
) -> Logs:
    """Set structlog up to write to `stream` (default: stderr), and say how daemons' lines do."""
    sink: Sink = sys.stderr if stream is None else stream
    render = render_json if log_format == "json" else console_renderer(sink.isatty())
    threshold = LEVELS[ALIASES.get(log_level, log_level)]
    structlog.configure(
        processors=[_shape(service), structlog.processors.format_exc_info, _adapt(render)],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=sink),  # type: ignore[arg-type]  # a Sink is enough
    )
    return Logs(render, sink, service, threshold)


def _shape(service: str) -> Callable[[Any, str, Any], dict[str, Any]]:
    """Processor that puts the fields every line has in front, in the documented order."""

    def shape(_logger: Any, method: str, event: Any) -> dict[str, Any]:
        level = ALIASES.get(method, method)
        return {
            "time": time.time(),
            "level": level,
            "service": service,
            "program": OURSELVES,
            "event": event.pop("event"),
            **event,
        }

    return shape


def _adapt(render: Renderer) -> Callable[[Any, str, Any], str]:
    return lambda _logger, _method, event: render(event)
