"""The file: its values as Compose reads them, where each is, and what is wrong with its lines.

Compose puts variables in place of $NAME and ${NAME}, also where a filter or a password only has a
dollar sign, and warns in passing. Here it is a mistake with its line; single quotes cure it.
(Compose specification, "Interpolation" and "Env_file format".)
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from entrypoint.errors import Refused, SettingsError
from entrypoint.settings.kinds import has_controls

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*[=:]\s*(.*)", re.DOTALL)
_QUOTE_BEGINS = re.compile(r"(?:export\s+)?[A-Za-z_][A-Za-z0-9_.-]*\s*[=:]\s*(['\"].*)", re.DOTALL)  # whatever the name
_LIST_ITEM = re.compile(r"-\s*[\"']?([A-Za-z_][A-Za-z0-9_]*)\s*[=:]\s*(.*?)[\"']?", re.DOTALL)
_QUOTED = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$$"}
_VARIABLE = re.compile(r"\$(?:(\$)|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?::?-([^${}]*))?\}|(\{))", re.ASCII)

_SINGLE_QUOTES = "in which Compose sees a variable: put the value in single quotes, as in NAME='…'"


class _LineError(ValueError):
    """What is wrong with a line; `name` is empty where there is none, `meant` is what the value seems to be."""

    def __init__(self, text: str, name: str = "", meant: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.name = name
        self.meant = meant


@dataclass(frozen=True)
class Mistake:
    """A line that Compose refuses, or takes for something else."""

    line: int
    name: str  # "" where it has none
    text: str


@dataclass
class EnvFile:
    """An `.env` file. `values` also has what lines with a mistake seem to mean, so that other mistakes show."""

    path: Path
    values: dict[str, str] = field(default_factory=dict)
    lines: dict[str, list[int]] = field(default_factory=dict)  # where each name is set
    mistakes: list[Mistake] = field(default_factory=list)
    used: set[str] = field(default_factory=set)  # names that other values are made of

    def lines_of(self, name: str) -> tuple[int, ...]:
        """The numbers of the lines that set a variable."""
        return tuple(self.lines.get(name, ()))

    def add(self, number: int, line: str) -> None:
        """One more assignment."""
        value: str | None
        try:
            name, value = _assignment(line, self)
        except _LineError as error:
            self.mistakes.append(Mistake(number, error.name, error.text))
            name, value = error.name, error.meant
        if name:
            self.lines.setdefault(name, []).append(number)
        if value is not None:
            self.values[name] = value


def parse(path: Path) -> EnvFile:
    """The file with all its mistakes; Refused when it cannot be read at all."""
    file = EnvFile(path)
    for number, line in logical_lines(read_text(path)):
        file.add(number, line)
    return file


def read_env_file(path: Path) -> dict[str, str]:
    """The variables of an `.env` file; SettingsError names each bad line."""
    file = parse(path)
    if file.mistakes:
        raise SettingsError([f"{path}, line {mistake.line}: {mistake.text}" for mistake in file.mistakes])
    return file.values


def read_text(path: Path) -> str:
    """The text of a file; Refused with the reason."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise Refused(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise Refused(f"cannot read {path}: not UTF-8 text at byte {error.start}") from None


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Lines that say something, with their numbers; a value in quotes may go on over several."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    number = 0
    while number < len(lines):
        end = number + 1
        while _is_open(line := "\n".join(lines[number:end])) and end < len(lines):
            end += 1
        if _is_open(line):  # to the end of the file: a mistake of this line alone
            line, end = lines[number], number + 1
        if line.strip() and not line.lstrip().startswith("#"):
            yield number + 1, line
        number = end


def _is_open(line: str) -> bool:
    match = _QUOTE_BEGINS.fullmatch(line.strip())
    return bool(match and not _QUOTED.match(match[1]))


def _assignment(line: str, file: EnvFile) -> tuple[str, str]:
    """Name and value; _LineError with what the value seems to be."""
    text = line.strip()
    match = _LINE.fullmatch(text)
    if not match:
        if listed := _LIST_ITEM.fullmatch(text):
            raise _LineError(
                f"is an item of a list, as in a compose file: write {listed[1]}=… without the dash", *listed.groups()
            )
        raise _LineError("is not NAME=value")
    name, given = match.groups()
    try:
        return name, _value(given, file)
    except _LineError as error:
        # What looks like a variable may be a part of a password.
        told = f"has a $, {_SINGLE_QUOTES}" if error.meant is not None and _is_secret(name) else error.text
        raise _LineError(f"{name} {told}", name, error.meant) from None


def _is_secret(name: str) -> bool:
    from entrypoint.service import known_variables  # only for mistakes

    return any(v.secret and name in v.spellings() for v in known_variables())


def _value(text: str, file: EnvFile) -> str:
    if text[:1] not in {"'", '"'}:
        plain = re.sub(r"\s+#.*$", "", text).strip()
        return _insist_on_printable(_interpolated(plain, file))
    body = _QUOTED.match(text)
    if not body:
        raise _LineError(f"begins with {text[0]}, which is never closed")
    if re.match(r"\s*[^#\s]", text[body.end() :]):
        raise _LineError(f"goes on after its closing {text[0]}")
    if body[1] is not None:
        return body[1].replace("\\'", "'")
    escaped = re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), body[2], flags=re.DOTALL)
    return _interpolated(escaped, file)


def _insist_on_printable(text: str) -> str:
    if has_controls(text):
        raise _LineError("has control characters; was the file written to its end?")
    return text


def _interpolated(text: str, file: EnvFile) -> str:
    def put(match: re.Match[str]) -> str:
        dollar, plain, braced, default, broken = match.groups()
        name = plain or braced
        if dollar:
            return "$"
        if broken or not (name in file.values or name in os.environ or default is not None):
            raise _LineError(f"has {match[0]}…, {_SINGLE_QUOTES}", meant=text)
        file.used.add(name)
        return file.values.get(name) or os.environ.get(name) or default or ""

    return _VARIABLE.sub(put, text)
