"""What is looked at: variables, where they are from, the services that Compose would start with them, and the folder
that relative paths begin at.

Values are read leniently here: one that is wrong is None, which its own finding explains, and hides no other mistake.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from entrypoint.environment.findings import ERROR, WARNING, Finding
from entrypoint.environment.reading import EnvFile
from entrypoint.errors import SettingsError
from entrypoint.service import Service, known_variables
from entrypoint.settings import concerns
from entrypoint.settings.reading import Reading, read, read_file, values
from entrypoint.settings.schema import Var, variables

COMPOSE = "docker-compose.yaml"  # who has findings about what only the host uses
IN_CONTAINERS = "/run/secrets"
COMPOSE_FILES = (
    "docker-compose.yaml",
    "docker-compose.yml",
    "compose.yaml",
    "compose.yml",
    "docker-compose.override.yaml",
    "docker-compose.override.yml",
    "compose.override.yaml",
    "compose.override.yml",
)


def profiles(env: Mapping[str, str]) -> list[str]:
    """The profiles that Compose starts: those of COMPOSE_PROFILES, or what services without one belong to."""
    given = [name.strip() for name in env.get("COMPOSE_PROFILES", "").split(",") if name.strip()]
    return given or ["local", "global"]


def in_use(services: Iterable[Service[Any]], env: Mapping[str, str]) -> list[Service[Any]]:
    """The services that `env` lets Compose start."""
    wanted = profiles(env)
    return [service for service in services if "*" in wanted or not set(service.profiles).isdisjoint(wanted)]


@dataclass(frozen=True)
class Case:
    """Variables and services. Without a `file` they are a container's, and the host is not looked at."""

    env: Mapping[str, str]
    services: tuple[Service[Any], ...]
    file: EnvFile | None = None

    @classmethod
    def of_file(cls, file: EnvFile, services: Iterable[Service[Any]]) -> Case:
        """What a file is good for, on the host."""
        return cls(file.values, tuple(services), file)

    @cached_property
    def known(self) -> dict[str, Var]:
        """Every variable, by each of its spellings."""
        return {spelling: v for v in known_variables() for spelling in v.spellings()}

    @cached_property
    def folder(self) -> Path:
        """What relative paths of the file begin at: where the compose file is, beside it or here."""
        beside = self.file.path.absolute().parent if self.file else Path.cwd()
        found = (place for place in (beside, Path.cwd()) if any((place / name).is_file() for name in COMPOSE_FILES))
        return next(found, beside)

    @cached_property
    def compose_texts(self) -> tuple[str, ...]:
        """The compose files, as far as they can be read."""
        given = self.env.get("COMPOSE_FILE", "")
        names = given.split(self.env.get("COMPOSE_PATH_SEPARATOR") or ":") if given else COMPOSE_FILES
        return tuple(
            path.read_text(encoding="utf-8", errors="replace")
            for path in (self.folder / name for name in names)
            if path.is_file() and os.access(path, os.R_OK)
        )

    @cached_property
    def readings(self) -> dict[str, Reading[Any] | SettingsError]:
        """What each service, and the compose file, makes of the variables."""
        parts = {service.name: service.settings for service in self.services} | {COMPOSE: concerns.Compose}
        return {name: self._read(settings) for name, settings in parts.items()}

    def _read(self, settings: type) -> Reading[Any] | SettingsError:
        try:
            return read(self.env, settings, known=known_variables(), read_file=self.read_file)
        except SettingsError as error:
            return error

    @cached_property
    def _values(self) -> dict[str, Any]:
        return values(self.env, known_variables(), self.read_file)

    def value(self, name: str) -> Any:
        """The value that a variable has; None where it has none, or a wrong one."""
        return self._values[name]

    def is_given(self, name: str) -> bool:
        """Whether the variable is set, under any of its names."""
        return any(self.env.get(spelling, "").strip() for spelling in self.known[name].spellings())

    def is_closed(self, name: str) -> bool:
        """Whether the variable is in a file that this user may not read."""
        files = (self.env.get(each, "") for each in self.known[name].spellings() if each.endswith("_FILE"))
        return any(_is_closed(self.path(file)) for file in files if file)

    def uses(self, service: str) -> bool:
        """Whether this service is looked at."""
        return any(each.name == service for each in self.services)

    def has_work(self, service: str) -> bool:
        """Whether it also has something to do."""
        return any(each.name == service and each.wanted(self.settings_of(each)) for each in self.services)

    def with_settings(self, concern: type) -> list[Service[Any]]:
        """The services that know a concern's variables."""
        return [service for service in self.services if issubclass(service.settings, concern)]

    def settings_of(self, service: Service[Any]) -> Any:
        """A service's settings, whose fields are None where they cannot be read."""
        fields = variables(service.settings)
        found = values(self.env, fields.values(), self.read_file)
        return SimpleNamespace(**{field: found[v.name] for field, v in fields.items()})

    def path(self, text: str) -> Path:
        """A path as Compose takes it."""
        return self.folder / Path(text).expanduser()

    def host_file(self, name: str) -> Path | None:
        """The file or folder of the host that a variable names."""
        given = self.value(name)
        return self.path(given) if given else None

    def read_file(self, v: Var, path: Path) -> str:
        """A secret: from the host, whose /run/secrets is another one than the containers'."""
        if self.file is None:
            return read_file(v, path)
        try:
            return read_file(v, self.path(str(path)))
        except ValueError:
            if _is_closed(self.path(str(path))):  # told by `files`
                return v.example or "closed"
            if path.is_relative_to(IN_CONTAINERS):
                raise ValueError(
                    "which is a path in containers: name the file on the host, as in ./secrets/NAME"
                ) from None
            raise

    def error(self, text: str, *names: str, services: Iterable[str] = ()) -> Finding:
        """What Compose or a service would refuse, or what would do harm."""
        return self.finding(ERROR, text, names, services)

    def warning(self, text: str, *names: str, services: Iterable[str] = ()) -> Finding:
        """What may be meant so, or will break one day."""
        return self.finding(WARNING, text, names, services)

    def finding(self, severity: str, text: str, names: Iterable[str], services: Iterable[str]) -> Finding:
        """With the lines on which these variables are."""
        names = tuple(names)
        lines = sorted({number for name in names for number in self._lines(name)})
        return Finding(severity, text, names, tuple(lines), tuple(services))

    def _lines(self, name: str) -> tuple[int, ...]:
        if self.file is None:
            return ()
        spellings = self.known[name].spellings() if name in self.known else []
        return next((lines for each in (name, *spellings) if (lines := self.file.lines_of(each))), ())


def _is_closed(path: Path) -> bool:
    """Whether the file may well be there, and is not for this user."""
    try:
        return path.exists() and not os.access(path, os.R_OK)
    except PermissionError:
        return True


def names_used_in(texts: Iterable[str]) -> set[str]:
    """The variables that compose files put in."""
    return {name for text in texts for name in re.findall(r"\$\{?([A-Za-z_]\w*)", text)}
