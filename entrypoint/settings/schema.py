"""How a setting is declared and read: one field, one variable, one typed value.

A concern (Ldap, Tls, …) is a frozen dataclass whose fields are made by `var` or `secret`. A
service's settings inherit from the concerns that it needs. `read` fills them from an environment
and reports every mistake at once. Field names are the names that templates use; the variable is
the field's name in upper case unless an older installation spells it otherwise.

Plain dataclasses and not pydantic-settings: importing that with one model costs 0.35 s of CPU
where this costs 0.02 s, and the three things needed most (files for secrets, old names, all
mistakes with suggestions) would be own code there too.
"""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar, dataclass_transform

from entrypoint.errors import SettingsError

T = TypeVar("T")
C = TypeVar("C")


class Secret:
    """A text that shows itself only to those who ask by `reveal()`; printing gives stars."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """The secret text itself."""
        return self._text

    def __repr__(self) -> str:
        return "********"

    __str__ = __repr__

    def __format__(self, _spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)


@dataclass(frozen=True)
class Kind(Generic[T]):
    """A sort of value: what it accepts, in words, and how its text becomes one.

    `parse` raises ValueError with the reason; `note` returns a warning worth one line or "".
    """

    accepts: str
    parse: Callable[[str], T]
    note: Callable[[str], str] = lambda _text: ""


_NAME = r"\$([A-Z][A-Z0-9_]*)"


@dataclass(frozen=True)
class Like:
    """A default made of other variables: `Like("imap.$DOMAIN")`; `$lower_case` stays."""

    pattern: str

    def names(self) -> list[str]:
        """The variables that the default is made of."""
        return re.findall(_NAME, self.pattern)

    def __str__(self) -> str:
        return self.pattern


class _Required:
    def __repr__(self) -> str:
        return "required"


REQUIRED = _Required()


@dataclass(frozen=True)
class Var:
    """All that is known of one variable."""

    name: str
    kind: Kind[Any]
    meaning: str
    default: str | Like | _Required | None
    example: str
    old: tuple[str, ...]
    secret: bool

    def spellings(self) -> list[str]:
        """Every name under which the environment may give this variable."""
        names = [self.name, *self.old]
        return names + [f"{name}_FILE" for name in names] if self.secret else names


def var(
    kind: Kind[Any],
    meaning: str,
    *,
    default: str | Like | _Required | None = REQUIRED,
    name: str = "",
    example: str = "",
    old: tuple[str, ...] = (),
    secret: bool = False,
) -> Any:
    """A field of a concern. `default` is written as a person would; None means "not set"."""
    return field(
        metadata={"var": Var(name, kind, meaning, default, example, old, secret)},
    )


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(var,))
def concern(cls: type[C]) -> type[C]:
    """Make a class of `var` fields a frozen value; names not given are the field's, upper case."""
    made = dataclass(frozen=True, kw_only=True)(cls)
    for item in dataclasses.fields(made):  # type: ignore[arg-type]
        found: Var = item.metadata["var"]
        if not found.name:
            object.__setattr__(found, "name", item.name.upper())
    return made


def variables(cls: type) -> dict[str, Var]:
    """The variables of a concern or of a service's settings, by field name."""
    return {item.name: item.metadata["var"] for item in dataclasses.fields(cls)}


@dataclass(frozen=True)
class Reading(Generic[C]):
    """Settings, and what should be said about the way they were given."""

    settings: C
    warnings: tuple[str, ...]


class _Missing(Exception):
    """The variable, or one its default is made of, has no usable value; it is reported already."""


