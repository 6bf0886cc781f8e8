"""The lines of the daemons as they wrote them, for tests/unit/golden: with POSTERN_RECORD=FOLDER in the environment.

The containers get other parsers than theirs, which read nothing and say which parser would have read the line.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

from tests.containers import IMAGES, docker
from tools.commands import ROOT

FOLDER = os.environ.get("POSTERN_RECORD", "")
# Services by image, and the package whose lines are recorded.
PACKAGES = {
    "exim": ("exim4-daemon-heavy", ("exim-external", "exim-int-mailout", "exim-ext-mailout")),
    "imap": ("dovecot-core", ("imap",)),
    "rspamd": ("rspamd", ("rspam",)),
    "redis": ("redis-server", ("mail-redis",)),
    "dnsmasq": ("dnsmasq-base", ("mail-dnsmasq",)),
    "ldap": ("slapd", ("ldap",)),
}
PARSERS = "/opt/postern/lib/entrypoint/logs/parsers"
UNREAD = """
from entrypoint.logs.parsers.raw import level_of
NAMES, Parse = (), None
def parser(name):
    return lambda line: {"event": line, "level": level_of(line), "parser": name}
"""


def compose_files(folder: Path) -> tuple[Path, ...]:
    """What changes the compose file, if there is to be a recording."""
    if not FOLDER:
        return ()
    parsers = folder / "unread"
    parsers.mkdir()
    (parsers / "__init__.py").write_text(UNREAD)
    (parsers / "raw.py").write_text((ROOT / "entrypoint/logs/parsers/raw.py").read_text())
    services = [name for _, names in PACKAGES.values() for name in names]
    change = {"services": {name: {"volumes": [f"{parsers}:{PARSERS}:ro"]} for name in services}}
    file = folder / "recording.json"
    file.write_text(json.dumps(change))
    return (file,)


def write(logs: Mapping[str, str]) -> None:
    """The recorded lines, a file for each parser, each with its package."""
    found: dict[str, list[str]] = {}
    for name, text in sorted(logs.items()):
        for event in daemons_lines(text.splitlines()):
            lines = found.setdefault(event["parser"], [f"# {package(name.partition(' ')[0])}"])
            lines.append(event["event"])
    Path(FOLDER).mkdir(parents=True, exist_ok=True)
    for parser, lines in found.items():
        (Path(FOLDER) / f"{parser}.txt").write_text("".join(f"{line}\n" for line in lines))


def daemons_lines(lines: Iterable[str]) -> Iterable[dict[str, str]]:
    """Those that a parser would have read."""
    events = (json.loads(line) for line in lines if line.startswith("{"))
    return (event for event in events if "parser" in event and event["program"] != "entrypoint")


@cache
def package(service: str) -> str:
    """Name and version of what runs there."""
    image, name = next((image, name) for image, (name, services) in PACKAGES.items() if service in services)
    return (
        docker("run", "--rm", "--entrypoint=dpkg-query", f"postern-{image}:{IMAGES}", "-W", name)
        .replace("\t", " ")
        .strip()
    )
