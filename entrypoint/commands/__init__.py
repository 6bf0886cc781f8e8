"""The commands of the command line, one module each.

A module is called as the command is, with an underscore behind it where Python has that word itself (`import_`). It has
HELP, a line; `arguments`, which declares what follows the command; and `run`, which returns the exit code. They import
what they need when they run: `--help` and `health` stay quick.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import pkgutil
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, cast


class Command(Protocol):
    """What a module of this package offers."""

    HELP: str

    def arguments(self, parser: argparse.ArgumentParser) -> None: ...
    def run(self, options: argparse.Namespace) -> int: ...


def names() -> list[str]:
    """All commands, sorted."""
    return sorted(module.name.rstrip("_") for module in pkgutil.iter_modules(__path__))


def load(name: str) -> Command:
    """The module of a command."""
    for spelling in (name, f"{name}_"):
        if importlib.util.find_spec(f"{__name__}.{spelling}"):
            return cast("Command", importlib.import_module(f"{__name__}.{spelling}"))
    raise LookupError(name)


def add_env_file(parser: argparse.ArgumentParser) -> None:
    """`--env-file`, for commands that read settings."""
    parser.add_argument(
        "--env-file",
        type=Path,
        metavar="FILE",
        help="read the variables from this file (as compose does), not from the environment",
    )


def add_project(parser: argparse.ArgumentParser) -> None:
    """`--project`, for commands that ask a running stack."""
    parser.add_argument("-p", "--project", default="", metavar="NAME", help="compose project (default: as for compose)")


def environment(file: Path | None) -> Mapping[str, str]:
    """The variables of `--env-file`, or those of this process."""
    if file is None:
        return os.environ
    from entrypoint.environment import read_env_file

    return read_env_file(file)
