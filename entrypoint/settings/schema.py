"""How a setting is declared: one field, one variable, one typed value.

A concern (Ldap, Tls, …) is a frozen dataclass whose fields are made by `var`. A service's
settings inherit from the concerns that it needs; `reading` fills them from an environment.
Field names are the names that templates use; the variable is the field's name in upper case
unless an older installation spells it otherwise.

Own classes and not pydantic-settings: that costs 0.27 s of CPU at every start with one small
model, this 0.05 s with all variables of the system; and the three things needed most (files for
secrets, old names, all mistakes with suggestions) would be own code there too.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, TypeVar, dataclass_transform

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

    `parse` raises ValueError with the reason; `note` returns a warning worth one line or "" for
    a text that `parse` takes. `pattern` and `json` say the same to programs: a regular expression for the
    whole text, of ECMA 262 and Python both, and further keywords of JSON Schema. They refuse nothing that
    `parse` takes, apart from blanks around it and capitals in a word of a list.
    """

    accepts: str
    parse: Callable[[str], T]
    note: Callable[[str], str] = lambda _text: ""
    pattern: str = ""
    json: Mapping[str, Any] = field(default_factory=dict, compare=False)
    used: bool = True  # False: values are read, but do nothing yet

    @property
    def is_list(self) -> bool:
        """Whether `accepts` lists every value there is, so that an example would say nothing more."""
        return "enum" in self.json or self.json.get("type") == "boolean"


def _as_it_is(value: str, _before: str) -> str:
    return value


@dataclass(frozen=True)
class Like:
    """A default made of other variables: `Like("imap.$DOMAIN")`; `$lower_case` stays.

    `quote` makes a value safe for its place: it gets the value and the pattern's text before it.
    """

    pattern: str
    quote: Callable[[str, str], str] = _as_it_is

    def fill(self, value_of: Callable[[str], str]) -> str:
        """The default, once the values of the variables in it are known."""

        def put(name: re.Match[str]) -> str:
            return self.quote(value_of(name[1]), self.pattern[: name.start()])

        return re.sub(r"\$([A-Z][A-Z0-9_]*)", put, self.pattern)

    def __str__(self) -> str:
        return self.pattern


class _Required:
    def __repr__(self) -> str:
        return "required"


REQUIRED = _Required()
Default = str | Like | _Required | None


@dataclass(frozen=True)
class Var:
    """All that is known of one variable."""

    name: str
    kind: Kind[Any]
    meaning: str
    default: Default
    example: str
    old: tuple[str, ...]
    secret: bool
    since: str  # the version that had it first
    generated: str = ""  # folder on a volume where one is made when none is given

    @property
    def file(self) -> Path:
        """Where one that was made is kept."""
        return Path(self.generated) / self.name

    def spellings(self) -> list[str]:
        """Every name under which the environment may give this variable."""
        names = [self.name, *self.old]
        return names + [f"{name}_FILE" for name in names] if self.secret else names

    @property
    def sample(self) -> str:
        """A value that it takes, as a person would write it; "" where there is none to show."""
        return self.example or (self.default if isinstance(self.default, str) else "")

    @property
    def file_sample(self) -> str:
        """How a person gives this secret as a file of the host."""
        return f"{self.name}_FILE=./secrets/{self.name.lower().replace('_', '-')}"

    def accepts(self) -> str:
        """What it takes, in words, and an example unless the words list everything."""
        if self.kind.is_list:
            return self.kind.accepts
        example = f", for example {self.sample}" if self.sample else ""
        return self.kind.accepts + example + (f", best in a file: {self.file_sample}" if self.secret else "")

    def missing(self) -> str:
        """The sentence for a variable that has to be set."""
        names = f"{self.name} or {self.name}_FILE" if self.secret else self.name
        return f"{names} is missing: {self.meaning} ({self.accepts()})"


def var(
    kind: Kind[Any],
    meaning: str,
    *,
    default: Default = REQUIRED,
    name: str = "",
    example: str = "",
    old: tuple[str, ...] = (),
    secret: bool = False,
    since: str = "0.1.0",
    generated: str = "",
) -> Any:
    """A field of a concern. `default` is written as a person would; None means "not set".

    `generated`, for secrets that nobody outside needs: a folder on a volume of all services that have this variable.
    The first of them to start makes one there when none is given (see entrypoint.generated).
    """
    return field(metadata={"var": Var(name, kind, meaning, default, example, old, secret, since, generated)})


class _Frozen:
    """What `dataclass(frozen=True)` would write and compile for each class: 35 ms at every start."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    def __init__(self, **values: Any) -> None:
        if wrong := values.keys() ^ self.__dataclass_fields__.keys():
            raise TypeError(f"{type(self).__name__} wants each of its fields once: {', '.join(sorted(wrong))}")
        self.__dict__.update(values)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name) for name in self.__dataclass_fields__))

    def __setattr__(self, name: str, _value: object) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")

    def __delattr__(self, name: str) -> None:
        raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


@dataclass_transform(frozen_default=True, kw_only_default=True, field_specifiers=(var,))
def concern(cls: type[C]) -> type[C]:
    """Make a class of `var` fields a frozen value."""
    made = dataclass(init=False, repr=False, eq=False, match_args=False)(cls)
    for name in ("__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__"):
        setattr(made, name, vars(_Frozen)[name])
    return made


def variables(cls: type) -> dict[str, Var]:
    """The variables of a concern or of a service's settings, by field name."""
    return {item.name: _named(item.metadata["var"], item.name) for item in dataclasses.fields(cls)}


def _named(v: Var, field_name: str) -> Var:
    return v if v.name else dataclasses.replace(v, name=field_name.upper())


def secrets_of(value: object) -> Iterator[Secret]:
    """Every secret in a settings' value, however deep."""
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from secrets_of(part)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from secrets_of(getattr(value, field.name))


def short(text: str, limit: int = 80) -> str:
    """A text as errors show it: in quotes, with escapes for what cannot be printed, and not too long."""
    return repr(text) if len(text) <= limit else f"{text[:limit]!r}… ({len(text)} characters)"
