"""From an environment to settings: every variable once, and all mistakes at once.

A mistake names the variable as it was spelled, what it got (unless that is a secret), what it
accepts, and an example.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

from entrypoint.errors import SettingsError
from entrypoint.settings.schema import Like, Secret, Var, short, variables

C = TypeVar("C")
ReadFile = Callable[[Var, Path], str]
# For a secret that is made at the first start, where none has been made: on the host, for `check` and `render`.
STAND_IN = "made at the first start"

_LARGEST = 256 * 1024


@dataclass(frozen=True)
class Reading(Generic[C]):
    """Settings, and what should be said about the way they were given."""

    settings: C
    warnings: tuple[str, ...]


def read_file(_v: Var, path: Path) -> str:
    """The text of a secret's file without its last line end; ValueError with the reason."""
    try:
        text = _text(path)
    except OSError as error:
        raise ValueError(f"which cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ValueError("which is not UTF-8 text") from None
    except ValueError:  # by the system: NUL, or half a character
        raise ValueError("which is no path") from None
    if not text.strip():
        raise ValueError("which is empty")
    return text.removesuffix("\n").removesuffix("\r")


def _is_there(path: Path) -> bool:
    try:
        path.stat()
    except OSError:  # also of a folder that is none of ours: exists() would raise
        return False
    return True


def _text(path: Path) -> str:
    if path.exists() and not path.is_file() and not path.is_dir():
        raise OSError(errno.EINVAL, "Not a regular file")  # a pipe would be waited for
    with path.open("rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise OSError(errno.EFBIG, f"Larger than {_LARGEST // 1024} KiB")  # nobody's secret: it names the wrong file
    return content.decode("utf-8-sig")


def read(
    env: Mapping[str, str],
    settings: type[C],
    *,
    known: Iterable[Var] = (),
    read_file: ReadFile = read_file,
) -> Reading[C]:
    """Fill `settings` from `env`; SettingsError with all mistakes, sorted.

    `known` are the variables of the whole system: those of other services are no mistakes.
    """
    fields = variables(settings)
    reader = _Reader(env, fields.values(), read_file)
    values = {name: reader.value(v.name) for name, v in fields.items()}
    mistakes = [*reader.mistakes, *reader.wanting(), *_unknown(env, [*fields.values(), *known])]
    if reader.failed:
        raise SettingsError(sorted(set(mistakes)))
    made = settings(**values)
    mistakes += contradictions(made)
    if mistakes:
        raise SettingsError(sorted(set(mistakes)))
    return Reading(made, tuple(reader.warnings))


def values(env: Mapping[str, str], known: Iterable[Var], read_file: ReadFile = read_file) -> dict[str, Any]:
    """Each variable's value by name, None for one that is not set or wrong: for those who look at many services at
    once, and go on where `read` stops.
    """
    reader = _Reader(env, known, read_file)
    return {name: reader.value(name) for name in reader.by_name}


def contradictions(settings: object) -> list[str]:
    """What the concerns' own `contradictions` methods find between their variables."""
    found: list[str] = []
    for cls in type(settings).__mro__:
        method = cls.__dict__.get("contradictions")
        if method is not None:
            found += method(settings)
    return found


def _unknown(env: Mapping[str, str], known: Iterable[Var]) -> Iterator[str]:
    """Names that begin as ours do, but are none: an environment has many others, of no concern."""
    names = {name.upper(): name for v in known for name in v.spellings()}
    ours = tuple(prefixes(names))
    for name in env:
        if not env[name] or name in names.values() or not name.upper().startswith(ours):
            continue
        yield f"{name} is not known" + _suggestion(name.upper(), names)


def prefixes(names: Iterable[str]) -> set[str]:
    """How our names begin, in capitals: LDAP_ and its like."""
    return {f"{name.upper().split('_')[0]}_" for name in names if "_" in name}


def _suggestion(name: str, names: Mapping[str, str]) -> str:
    import difflib  # rarely needed, and not at the start of a good one

    stem = name.removesuffix("_FILE")  # only secrets can be in files
    near = [stem] if stem in names else difflib.get_close_matches(name, names, n=1)
    return f": {names[near[0]]}?" if near else ": `entrypoint settings` lists all names"


class _Missing(Exception):
    """The variable, or one its default is made of, has no usable value; it is reported already."""


@dataclass(frozen=True)
class _Given:
    """A text, and the words with which an error about it begins."""

    text: str = field(repr=False)  # it may be a secret
    source: str


class _Reader:
    """One pass over an environment, gathering values, mistakes and warnings."""

    def __init__(self, env: Mapping[str, str], known: Iterable[Var], read_file: ReadFile) -> None:
        self.env = env
        self.read_file = read_file
        self.by_name = {v.name: v for v in known}
        self.values: dict[str, Any] = {}
        self.failed: set[str] = set()
        self.mistakes: list[str] = []
        self.warnings: list[str] = []
        self.wanted: dict[str, list[str]] = {}

    def value(self, name: str) -> Any:
        """The variable's value; None when it has none, and then `failed` says whether it should."""
        if name not in self.values:
            self.values[name] = None
            try:
                self.values[name] = self._find(self.by_name[name])
            except _Missing:
                self.failed.add(name)
            except ValueError as error:
                self.failed.add(name)
                self.mistakes.append(str(error))
        return self.values[name]

    def wanting(self) -> Iterator[str]:
        """A sentence for each variable that is not required, but others' defaults are made of."""
        for name, others in self.wanted.items():
            yield f"{self.by_name[name].missing()}; or set {' and '.join(sorted(others))}"

    def _find(self, v: Var) -> Any:
        given = self._given(v)
        if given is not None:
            value = _parse(v, given)
            if note := v.kind.note(given.text):
                self.warnings.append(f"{v.name}: {note}")
            return value
        default = self._made(v) if v.generated else self._default(v)
        return None if default is None else _parse(v, default)

    def _made(self, v: Var) -> _Given:
        """The one that a container has made; elsewhere, or before, a text that stands for it."""
        if not _is_there(v.file):
            return _Given(STAND_IN, f"{v.name} is by default")
        try:
            return _Given(self.read_file(v, v.file), f"{v.file} holds")
        except ValueError as error:
            raise ValueError(f"{v.name} is not set, and kept in {v.file}, {error}") from None

    def _given(self, v: Var) -> _Given | None:
        names = [name for name in v.spellings() if self.env.get(name, "").strip()]
        if not names:
            return None
        name = self._one_of(v, names)
        if name.removesuffix("_FILE") in v.old:
            new = f"{v.name}_FILE" if name.endswith("_FILE") else v.name
            self.warnings.append(f"{name} is an old name: write {new}")
        return _direct(v, name, self.env[name]) if name in (v.name, *v.old) else self._filed(v, name)

    def _one_of(self, v: Var, names: list[str]) -> str:
        # An old installation may have given TZ and TIMEZONE, to different programs.
        if len({self.env[name] for name in names}) > 1 or any(n not in (v.name, *v.old) for n in names[1:]):
            given = "" if v.secret else f", to {' and '.join(short(self.env[each]) for each in names)}"
            raise ValueError(f"{_listed(names)} set{given}: keep one of them; it accepts {v.accepts()}")
        return names[0]

    def _filed(self, v: Var, name: str) -> _Given:
        path = self.env[name]
        if not _is_path(path):
            # Not shown: it may be the secret itself, with a slash in it where it is base64.
            raise ValueError(f"{name} got a value that is no path: {_accepts_path(v)}")
        try:
            return _Given(self.read_file(v, Path(path)), f"{name}={path} holds")
        except ValueError as error:
            raise ValueError(f"{name} names {short(path)}, {error}: {_accepts_path(v)}") from None

    def _default(self, v: Var) -> _Given | None:
        if v.default is None:
            return None
        if isinstance(v.default, Like):
            return _Given(v.default.fill(lambda name: self._part(v, name)), f"{v.name} is by default")
        if isinstance(v.default, str):
            return _Given(v.default, f"{v.name} is by default")
        raise ValueError(v.missing())

    def _part(self, v: Var, name: str) -> str:
        value = self.value(name)
        if value is not None:
            return str(value)
        if name not in self.failed:
            self.wanted.setdefault(name, []).append(v.name)
        raise _Missing(name)


def _listed(names: list[str]) -> str:
    return f"{' and '.join(names)} are {'both' if len(names) == 2 else 'all'}"


def _is_path(text: str) -> bool:
    return text.startswith(("/", "./", "../")) or ("/" in text and Path(text).parent.is_dir())


def _accepts_path(v: Var) -> str:
    return f"it accepts the path of a file that holds {v.kind.accepts}, for example {v.file_sample}"


def _direct(v: Var, name: str, text: str) -> _Given:
    # `X=''` in a compose list arrives with its quotes; passwords may begin and end with them.
    if not v.secret and len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        raise ValueError(
            f"{name} got {short(text)}, with the quotes as part of its value: write it without them; "
            f"it accepts {v.accepts()}"
        )
    return _Given(text, f"{name} got")


def _parse(v: Var, given: _Given) -> Any:
    try:
        value = v.kind.parse(given.text)
    except ValueError as error:
        shown = "a value that" if v.secret else f"{short(given.text)}, which"
        raise ValueError(f"{given.source} {shown} {error}: it accepts {v.accepts()}") from None
    return Secret(value) if v.secret and isinstance(value, str) else value
