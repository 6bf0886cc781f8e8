"""What is read: an env file, or one service of a compose file. Nobody's file is refused for a value.

In contrast to our own `.env`, a dollar sign before a name that is set nowhere is left as it is: older versions of
Compose, and `docker run --env-file`, replaced none.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from entrypoint.environment.reading import logical_lines, read_text
from entrypoint.errors import Refused, UsageError

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*[=:]\s*(.*)", re.DOTALL)
_QUOTED = re.compile(r"""'((?:[^'\\]|\\.)*)'\s*(?:#.*)?|"((?:[^"\\]|\\.)*)"\s*(?:#.*)?""", re.DOTALL)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_VARIABLE = re.compile(r"\$(?:(\$)|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?:(:?[-+?])([^${}]*))?\})", re.ASCII)


@dataclass(frozen=True)
class Port:
    """A published port: where the host listens, and what it leads to."""

    target: int
    published: str  # as our variables have it: a port, or address:port


@dataclass
class Source:
    """The settings of an installation."""

    file: Path
    variables: dict[str, str] = field(default_factory=dict)
    service: str = ""  # of a compose file
    keys: dict[str, Any] = field(default_factory=dict)  # what else the service has there
    odd: dict[str, str] = field(default_factory=dict)  # why something could not be read, by where it stands

    def get(self, *names: str) -> str:
        """The first of these that has a value."""
        return next((self.variables[name] for name in names if self.variables.get(name)), "")

    def on(self, name: str) -> bool:
        """Whether a switch is on."""
        return self.get(name).lower() in {"1", "yes", "true", "on"}

    def text(self, key: str) -> str:
        """A key of the service that is a text."""
        found = self.keys.get(key)
        return found if isinstance(found, str) else ""

    @property
    def host(self) -> str:
        """The full name of the host, as far as it is told."""
        name, domain = self.text("hostname"), self.text("domainname")
        if self.get("OVERRIDE_HOSTNAME"):
            return self.get("OVERRIDE_HOSTNAME")
        return f"{name}.{domain}" if name and domain and not name.endswith(f".{domain}") else name

    @property
    def domain(self) -> str:
        """The domain of the host, if it is told."""
        return self.text("domainname") or self.host.partition(".")[2]

    def mounts(self) -> Iterator[tuple[str, str]]:
        """Volumes: what is on the host, and where it is in the container."""
        for volume in as_list(self.keys.get("volumes")):
            if isinstance(volume, dict):
                yield str(volume.get("source", "")), str(volume.get("target", "")).rstrip("/") or "/"
            elif ":" in volume:
                there, here = volume.split(":")[:2]
                yield there, here.rstrip("/") or "/"
            else:
                yield "", volume.rstrip("/") or "/"

    def on_host(self, path: str) -> str:
        """The path on the host of a path in the container; "" when no volume has it."""
        for there, here in sorted(self.mounts(), key=lambda mount: -len(mount[1])):
            if there and (path == here or path.startswith(f"{here}/")):
                return there.rstrip("/") + path.removeprefix(here)
        return ""

    def ports(self) -> list[Port]:
        """The published ports; ValueError for what is none."""
        return [port for item in as_list(self.keys.get("ports")) for port in _ports(item)]


def as_list(value: Any) -> list[Any]:
    """What compose files write as a list, a mapping or a single value, as a list."""
    if value is None or value == "":
        return []
    if isinstance(value, dict):
        return [f"{name}={text}" for name, text in value.items()]
    return list(value) if isinstance(value, list) else [value]


def read_source(file: Path, service: str = "", images: str = "") -> Source:
    """An env file or a compose file, told apart by their names or what they begin with.

    Of a compose file, the service with this name, or the one whose image matches the pattern `images`.
    """
    text = read_text(file)
    if file.suffix in {".yaml", ".yml"} or re.search(r"(?m)^(services:|  +image:)", text):
        from entrypoint.imports.compose import from_compose

        if not images:
            raise UsageError(f"cannot import {file}: of this system, the .env is read, and no compose file")
        return from_compose(file, text, service, images)
    source = Source(file)
    source.variables, source.odd = parse_env(text)
    return source


