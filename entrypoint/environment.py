"""`.env` files as Compose reads them, and checking them for several services at once on the host.

Compose puts variables in place of $NAME and ${NAME}, also where a filter or a password only has a
dollar sign, and warns in passing. Here it is a mistake with its line; single quotes cure it.
(Compose specification, "Interpolation" and "Env_file format".)
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entrypoint.errors import Refused, SettingsError
from entrypoint.service import Service, known_variables
from entrypoint.settings import concerns, read
from entrypoint.settings.kinds import has_controls
from entrypoint.settings.reading import read_file
from entrypoint.settings.schema import Var

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*[=:]\s*(.*)", re.DOTALL)
_QUOTED = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$$"}
_VARIABLE = re.compile(r"\$(?:(\$)|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?::?-([^${}]*))?\}|(\{))", re.ASCII)


def read_env_file(path: Path) -> dict[str, str]:
    """The variables of an `.env` file; SettingsError names each bad line."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise Refused(f"cannot read {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise Refused(f"cannot read {path}: not UTF-8 text at byte {error.start}") from None
    found: dict[str, str] = {}
    mistakes = []
    for number, line in _lines(text):
        try:
            found.update(_assignment(line, found))
        except ValueError as error:
            mistakes.append(f"{path}, line {number}: {error}")
    if mistakes:
        raise SettingsError(mistakes)
    return found


def _lines(text: str) -> Iterator[tuple[int, str]]:
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
    match = _LINE.fullmatch(line.strip())
    return bool(match and match[2][:1] in {"'", '"'} and not _QUOTED.match(match[2]))


def _assignment(line: str, known: Mapping[str, str]) -> dict[str, str]:
    match = _LINE.fullmatch(line.strip())
    if not match:
        raise ValueError("is not NAME=value")
    try:
        return {match[1]: _value(match[2], known)}
    except ValueError as error:
        raise ValueError(f"{match[1]} {error}") from None


def _value(text: str, known: Mapping[str, str]) -> str:
    if text[:1] not in {"'", '"'}:
        plain = re.sub(r"\s+#.*$", "", text).strip()
        return _insist_on_printable(_interpolated(plain, known))
    body = _QUOTED.match(text)
    if not body:
        raise ValueError(f"begins with {text[0]}, which is never closed")
    if re.match(r"\s*[^#\s]", text[body.end() :]):
        raise ValueError(f"goes on after its closing {text[0]}")
    if body[1] is not None:
        return body[1].replace("\\'", "'")
    escaped = re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), body[2], flags=re.DOTALL)
    return _interpolated(escaped, known)


def _insist_on_printable(text: str) -> str:
    if has_controls(text):
        raise ValueError("has control characters; was the file written to its end?")
    return text


def _interpolated(text: str, known: Mapping[str, str]) -> str:
    def put(match: re.Match[str]) -> str:
        dollar, plain, braced, default, broken = match.groups()
        name = plain or braced
        if dollar:
            return "$"
        if broken or not (name in known or name in os.environ or default is not None):
            raise ValueError(
                f"has {match[0]}…, in which Compose sees a variable: put the value in single quotes, as in NAME='…'"
            )
        return known.get(name) or os.environ.get(name) or default or ""

    return _VARIABLE.sub(put, text)


@dataclass(frozen=True)
class Findings:
    """What is said about settings: mistakes by text, with the services that have them, and warnings."""

    mistakes: Mapping[str, list[str]]
    warnings: tuple[str, ...]


def examine(services: Iterable[Service[Any]], env: Mapping[str, str]) -> Findings:
    """What each service would say about `env`, each sentence once."""
    known = known_variables()
    mistakes: dict[str, list[str]] = {}
    warnings: dict[str, None] = {}
    parts: dict[str, type[Any]] = {service.name: service.settings for service in services}
    for name, settings in (parts | {"docker-compose.yaml": concerns.Compose}).items():
        try:
            reading = read(env, settings, known=known, read_file=_read_here)
        except SettingsError as error:
            for mistake in error.mistakes:
                mistakes.setdefault(mistake, []).append(name)
        else:
            warnings |= dict.fromkeys(reading.warnings)
    return Findings(mistakes, tuple(warnings))


def _read_here(v: Var, path: Path) -> str:
    """A secret's file, on the host or in a container: /run/secrets is only there in the other one."""
    if path.is_relative_to("/run/secrets") and not path.exists():
        return v.example or "in the container"
    return read_file(v, path)


def in_use(services: Iterable[Service[Any]], env: Mapping[str, str]) -> list[Service[Any]]:
    """The services that `env` lets Compose start."""
    profiles = (
        re.split(r"[,\s]+", env.get("COMPOSE_PROFILES", "")) if env.get("COMPOSE_PROFILES") else ["local", "global"]
    )
    return [service for service in services if service.profile in profiles]


def check_settings(services: Iterable[Service[Any]], env: Mapping[str, str]) -> int:
    """Print what is wrong for each service; 0 when nothing is, else 78."""
    services = list(services)
    findings = examine(services, env)
    for warning in findings.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    for mistake, names in sorted(findings.mistakes.items()):
        print(f"{mistake}\n    ({', '.join(names)})", file=sys.stderr)
    if findings.mistakes:
        return Refused.exit_code
    print(f"good for {', '.join(service.name for service in services)}")
    return 0
