"""`entrypoint init`: a few questions, and an .env with all that belongs to it."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

HELP = "ask a few questions, and write .env, secrets, keys and DNS records"

# Flag, what its value is called, and what it is. Passwords are files only: a command line is seen by everybody.
_FLAGS = (
    ("domain", "NAME", "domain of the organisation"),
    ("time-zone", "ZONE", "time zone (default: this machine's)"),
    ("directory", "WHICH", "own (default), or embedded: one that comes with it"),
    ("ldap-hosts", "SERVERS", "servers of your own directory"),
    ("ldap-user", "DN", "account there that may read members"),
    ("ldap-password-file", "FILE", "file with its password"),
    ("ldap-base", "DN", "where members are (default: ou=people below the domain's dc=…)"),
    ("ldap-group", "DN", "group whose members may use mail (default: cn=mail,ou=groups,…)"),
    ("certificate", "WHICH", "files, or self-made: for trying out"),
    ("fullchain", "FILE", "the certificate and its chain"),
    ("key", "FILE", "its key"),
    ("relay", "HOST:PORT", "relay for all mail to the world (default: none)"),
    ("relay-user", "NAME", "login there"),
    ("relay-password-file", "FILE", "file with its password"),
    ("dkim-selector", "NAME", "name of the key for signatures, or none (default: today's date)"),
    ("address", "ADDRESSES", "public addresses of this machine, for the DNS records"),
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """One flag a question."""
    parser.add_argument("--folder", type=Path, default=Path(), metavar="DIR", help="where to write (default: here)")
    parser.add_argument("--force", action="store_true", help="replace what is there; the old files are kept as NAME~")
    parser.add_argument("--yes", action="store_true", help="ask nothing; what is not given is the default")
    for flag, value, told in _FLAGS:
        parser.add_argument(f"--{flag}", metavar=value, help=told)


def run(options: argparse.Namespace) -> int:
    """0 when everything is written, and good."""
    from entrypoint import init

    given = {flag: getattr(options, flag.replace("-", "_")) for flag, *_ in _FLAGS}
    return init.main(
        {flag: value for flag, value in given.items() if value is not None},
        options.folder,
        force=options.force,
        ask=not options.yes and sys.stdin.isatty(),
    )
