"""What of docs/reference is written from the code: python -m tools.reference [--check].

settings.md as a whole; of cli.md, what `entrypoint … --help` prints. Unit tests compare both with the code.
"""

from __future__ import annotations

import argparse
import inspect
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from entrypoint.service import Service, find, names
from entrypoint.settings import concerns
from entrypoint.settings.schema import REQUIRED, Var, variables

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "docs" / "reference" / "settings.md"
CLI_FILE = ROOT / "docs" / "reference" / "cli.md"
HELP_BLOCK = re.compile(r"(```console\n\$ entrypoint (.*--help)\n)(?:(?!```).*\n)*```")

HEAD = """\
<!-- Written by `make reference` from entrypoint/settings/concerns.py: edits here do not last. -->

# Settings

All variables that the services read, and those that only `docker-compose.yaml` uses. Write them into `.env` beside
that file; `examples/minimal.env` is a beginning. `entrypoint check --env-file .env` says what is wrong, all at once.

- **required** has no default. `$DOMAIN` and its like in a default stand for the value of that variable.
- Every secret can be a file: set `NAME_FILE` to its path on the host instead of `NAME`. Both at once is a mistake.
  A line feed at the end of the file does not count.
- Old names are understood, with a warning. An empty value is the same as none.
- Names that begin like ours but are none (`LDAP_HOST`) are mistakes, with a suggestion.
- Compose takes `$NAME` for a variable: put values with a dollar sign in single quotes.
"""

COLUMNS = ("variable", "meaning", "accepts", "default", "example", "also")

# What Compose itself reads; the settings do not know it.
COMPOSE_OWN = (
    (
        "`COMPOSE_PROFILES`",
        "which services are started; `local`: one set per location, `global`: one set for all",
        "`local`, `global`, `demo`, separated by commas",
        "not set: `local,global`",
        "`local`",
        "",
    ),
    (
        "`COMPOSE_PROJECT_NAME`",
        "name in front of containers, network and named volumes",
        "a name in lower case",
        "`postern`",
        "",
        "",
    ),
)


def main() -> int:
    """Write the files, or say whether they are as they should be; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.reference", description="Write what docs/reference shows.")
    parser.add_argument("--check", action="store_true", help="only say whether the files are up to date")
    wanted = {FILE: text(), CLI_FILE: with_help(CLI_FILE.read_text(encoding="utf-8"))}
    if not parser.parse_args().check:
        for file, content in wanted.items():
            file.write_text(content, encoding="utf-8")
        return 0
    old = [file for file, content in wanted.items() if file.read_text(encoding="utf-8") != content]
    for file in old:
        print(f"{file.relative_to(ROOT)} is not what the code says: make reference", file=sys.stderr)
    return 1 if old else 0


def with_help(page: str) -> str:
    """The page, with what each `$ entrypoint … --help` of it prints below it."""
    return HELP_BLOCK.sub(lambda block: f"{block[1]}{help_of(block[2].split())}```", page)


def help_of(arguments: Sequence[str]) -> str:
    """What the command line prints, 80 columns wide."""
    env = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "entrypoint", *arguments]
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout


def text() -> str:
    """The whole page."""
    services = [find(name) for name in names()]
    return "\n".join([HEAD, *(section(concern, services) for concern in all_concerns())])


def all_concerns() -> list[type[Any]]:
    """The concerns in the order in which they are declared."""
    found = [c for c in vars(concerns).values() if isinstance(c, type) and c.__module__ == concerns.__name__]
    return [c for c in found if own(c)]


def own(concern: type[Any]) -> list[Var]:
    """The variables that this concern declares itself."""
    declared = inspect.get_annotations(concern)  # without those that it inherits
    return [v for field, v in variables(concern).items() if field in declared]


def section(concern: type[Any], services: Sequence[Service[Any]]) -> str:
    """A heading, who reads it, and the table."""
    title, _, rest = " ".join((concern.__doc__ or "").split()).partition(". ")
    rows = [row(v) for v in own(concern)]
    if concern is concerns.Compose:
        rows += COMPOSE_OWN
    about = [rest, f"Read by {readers(concern, services)}."]
    return "\n".join([f"## {title.removesuffix('.')}", "", *(f"{a}\n" for a in about if a), *table(rows)]) + "\n"


def readers(concern: type[Any], services: Iterable[Service[Any]]) -> str:
    """The services with this concern, in words."""
    if concern is concerns.Compose:
        return "`docker-compose.yaml` only"
    found = [f"`{service.name}`" for service in services if issubclass(service.settings, concern)]
    return ", ".join(found) or "no service yet"


def row(v: Var) -> tuple[str, ...]:
    """One variable, as the cells of its row."""
    also = [f"secret, or in a file: `{v.name}_FILE`"] if v.secret else []
    also += [f"old name: `{old}`" for old in v.old]
    return (f"`{v.name}`", v.meaning, v.kind.accepts, default(v), code(v.example), "; ".join(also))


def default(v: Var) -> str:
    """The default in words, or as it would be written."""
    if v.default is REQUIRED:
        return "**required**"
    if v.default is None or v.default == "":
        return "not set"
    return code(str(v.default))


def code(value: str) -> str:
    """A value as it is typed; nothing for none."""
    return f"`{value}`" if value else ""


def table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a Markdown table; a bar in a cell is escaped, also within code (GitHub Flavored Markdown, 4.10)."""
    lines = [COLUMNS, ["---"] * len(COLUMNS), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]


if __name__ == "__main__":
    sys.exit(main())
