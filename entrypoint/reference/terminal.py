"""For people at a terminal: all variables as a table, or one in words."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator

from entrypoint.console import BOLD, DIM, YELLOW, has_colour, paint
from entrypoint.reference.catalogue import Section, default_words
from entrypoint.settings.schema import REQUIRED, Like, Var

_LONGEST_DEFAULT = 24
_NARROWEST_MEANING = 30


def table(sections: Iterable[Section]) -> str:
    """Name, default and meaning, by concern; in a pipe each variable has one line, however long."""
    sections = list(sections)
    width = max(len(v.name) for section in sections for v in section.variables)
    lines: list[str] = []
    for section in sections:
        lines += ["", paint(section.title, BOLD, on=has_colour())]
        for v in section.variables:
            lines += _row(v, width)
    return "\n".join(lines[1:])


def _row(v: Var, width: int) -> Iterator[str]:
    default = default_words(v) or "-"
    if len(default) > _LONGEST_DEFAULT:
        default = default[: _LONGEST_DEFAULT - 1] + "…"
    told = default.ljust(_LONGEST_DEFAULT)
    first, *more = _folded(_meaning(v), width + _LONGEST_DEFAULT + 6)
    yield f"  {v.name.ljust(width)}  {paint(told, YELLOW if v.default is REQUIRED else DIM, on=has_colour())}  {first}"
    for rest in more:
        yield " " * (width + _LONGEST_DEFAULT + 6) + rest


def _meaning(v: Var) -> str:
    marks = [word for word, so in (("secret", v.secret), ("does nothing yet", not v.kind.used)) if so]
    return v.meaning + (f" ({', '.join(marks)})" if marks else "")


def _folded(words: str, taken: int) -> list[str]:
    if not sys.stdout.isatty():
        return [words]
    width = max(_NARROWEST_MEANING, shutil.get_terminal_size().columns - taken)
    return textwrap.wrap(words, width, break_long_words=False, break_on_hyphens=False)


def words(sections: Iterable[Section]) -> str:
    """Each variable with everything that is known of it. A name that two concerns have is told twice."""
    return "\n\n".join(_words(v, section) for section in sections for v in section.variables)


def _words(v: Var, section: Section) -> str:
    facts = {
        "accepts": v.kind.accepts,
        "default": _default(v),
        "example": f"{v.name}={v.sample}" if v.sample and not v.secret else "",
        "secret": f"yes, best in a file: {v.file_sample}" if v.secret else "",
        "read by": ", ".join(section.readers) or "no service yet",
        "old name": ", ".join(v.old),
        "since": v.since,
        "note": "" if v.kind.used else "it does nothing yet",
    }
    head = f"{paint(v.name, BOLD, on=has_colour())}: {v.meaning}"
    return "\n".join([head, *(f"  {name:<9} {fact}" for name, fact in facts.items() if fact)])


def _default(v: Var) -> str:
    if v.default is REQUIRED:
        return "none: it has to be set"
    told = default_words(v) or "not set"
    return f"{told} (made of other variables)" if isinstance(v.default, Like) else told
