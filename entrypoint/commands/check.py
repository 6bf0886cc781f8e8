"""`entrypoint check`: what is wrong with the settings, all at once."""

from __future__ import annotations

import argparse

from entrypoint.commands import add_env_file, environment

HELP = "say whether the settings are good, and stop"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Services, and where their settings are."""
    parser.add_argument("service", metavar="SERVICE", nargs="*", help="default: all that COMPOSE_PROFILES starts")
    add_env_file(parser)


def run(options: argparse.Namespace) -> int:
    """0 when nothing is wrong, otherwise 78."""
    from entrypoint import service
    from entrypoint.environment import check_settings, in_use

    env = environment(options.env_file)
    if options.service:
        return check_settings([service.find(name) for name in options.service], env)
    return check_settings(in_use([service.find(name) for name in service.names()], env), env)
