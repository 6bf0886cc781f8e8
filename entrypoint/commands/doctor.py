"""`entrypoint doctor …`: what is wrong around the mail system: DNS, an older .env, the directory, certificates."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path

from entrypoint.commands import add_env_file, environment

HELP = "look at DNS, an older .env, the directory or TLS (on the host)"
_KINDS = ("host", "mx", "spf", "dkim", "dmarc", "mta-sts", "tls-rpt", "tlsa", "srv", "ptr")

Run = Callable[[argparse.Namespace], int]


def arguments(parser: argparse.ArgumentParser) -> None:
    """One sub-command a subject."""
    subjects = parser.add_subparsers(metavar="SUBJECT", required=True)

    def subject(name: str, told: str, run: Run) -> argparse.ArgumentParser:
        added = subjects.add_parser(name, help=told, description=told)
        added.set_defaults(subject=run)
        added.add_argument("--json", action="store_true", help="everything, for programs")
        return added

    _dns_arguments(subject("dns", "print the DNS records that the domains need, and compare them with DNS", _dns))
    older = subject("env", "say which variables of an older .env are renamed, changed, without effect or unknown", _env)
    older.add_argument("file", type=Path, metavar="OLD")
    _ldap_arguments(subject("ldap", "climb the way to the directory, and to one person", _ldap))
    _tls_arguments(subject("tls", "look at what the published ports show of TLS, and at the files on the host", _tls))


def run(options: argparse.Namespace) -> int:
    """0 when all is well, 1 when not."""
    code: int = options.subject(options)
    return code


def _dns_arguments(parser: argparse.ArgumentParser) -> None:
    add_env_file(parser)
    parser.add_argument(
        "--address",
        action="append",
        default=[],
        type=ip_address,
        metavar="IP",
        help="public address of this machine; may be given twice, for IPv4 and IPv6 (default: what DNS has)",
    )
    parser.add_argument(
        "--resolver", default="", metavar="ADDRESS[:PORT]", help="ask this DNS server (default: the system's)"
    )
    parser.add_argument("--no-check", action="store_true", help="print the records, ask nobody")
    parser.add_argument(
        "--skip", action="append", default=[], choices=_KINDS, metavar="KIND",
        help=f"leave out records of a kind: {', '.join(_KINDS)}",
    )  # fmt: skip
    parser.add_argument(
        "--mta-sts", choices=("testing", "enforce", "none"), default="testing", help="mode of the MTA-STS policy"
    )


def _dns(options: argparse.Namespace) -> int:
    from entrypoint.doctor import dns

    question = dns.Question(
        addresses=options.address,
        resolver=options.resolver,
        check=not options.no_check,
        skip=options.skip,
        mode=options.mta_sts,
        as_json=options.json,
    )
    return dns.main(environment(options.env_file), question)


def _env(options: argparse.Namespace) -> int:
    from entrypoint.doctor import older

    return older.main(options.file, as_json=options.json)


def _ldap_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("person", nargs="?", default="", metavar="ADDRESS", help="a member who has to be found")
    add_env_file(parser)


def _ldap(options: argparse.Namespace) -> int:
    from entrypoint.doctor import directory

    return directory.main(environment(options.env_file), options.person, as_json=options.json)


def _tls_arguments(parser: argparse.ArgumentParser) -> None:
    add_env_file(parser)
    parser.add_argument("--host", default="", metavar="NAME", help="look at this host (default: this stack's ports)")
    parser.add_argument(
        "--port", action="append", default=[], type=int, metavar="N", help="of that host; may be given several times"
    )
    parser.add_argument(
        "--starttls",
        choices=("none", "smtp", "lmtp", "imap", "pop3", "sieve"),
        help="how TLS begins there (default: as usual on that port)",
    )


def _tls(options: argparse.Namespace) -> int:
    from entrypoint.doctor import tls

    starttls = "" if options.starttls == "none" else options.starttls
    env = {} if options.host and not options.env_file else environment(options.env_file)
    return tls.main(env, host=options.host, ports=options.port, starttls=starttls, as_json=options.json)
