"""`entrypoint check`: what is wrong with the settings, all at once."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from entrypoint.commands import add_env_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from entrypoint.ladder import Rung

HELP = "say what is wrong with the settings, all at once"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Services, where their settings are, and how far to look."""
    parser.add_argument("service", metavar="SERVICE", nargs="*", help="default: all that COMPOSE_PROFILES starts")
    add_env_file(parser)
    parser.add_argument("--online", action="store_true", help="also ask DNS, the directory, Redis and published ports")
    parser.add_argument("--probe-user", default="", metavar="ADDRESS", help="a member whom the directory has to find")
    parser.add_argument("--json", action="store_true", help="for programs")


def run(options: argparse.Namespace) -> int:
    """0 when all is good, 1 with warnings, 78 when something is wrong."""
    from entrypoint import service
    from entrypoint.environment import Case, examine, in_use, parse
    from entrypoint.environment.findings import in_order
    from entrypoint.environment.show import as_json, exit_code, show

    file = parse(options.env_file) if options.env_file else None
    env = file.values if file else os.environ
    services = map(service.find, options.service or service.names())
    case = Case(env, tuple(services if options.service else in_use(services, env)), file)
    findings = examine(case)
    rungs: Sequence[Rung] | None = None
    if options.online or options.probe_user:
        from entrypoint.environment.online import answers, findings_of

        rungs = answers(case, options.probe_user)
        findings = in_order([*findings, *findings_of(case, rungs)])
    if options.json:
        print(as_json(findings, case, rungs))
    else:
        show(findings, case, rungs)
    return exit_code(findings)
