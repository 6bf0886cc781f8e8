"""`entrypoint render SERVICE`: a service's files, without the service."""

from __future__ import annotations

import argparse
from pathlib import Path

from entrypoint.commands import add_env_file, environment

HELP = "write a service's files below a folder"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The service, and the folder."""
    parser.add_argument("service", metavar="SERVICE")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    add_env_file(parser)


def run(options: argparse.Namespace) -> int:
    """List what was written."""
    from entrypoint import boot, service

    files = boot.render_into(service.find(options.service), environment(options.env_file), options.out)
    for path in files:
        print(options.out / path.relative_to("/"))
    return 0
