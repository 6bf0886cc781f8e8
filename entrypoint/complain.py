"""What the command line says on stderr when something is wrong."""

from __future__ import annotations

import os
import sys


def say(text: str, service: str = "") -> None:
    """Of a service, in the container's log, as LOG_FORMAT wants it: refused settings may be why logging is not set up.
    Without one, for the person who has typed the command.
    """
    if not service or os.environ.get("LOG_FORMAT", "").strip().lower() != "json":
        print(f"entrypoint: {text}", file=sys.stderr)
        return
    import structlog

    from entrypoint.logs import configure

    configure("json", service=service)
    structlog.get_logger().error(text)
