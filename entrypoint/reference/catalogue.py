"""Every variable with who reads it, by concern, in the order in which they are declared."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from entrypoint import service
from entrypoint.errors import UsageError
from entrypoint.settings import concerns
from entrypoint.settings.reading import STAND_IN
from entrypoint.settings.schema import REQUIRED, Kind, Like, Var, variables

COMPOSE = "docker-compose.yaml"

_PROFILE = "(?:local|global|directory|fetchmail|demo|build)"
# What Compose itself reads; the settings do not know it.
COMPOSE_OWN = (
    Var(
        name="COMPOSE_PROFILES",
        kind=Kind("profiles, separated by commas", str, pattern=rf"\s*{_PROFILE}(?:\s*,\s*{_PROFILE})*\s*"),
        meaning="which services are started: local: one set per location, global: one set for all, directory: the "
        "embedded directory, fetchmail: mail from other providers, demo: to try out",
        default="local,global",
        example="local",
        old=(),
        secret=False,
        since="0.1.0",
    ),
    Var(
        name="COMPOSE_PROJECT_NAME",
        kind=Kind("a name in lower case", str, pattern="[a-z0-9][a-z0-9_-]*"),
        meaning="name in front of containers, network and named volumes",
        default="postern",
        example="mail",
        old=(),
        secret=False,
        since="0.1.0",
    ),
)


@dataclass(frozen=True)
class Section:
    """A concern: its variables, and the services that read them; the compose file alone is one, too."""

    title: str
    about: str
    readers: tuple[str, ...]
    variables: tuple[Var, ...]


def sections(service_name: str = "") -> list[Section]:
    """All concerns, or those that one service reads; UsageError when there is no such service."""
    if service_name:
        service.find(service_name)
    found = [_section(concern) for concern in _concerns()]
    return [section for section in found if not service_name or service_name in section.readers]


def _concerns() -> list[type[Any]]:
    found = [c for c in vars(concerns).values() if isinstance(c, type) and c.__module__ == concerns.__name__]
    return [c for c in found if _own(c)]


def _own(concern: type[Any]) -> list[Var]:
    declared = inspect.get_annotations(concern)  # without those that it inherits
    return [v for field, v in variables(concern).items() if field in declared]


def _section(concern: type[Any]) -> Section:
    title, _, about = " ".join((concern.__doc__ or "").split()).partition(". ")
    more = COMPOSE_OWN if concern is concerns.Compose else ()
    return Section(title.removesuffix("."), about, _readers(concern), (*_own(concern), *more))


def _readers(concern: type[Any]) -> tuple[str, ...]:
    if concern is concerns.Compose:
        return (COMPOSE,)
    return tuple(name for name in service.names() if issubclass(service.find(name).settings, concern))


def matching(found: Iterable[Section], words: Sequence[str]) -> list[Section]:
    """The variables with these names, of today or of old, or with these parts of names; UsageError when none has."""
    found = list(found)
    chosen = {id(v) for word in words for v in _named(found, word)}
    kept = [replace(s, variables=tuple(v for v in s.variables if id(v) in chosen)) for s in found]
    return [section for section in kept if section.variables]


def _named(found: Sequence[Section], word: str) -> list[Var]:
    everything = [v for section in found for v in section.variables]
    spelt = [v for v in everything if word.upper() in {name.upper() for name in v.spellings()}]
    near = spelt or [v for v in everything if word.upper() in v.name.upper()]
    if not near:
        guess = difflib.get_close_matches(word.upper(), [s for v in everything for s in v.spellings()], n=1)
        raise UsageError(
            f"cannot find the variable {word!r}" + (f": {guess[0]}?" if guess else ": `entrypoint settings` lists all")
        )
    return near


def is_exact(found: Iterable[Section], word: str) -> bool:
    """Whether the word is a variable's whole name."""
    return any(word.upper() == name.upper() for s in found for v in s.variables for name in v.spellings())


def default_words(v: Var) -> str:
    """The default as a person would write it, or what is to be known about none; "" for none."""
    if v.generated:
        return STAND_IN
    if v.default is REQUIRED:
        return "required"
    return "" if v.default is None else str(v.default)


def filled(like: Like, found: Iterable[Section]) -> str:
    """A default made of others, with the defaults of those that have one in their place."""
    known = {v.name: v for section in found for v in section.variables}

    def value_of(name: str) -> str:
        default = known[name].default if name in known else None
        return default if isinstance(default, str) and default else f"${name}"

    return replace(like, quote=lambda value, _before: value).fill(value_of)
