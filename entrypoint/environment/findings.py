"""One thing that is said about the settings: how bad it is, where it is, and whom it concerns."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass
from typing import Any

ERROR, WARNING = "error", "warning"

# Where a sentence of `settings.reading` stops to speak of its variables and begins with values and cures.
_SUBJECT_ENDS = re.compile(r" got | names | has | holds | is by default|: | \(|, which")
_WORD = re.compile(r"(?<![\w./$-])[A-Za-z][A-Za-z0-9_]*(?![\w./-])")


@dataclass(frozen=True)
class Finding:
    """A sentence about variables; `lines` of the file, none for what is missing or was no file's."""

    severity: str
    text: str
    variables: tuple[str, ...] = ()
    lines: tuple[int, ...] = ()
    services: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """By line, those without one last; each once."""
    return sorted(
        dict.fromkeys(findings), key=lambda found: (found.lines[:1] or (1 << 31,), found.severity, found.text)
    )


def named_in(text: str, names: Collection[str]) -> tuple[str, ...]:
    """The variables that a sentence is about: it begins with them."""
    return words_of(_SUBJECT_ENDS.split(text, maxsplit=1)[0], names)


def words_of(text: str, names: Collection[str]) -> tuple[str, ...]:
    """The variables that a text has, each once."""
    return tuple(dict.fromkeys(word for word in _WORD.findall(text) if word in names))
