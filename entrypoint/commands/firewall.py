"""`entrypoint firewall ufw|nftables`: rules for just the published ports, for a person to load."""

from __future__ import annotations

import argparse
from pathlib import Path

from entrypoint.commands import add_env_file, environment

HELP = "print firewall rules for just the published ports (on the host)"


def arguments(parser: argparse.ArgumentParser) -> None:
    """For which firewall, and what is narrower than everybody."""
    parser.add_argument("firewall", choices=("ufw", "nftables"), help="whose rules")
    add_env_file(parser)
    parser.add_argument("--ipv6", action="store_true", help="ufw: the block for after6.rules; nftables has both in one")
    parser.add_argument("--interface", default="", metavar="NAME", help="where outside is (default: everywhere)")
    _several(parser, "--from", "PORT=NETWORK", "only from there to this port, a number or its variable")
    _several(parser, "--port", "N", "a further published port, that of an override file")
    _several(parser, "--network", "NETWORK", "a further network of the containers, such as one of IPv6")


def _several(parser: argparse.ArgumentParser, option: str, metavar: str, meaning: str) -> None:
    parser.add_argument(
        option, action="append", default=[], metavar=metavar, help=f"{meaning}; may be given several times"
    )


def run(options: argparse.Namespace) -> int:
    """Print them; nothing is changed."""
    from entrypoint.console import show
    from entrypoint.errors import UsageError
    from entrypoint.firewall import nftables, ufw
    from entrypoint.firewall.openings import openings
    from entrypoint.host import in_container

    file: Path | None = options.env_file
    if file is None and Path(".env").exists() and not in_container():
        file = Path(".env")
    found = openings(
        environment(file),
        interface=options.interface,
        limits=getattr(options, "from"),
        more_ports=options.port,
        more_networks=options.network,
    )
    if options.firewall == "nftables":
        show(nftables.rules(found).rstrip("\n"))
        return 0
    version = 6 if options.ipv6 else 4
    if not found.networks_of(version):
        raise UsageError(
            f"cannot print rules for IPv{version}: no network of the containers has it, so ufw's own rules hold for "
            "its connections, which end at Docker's proxy on the host; name one, if there is (--network)"
        )
    show(ufw.rules(found, version).rstrip("\n"))
    return 0
