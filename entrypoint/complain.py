"""What the command line says on stderr when something is wrong."""

from __future__ import annotations

import os
import sys


def say(text: str, service: str = "") -> None:
    """As LOG_FORMAT wants it: settings that are refused may be why logging is not set up yet."""
    if os.environ.get("LOG_FORMAT", "").strip().lower() != "json":
        print(f"entrypoint: {text}", file=sys.stderr)
        return
    import structlog

    from entrypoint.logs import configure

    configure("json", service=service or "entrypoint")
    structlog.get_logger().error(text)
