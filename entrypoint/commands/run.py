"""`entrypoint run SERVICE`: what a container does."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import sys
from typing import NoReturn

from entrypoint import complain

HELP = "boot a service and supervise it (in a container)"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The service."""
    parser.add_argument("service", metavar="SERVICE")


def run(options: argparse.Namespace) -> int:
    """Never returns, unless by an exception with an exit code."""

    def stop(number: int, _frame: object) -> NoReturn:
        complain.say(f"stopped by {signal.Signals(number).name} before the daemon was started", options.service)
        sys.exit(0)

    # Before anything slow: the kernel drops signals to PID 1 that have no handler.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    from entrypoint.absent import without

    with without("asyncio"):  # which structlog imports for those who have it: a sixth of the way to the supervisor
        importlib.import_module("structlog")
    from entrypoint import service

    chosen = service.find(options.service)
    from entrypoint import boot

    boot.run(chosen, os.environ)