def parse_env(text: str) -> tuple[dict[str, str], dict[str, str]]:
    """The variables of an env file, and what is to be said about lines that are none, by their place."""
    found: dict[str, str] = {}
    odd: dict[str, str] = {}
    for number, line in logical_lines(text):
        match = _LINE.fullmatch(line.strip())
        if match:
            found[match[1]] = _value(match[2], found)
        else:
            odd[f"line {number}"] = "is no NAME=value: look what it was for"  # it may hold half a secret
    return found, odd


def _value(text: str, known: Mapping[str, str]) -> str:
    body = _QUOTED.fullmatch(text)
    if body and body[1] is not None:
        return body[1].replace("\\'", "'")
    if body:
        unescaped = re.sub(r"\\([nrt\"\\])", lambda m: _ESCAPES.get(m[1], m[1]), body[2])
        return put_in(unescaped, known)
    return put_in(re.sub(r"\s+#.*$", "", text, flags=re.DOTALL).strip(), known)


def put_in(text: str, known: Mapping[str, str]) -> str:
    """The text with values in place of the variables that are known; $$ and the others stay."""

    def put(match: re.Match[str]) -> str:
        dollar, plain, braced, sign, other = match.groups()
        name = plain or braced
        if dollar or not (name in known or sign):
            return match[0]
        given = known.get(name, "")
        if sign and "+" in sign:
            return other if given else ""
        return given or (other if sign and "-" in sign else "")

    return _VARIABLE.sub(put, text)


def unquoted(value: str) -> str:
    """A value without quotes that a compose list has made part of it."""
    return value[1:-1] if len(value) > 1 and value[0] == value[-1] and value[0] in "'\"" else value


def env_files(source: Source, names: Iterable[str]) -> dict[str, str]:
    """The variables of a service's `env_file`s; one that cannot be read is odd."""
    found: dict[str, str] = {}
    for name in names:
        try:
            variables, odd = parse_env(read_text(source.file.parent / name))
        except Refused as error:
            source.odd[f"env_file {name}"] = str(error)
        else:
            found |= variables
            source.odd |= {f"{name}, {where}": line for where, line in odd.items()}
    return found


def _ports(item: Any) -> Iterator[Port]:
    if isinstance(item, dict):
        published = str(item.get("published", ""))
        where = str(item.get("host_ip", ""))
        pairs = [(published, str(item.get("target", "")))]
    else:
        where, pairs = _short(str(item))
    for host_port, target in pairs:
        if host_port and not host_port.isdigit():
            raise ValueError(f"{item} is no port")
        address = f"[{where}]" if ":" in where else where
        yield Port(int(target), f"{address}:{host_port}" if address and host_port else host_port)


def _short(item: str) -> tuple[str, list[tuple[str, str]]]:
    """Address and pairs of ports of the short form, which may be a range."""
    text = item.partition("/")[0]
    *before, target = re.split(r":(?![^\[]*\])", text)
    host_port = before.pop() if before else ""
    where = ":".join(before).removeprefix("[").removesuffix("]")
    targets, published = _range(target), _range(host_port) if host_port else []
    if published and len(published) != len(targets):
        raise ValueError(f"{item} is no port")
    return where, list(zip(published or [""] * len(targets), targets, strict=True))


def _range(text: str) -> list[str]:
    match = re.fullmatch(r"([0-9]{1,5})(?:-([0-9]{1,5}))?", text)
    if not match:
        raise ValueError(f"{text} is no port")
    return [str(port) for port in range(int(match[1]), int(match[2] or match[1]) + 1)]


def beside(file: Path) -> dict[str, str]:
    """What Compose knows when it reads a file: the `.env` beside it, and this process's environment."""
    env = file.parent / ".env"
    return (parse_env(read_text(env))[0] if env.is_file() else {}) | dict(os.environ)
