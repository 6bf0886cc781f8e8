"""What became of a name of the source."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from entrypoint.imports import ours
from entrypoint.imports.source import Source

TAKEN, TRANSLATED, NONE, YOU, UNSET = "taken", "translated", "no equal", "needs you", "not set"
VERDICTS = (YOU, TAKEN, TRANSLATED, NONE, UNSET)

_SOUNDS_SECRET = re.compile(r"pass|pw|secret|token|credential|api_?key|userpass", re.IGNORECASE)
_HAS_LOGIN = re.compile(r"://[^/\s]*:[^/\s]*@")


@dataclass(frozen=True)
class Outcome:
    """A verdict with its reason, and the variables of ours that are set for it."""

    verdict: str
    because: str
    sets: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Finding:
    """A name of the source, its value there, and what became of it."""

    name: str
    value: str
    outcome: Outcome

    def shown(self) -> str:
        """The value as it may be shown: one line, stars for what may be a secret."""
        secret = is_secret(self.name, self.value) or any(map(ours.is_secret, self.outcome.sets))
        return "********" if self.value and secret else one_line(self.value)


def one_line(text: str, limit: int = 2000) -> str:
    """The text, with escapes for what a line cannot show."""
    shown = text if text.isprintable() else repr(text)[1:-1]
    return shown if len(shown) <= limit else f"{shown[:limit]}… ({len(text)} characters)"


Rule = Callable[[str, Source], Outcome]


def is_secret(name: str, value: str) -> bool:
    """Whether a name or a value looks like a secret; a path to one does not."""
    about = name.endswith(("_FILE", "_FILTER", "_ATTR", "_ATTRS", "_SCHEME")) or value.startswith(("/", "./"))
    return bool(_SOUNDS_SECRET.search(name) and not about) or bool(_HAS_LOGIN.search(value))


def taken(name: str, value: str, because: str = "the same here") -> Outcome:
    """The same name and value."""
    return Outcome(TAKEN, because, {name: value})


def translated(because: str, **sets: str) -> Outcome:
    """Other names or values of ours."""
    return Outcome(TRANSLATED, because, sets)


def none(because: str) -> Outcome:
    """No equal here."""
    return Outcome(NONE, because)


def you(because: str, **proposed: str) -> Outcome:
    """A person has to decide; what is proposed is written as a comment."""
    return Outcome(YOU, because, proposed)