class _Reader:
    """One pass over an environment, gathering values, mistakes and warnings."""

    def __init__(self, env: Mapping[str, str], known: Iterable[Var]) -> None:
        self.env = env
        self.by_name = {v.name: v for v in known}
        self.values: dict[str, Any] = {}
        self.failed: set[str] = set()
        self.mistakes: list[str] = []
        self.warnings: list[str] = []

    def value(self, name: str) -> Any:
        if name in self.failed:
            raise _Missing(name)
        if name not in self.values:
            try:
                self.values[name] = self._convert(self.by_name[name])
            except (_Missing, ValueError) as error:
                self.failed.add(name)
                if isinstance(error, ValueError):
                    self.mistakes.append(str(error))
                raise _Missing(name) from None
        return self.values[name]

    def _convert(self, v: Var) -> Any:
        text = self._given(v)
        if text is None:
            text = self._default(v)
            if text is None:
                return None
        elif note := v.kind.note(text):
            self.warnings.append(f"{v.name}: {note}")
        return _parse(v, text)

    def _given(self, v: Var) -> str | None:
        found = [name for name in v.spellings() if self.env.get(name)]
        if len(found) > 1:
            raise ValueError(f"{' and '.join(found)} are both set: keep one of them")
        if not found:
            return None
        if found[0].removesuffix("_FILE") in v.old:
            self.warnings.append(f"{found[0]} is an old name: write {v.name}")
        if found[0] in (v.name, *v.old):
            return _unquoted(v, found[0], self.env[found[0]])
        return _content(found[0], Path(self.env[found[0]]))

    def _default(self, v: Var) -> str | None:
        if isinstance(v.default, _Required):
            given_by = f"{v.name} or {v.name}_FILE" if v.secret else v.name
            example = f", for example {v.name}={v.example}" if v.example and not v.secret else ""
            raise ValueError(f"{given_by} is missing: {v.meaning} ({v.kind.accepts}{example})")
        if isinstance(v.default, Like):
            return re.sub(_NAME, lambda m: self._part(v, m[1]), v.default.pattern)
        return v.default

    def _part(self, v: Var, name: str) -> str:
        value = self.value(name)
        if value is None:
            raise ValueError(f"{v.name} is missing: {v.meaning} ({v.kind.accepts}); or set {name}")
        return str(value)


def _unquoted(v: Var, name: str, text: str) -> str:
    # `X=''` in a compose list arrives with its quotes; passwords may begin and end with them.
    if not v.secret and len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        raise ValueError(f"{name} got quotes as part of its value ({text}): remove them")
    return text


def _content(name: str, path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise ValueError(f"{name} names {path}, which cannot be read: {reason}") from None
    if not text.strip("\r\n"):
        raise ValueError(f"{name} names {path}, which is empty")
    return text.removesuffix("\n").removesuffix("\r")


def _parse(v: Var, text: str) -> Any:
    try:
        value = v.kind.parse(text)
    except ValueError as error:
        shown = "a value that" if v.secret else f"{_short(text)!r}, which"
        example = f", for example {v.example}" if v.example and not v.secret else ""
        raise ValueError(
            f"{v.name} got {shown} {error}: it accepts {v.kind.accepts}{example}"
        ) from None
    return Secret(value) if v.secret and isinstance(value, str) else value


def _short(text: str, limit: int = 80) -> str:
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text)} characters)"


def _unknown(env: Mapping[str, str], names: set[str]) -> Iterator[str]:
    prefixes = {name.split("_")[0] + "_" for name in names if "_" in name} - {"SSL_"}
    for name in env:
        if name in names or not name.startswith(tuple(prefixes)):
            continue
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
        yield f"{name} is not known" + (f": {near[0]}?" if near else "")


def read(
    env: Mapping[str, str], settings: type[C], *, known: Iterable[Var] | None = None
) -> Reading[C]:
    """Fill `settings` from `env`; SettingsError with all mistakes, sorted.

    `known` are the variables of the whole system: those of other services are no mistakes.
    """
    fields = variables(settings)
    reader = _Reader(env, fields.values())
    values: dict[str, Any] = {}
    for name, v in fields.items():
        try:
            values[name] = reader.value(v.name)
        except _Missing:
            continue
    everyone = [*fields.values(), *(known or ())]
    reader.mistakes += _unknown(env, {s for v in everyone for s in v.spellings()})
    made = None
    if len(values) == len(fields):
        made = settings(**values)
        reader.mistakes += contradictions(made)
    if reader.mistakes or made is None:
        raise SettingsError(sorted(set(reader.mistakes)))
    return Reading(made, tuple(dict.fromkeys(reader.warnings)))


def contradictions(settings: object) -> list[str]:
    """What the concerns' own `contradictions` methods find between their variables."""
    found: list[str] = []
    for cls in type(settings).__mro__:
        method = cls.__dict__.get("contradictions")
        if method is not None:
            found += method(settings)
    return found
