"""`entrypoint reload`: take what others have renewed, and wait for what comes of it."""

from __future__ import annotations

import argparse

HELP = "take renewed certificates and secrets (in a container)"


def arguments(_parser: argparse.ArgumentParser) -> None:
    """None."""


def run(_options: argparse.Namespace) -> int:
    """0, or 78 when it was refused."""
    from entrypoint import ask_reload

    return ask_reload.main()
