"""examples/full.env: every variable once, commented out, with its default or an example.

Taking away one # changes nothing where there is a default: the line gives it, also with nothing else uncommented.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from entrypoint.reference.catalogue import COMPOSE, Section, default_words, filled, sections
from entrypoint.settings.schema import REQUIRED, Like, Var

HEAD = """\
# Every variable, with its default or, where it has none, with an example. Written by `make reference`; for the version
# that is installed: `entrypoint settings --format env`.
#
# Nobody needs all of it: examples/minimal.env has what an installation has to set. Take single lines from here into
# .env, without the # in front of the name, and ask `entrypoint check --env-file .env` what it thinks of them.
#
# Compose puts a variable's value in the place of $NAME; a dollar sign that shall stay is written $$, or the whole value
# in single quotes. Secrets are files of the host: NAME_FILE instead of NAME.
"""

WIDTH = 120


def text(chosen: Iterable[Section]) -> str:
    """The whole file."""
    told: set[str] = set()
    blocks = [_section(section, told) for section in chosen]
    return "\n".join([HEAD, *(block for block in blocks if block)])


def _section(section: Section, told: set[str]) -> str:
    """A heading and what has not been told before: two concerns may have one variable."""
    new = [v for v in section.variables if v.name not in told]
    told |= {v.name for v in new}
    everything = sections()
    entries = ["\n".join([*_comment(v), f"#{line(v, everything)}", ""]) for v in new]
    return "\n".join([*_heading(section), "", *entries]) if entries else ""


def _heading(section: Section) -> Iterator[str]:
    yield f"# --- {section.title}"
    if section.about:
        yield from _wrapped(section.about)
    if section.readers != (COMPOSE,):
        yield from _wrapped(f"Read by {', '.join(section.readers) or 'no service yet'}.")


def _comment(v: Var) -> list[str]:
    """What it means, and below that what else is to be known; the last words belong to the line that follows."""
    facts = [] if v.kind.used else ["does nothing yet"]
    facts += [v.kind.accepts]
    facts += ["secret"] if v.secret else []
    facts += [f"old name: {name}" for name in v.old]
    facts += [f"since {v.since}", _what_follows(v)]
    return [*_wrapped(v.meaning), *_wrapped("; ".join(facts), "#   ")]


def _what_follows(v: Var) -> str:
    if v.default is REQUIRED:
        return "required, for example:"
    if v.generated:
        return f"{default_words(v)}; or give one, for example:"
    if v.default in {None, ""}:
        return "not set by default, for example:"
    return f"for example {v.example}; by default:" if v.example else "by default:"


def _wrapped(words: str, indent: str = "# ") -> list[str]:
    return textwrap.wrap(
        words, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def line(v: Var, everything: Sequence[Section]) -> str:
    """NAME=value as Compose reads it; a secret as a file."""
    if v.secret:
        return v.file_sample
    if isinstance(v.default, Like):
        # Dollar signs of lower-case names are for Exim.
        return f"{v.name}=" + re.sub(r"\$(?=[a-z])", "$$", filled(v.default, everything))
    value = v.default if isinstance(v.default, str) and v.default else v.example
    return f"{v.name}='{value}'" if "$" in v.example == value else f"{v.name}={value}"
