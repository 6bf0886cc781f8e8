"""`entrypoint render [SERVICE]`: a service's files, without the service; and what differs from others."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path

from entrypoint.commands import add_env_file, add_project, environment

HELP = "write a service's files below a folder, or show how they differ"


def arguments(parser: argparse.ArgumentParser) -> None:
    """The service, the folder, and what to compare with."""
    parser.add_argument("service", metavar="SERVICE", nargs="?", help="default: all that COMPOSE_PROFILES starts")
    parser.add_argument("--out", type=Path, metavar="DIR", help="write the files below DIR, with their secrets")
    parser.add_argument(
        "--diff",
        metavar="OTHER",
        help="show what changes from OTHER to these settings, with stand-ins for secrets; OTHER is another .env, a "
        "folder that --out has written, or the word container, for the running one; code 0: nothing, 1: something",
    )
    add_env_file(parser)
    add_project(parser)


def run(options: argparse.Namespace) -> int:
    """List what was written, and print what differs."""
    from entrypoint.errors import UsageError

    if not (options.out or options.diff):
        raise UsageError("cannot render to nowhere: say --out DIR to write files, or --diff OTHER to compare them")
    name, env = _environment(options)
    code = _compare(options, name, env) if options.diff else 0
    if options.out:
        _write(options, env)
    return code


def _environment(options: argparse.Namespace) -> tuple[str, Mapping[str, str]]:
    """What the variables are called, and the variables: to compare on the host, by default those of .env."""
    from entrypoint.host import in_container

    file: Path | None = options.env_file
    if file is None and options.diff and Path(".env").exists() and not in_container():
        file = Path(".env")
    return str(file or "the environment"), environment(file)


def _write(options: argparse.Namespace, env: Mapping[str, str]) -> None:
    from entrypoint import boot, service
    from entrypoint.difference.compare import started
    from entrypoint.difference.sides import write_folder

    services = [service.find(options.service)] if options.service else started(env)
    made = {each.name: (each, boot.load(each, env)) for each in services}
    for path in write_folder(options.out, made, env, flat=bool(options.service)):
        print(path)


def _compare(options: argparse.Namespace, name: str, env: Mapping[str, str]) -> int:
    from entrypoint import service
    from entrypoint.console import has_colour
    from entrypoint.difference.compare import both
    from entrypoint.difference.show import as_text, differences

    asked = [service.find(options.service)] if options.service else []
    before, after = both(options.diff, name, env, asked, options.project)
    for note in dict.fromkeys((*before.notes, *after.notes)):
        print(f"note: {note}", file=sys.stderr)
    found = differences(before, after)
    lines = [line for each in found.values() for line in each]
    if lines:
        print(as_text(lines, coloured=has_colour()))
    if same := [each for each, differing in found.items() if each and not differing]:
        print(f"no file differs: {', '.join(same)}", file=sys.stderr)
    return 1 if lines else 0
