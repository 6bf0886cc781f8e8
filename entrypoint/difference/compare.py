"""Which two sides are meant: the other one is what it is called, or what is found under its name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from entrypoint.difference.masks import Mask
from entrypoint.difference.sides import Rendering, Side, from_container, from_folder, in_place, read_record
from entrypoint.environment import in_use, read_env_file
from entrypoint.errors import Refused, UsageError
from entrypoint.host import in_container
from entrypoint.service import Service, find, names

CONTAINER = "container"

Services = Sequence[Service[Any]]


def both(other: str, name: str, env: Mapping[str, str], services: Services, project: str) -> tuple[Side, Side]:
    """The other side, and that of `env`, which is called `name`.

    `services` are those that were asked for; empty: all that make sense.
    """
    if other == CONTAINER:
        return (_with_this_container if in_container() and not project else _with_containers)(
            name, env, services, project
        )
    place = Path(other)
    if place.is_dir():
        return _with_folder(place, name, env, services)
    if not place.exists():
        raise Refused(
            f"cannot compare with {other}: no such file or folder; the running container is called {CONTAINER}"
        )
    return _with_env(place, name, env, services)


def started(env: Mapping[str, str]) -> Services:
    """The services that Compose starts with these variables."""
    return in_use([find(each) for each in names()], env)


def _with_env(place: Path, name: str, env: Mapping[str, str], services: Services) -> tuple[Side, Side]:
    mask, other = Mask(), read_env_file(place)
    before = Rendering(str(place), other, services or started(other))
    after = Rendering(name, env, services or started(env))
    return before.side(mask), after.side(mask)


def _with_folder(place: Path, name: str, env: Mapping[str, str], services: Services) -> tuple[Side, Side]:
    record = read_record(place)
    if not services and record and record.flat:
        services = [find(each) for each in record.services]
    mask = Mask(bytes.fromhex(record.key) if record else b"")
    after = Rendering(name, env, services or started(env))
    before = from_folder(place, after.twins(mask), mask)
    return before, after.side(mask)


def _with_containers(name: str, env: Mapping[str, str], services: Services, project: str) -> tuple[Side, Side]:
    mask, wanted = Mask(), services or started(env)
    after = Rendering(name, env, wanted)
    before = from_container([each.name for each in wanted], project, mask, all_of_them=not services)
    return before, after.side(mask, only=before.services)


def _with_this_container(name: str, env: Mapping[str, str], services: Services, _project: str) -> tuple[Side, Side]:
    mask = Mask()
    service, files = in_place(mask)
    if services and [each.name for each in services] != [service]:
        raise UsageError(f"cannot compare with another service's container: this is {service}'s")
    return Side("in place", {service: files}), Rendering(name, env, [find(service)]).side(mask)
