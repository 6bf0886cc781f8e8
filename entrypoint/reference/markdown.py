"""docs/reference/settings.md: a table for each concern."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from entrypoint.reference.catalogue import COMPOSE, Section, default_words
from entrypoint.settings.schema import REQUIRED, Var

HEAD = """\
<!-- Written by `make reference` from entrypoint/settings/concerns.py: edits here do not last. -->

# Settings

All variables that the services read, and those that only `docker-compose.yaml` uses. Write them into `.env` beside
that file; `examples/minimal.env` is a beginning, `examples/full.env` has them all. `entrypoint check --env-file .env`
says what is wrong, all at once; `entrypoint settings NAME` explains one variable.

- **required** has no default. `$DOMAIN` and its like in a default stand for the value of that variable.
- Every secret can be a file: set `NAME_FILE` to its path on the host instead of `NAME`. Both at once is a mistake.
  A line feed at the end of the file does not count.
- Old names are understood, with a warning. An empty value is the same as none.
- Names that begin like ours but are none (`LDAP_HOST`) are mistakes, with a suggestion.
- Compose takes `$NAME` for a variable: put values with a dollar sign in single quotes.
- What **does nothing yet** is read, so that an older installation's `.env` is no mistake; whoever sets it is warned.
- For programs, `entrypoint settings --format json-schema` says the same as JSON Schema
  ([the command](cli.md#settings)).
"""

COLUMNS = ("variable", "meaning", "accepts", "default", "example", "since", "also")


def text(sections: Iterable[Section]) -> str:
    """The whole page."""
    return "\n".join([HEAD, *map(_section, sections)])


def _section(section: Section) -> str:
    about = [section.about, f"Read by {_readers(section.readers)}."]
    rows = [_row(v) for v in section.variables]
    return "\n".join([f"## {section.title}", "", *(f"{a}\n" for a in about if a), *_table(rows)]) + "\n"


def _readers(readers: tuple[str, ...]) -> str:
    if readers == (COMPOSE,):
        return f"`{COMPOSE}` only"
    return ", ".join(f"`{name}`" for name in readers) or "no service yet"


def _row(v: Var) -> tuple[str, ...]:
    also = [] if v.kind.used else ["**does nothing yet**"]
    also += [f"secret, or in a file: `{v.name}_FILE`"] if v.secret else []
    also += [f"old name: `{old}`" for old in v.old]
    return (f"`{v.name}`", v.meaning, v.kind.accepts, _default(v), _code(v.example), v.since, "; ".join(also))


def _default(v: Var) -> str:
    if v.default is REQUIRED:
        return f"**{default_words(v)}**"
    if v.generated:
        return default_words(v)
    return _code(default_words(v)) or "not set"


def _code(value: str) -> str:
    return f"`{value}`" if value else ""


def _table(rows: Iterable[Sequence[str]]) -> list[str]:
    """A bar in a cell is escaped, also within code (GitHub Flavored Markdown, 4.10)."""
    lines = [COLUMNS, ["---"] * len(COLUMNS), *rows]
    return ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
