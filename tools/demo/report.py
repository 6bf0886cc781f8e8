"""What the demo has done and where to go on, for people or for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from tools.demo.people import Member
from tools.demo.settings import DEMO_ENV
from tools.demo.world import World

# Variable, and what is behind the port that it publishes.
PORTS = (
    ("SMTP_PORT", "SMTP, for mail from outside (STARTTLS)"),
    ("INT_MAILOUT_SUBMISSION_PORT", "submission for members (STARTTLS, login)"),
    ("SUBMISSION_PORT", "submission for members, at the MX (STARTTLS, login)"),
    ("SUBMISSIONS_PORT", "the same with TLS on connect"),
    ("IMAP_PORT", "IMAP (STARTTLS)"),
    ("IMAPS_PORT", "IMAPS"),
    ("MANAGESIEVE_PORT", "ManageSieve (STARTTLS)"),
    ("RSPAM_CONSOLE_PORT", "rspamd's console (HTTP)"),
)


@dataclass(frozen=True)
class Event:
    """One thing that happened, and how many seconds it took."""

    what: str
    result: str
    seconds: float


def as_text(events: Sequence[Event], world: World, settings: Mapping[str, str]) -> str:
    """The table, the ports, the accounts and what to do next."""
    ports = [(settings[variable], meaning) for variable, meaning in PORTS]
    accounts = [(world.address(m.uid), world.password(m.uid), about(m, world.domain)) for m in world.members]
    sections = {
        "What happened": aligned([(event.what, event.result, f"{event.seconds:6.1f} s") for event in events]),
        "Ports (certificates for localhost are signed by .demo/ca.pem)": aligned(ports),
        "Accounts": aligned(accounts),
        "Next": aligned(next_commands(world, settings)),
    }
    return "\n".join(section(title, lines) for title, lines in sections.items())


def as_data(events: Sequence[Event], world: World, settings: Mapping[str, str]) -> dict[str, Any]:
    """The same for programs; passwords stay in their files."""
    return {
        "project": settings["COMPOSE_PROJECT_NAME"],
        "events": [asdict(event) for event in events],
        "ports": {variable: settings[variable] for variable, _ in PORTS},
        "ca_file": str(world.ca_file),
        "accounts": [
            {"login": world.address(m.uid), "password_file": str(world.password_file(m.uid)), "may_mail": m.may_mail}
            for m in world.members
        ],
    }


def about(member: Member, domain: str) -> str:
    """What is particular to a sample member."""
    words = [f"also {alias}@{domain}" for alias in member.aliases]
    words += [] if member.quota_mb is None else [f"quota {member.quota_mb} MB"]
    words += [] if member.may_mail else ["in the directory, but not in the group: no mail"]
    return ", ".join(words)


def next_commands(world: World, settings: Mapping[str, str]) -> list[tuple[str, str]]:
    """Commands to copy, with what they do."""
    first = world.members[0].uid
    env_file, folder = DEMO_ENV.relative_to(DEMO_ENV.parent.parent), world.folder.name
    compose = f"docker compose --env-file {env_file}"
    login = f'--user "{world.address(first)}:$(cat {folder}/members/{first})"'
    inbox = f'"imaps://{settings["IMAPS_PORT"]}/INBOX;UID=1"'
    return [
        ("logs", f"{compose} logs --follow exim-external"),
        ("queue", f"{compose} exec exim-ext-mailout exim4 -bp"),
        ("first mail", f"curl --cacert {folder}/ca.pem {login} {inbox}"),
        ("outside", f"{compose} exec sink sink messages"),
        ("remove all", "make demo-down"),
    ]


def section(title: str, lines: Sequence[str]) -> str:
    """A title with its lines below it."""
    return "".join((f"{title}\n", *(f"  {line}\n" for line in lines)))


def aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """The rows with their columns below each other."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
