"""`entrypoint plan`: what is run and asked in this container, as JSON."""

from __future__ import annotations

import argparse

from entrypoint.errors import UsageError

HELP = "show what is run and asked in this container"


def arguments(_parser: argparse.ArgumentParser) -> None:
    """None."""


def run(_options: argparse.Namespace) -> int:
    """Print it."""
    from entrypoint.plan import PLAN_FILE

    try:
        print(PLAN_FILE.read_text(encoding="utf-8"), end="")
    except OSError as error:
        raise UsageError(f"cannot show the plan: {PLAN_FILE}: {error.strerror}") from None
    return 0
