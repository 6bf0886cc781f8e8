"""The two sides of a comparison: what is rendered here, what a folder holds, what a container runs with."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from entrypoint import boot
from entrypoint.copies import FOLDER as COPIES
from entrypoint.copies import with_copies
from entrypoint.difference.masks import Mask, Twins, values
from entrypoint.errors import Refused, SettingsError, Unavailable
from entrypoint.host import container_of, docker
from entrypoint.plan import (
    ENVIRONMENT_FILE,
    PLAN_FILE,
    RUN_DIR,
    SECRETS_DIR,
    Plan,
    kept_environment,
    read_plan,
    write_atomically,
)
from entrypoint.render import Files, render_tree, write_tree
from entrypoint.service import Service, find, known_variables
from entrypoint.settings import concerns, read, variables
from entrypoint.settings.concerns import Smarthost
from entrypoint.settings.reading import ReadFile, read_file
from entrypoint.settings.schema import Var

RECORD = ".masked.json"  # what `render --out` leaves beside the files: how they may be shown
SETTINGS = Path("settings")  # no file, but what some variables change and no file shows
_PYTHON = "/opt/postern/venv/bin/python"
_DKIM = "/run/secrets/dkim-privkey"

Services = Iterable[Service[Any]]


@dataclass(frozen=True)
class Side:
    """Files of services by path, all masked. `""` is the service of what belongs to none."""

    name: str
    services: Mapping[str, Files]
    notes: tuple[str, ...] = ()


@dataclass
class _Notes:
    """What has to be said about a side, each once."""

    found: dict[str, None] = field(default_factory=dict)

    def add(self, note: str) -> None:
        self.found[note] = None


# --- an environment


class Rendering:
    """What variables give for services, read once; SettingsError with all mistakes of all services."""

    def __init__(self, name: str, env: Mapping[str, str], services: Services) -> None:
        self.name = name
        self.env = env
        self.services = {service.name: service for service in services}
        self._notes = _Notes()
        self._settings = _read_all(name, env, self.services, _secrets_reader(self._notes))
        for service in self.services:
            self._settings[service] = with_host_keys(self._settings[service], env, self._notes.add)

    def side(self, mask: Mask, only: Iterable[str] | None = None) -> Side:
        """The files of all services, or of some, and the variables themselves."""
        files: dict[str, Files] = {"": {SETTINGS: _settings_text(self._settings.values(), self.env, mask)}}
        for name in self.services if only is None else only:
            files[name] = rendered(self.services[name], mask.settings(self._settings[name]))
        return Side(self.name, files, tuple(self._notes.found))

    def twins(self, mask: Mask) -> dict[str, Twins]:
        """The files of all services with the secrets, and with stand-ins."""
        return {name: twins(service, self._settings[name], mask) for name, service in self.services.items()}


def rendered(service: Service[Any], settings: Any) -> Files:
    """All files of the service, with its plan."""
    settings = with_copies(settings)
    return {**render_tree(service, settings), PLAN_FILE: plan_text(boot.plan(service, settings))}


def twins(service: Service[Any], settings: Any, mask: Mask) -> Twins:
    """The files with the secrets, and with stand-ins."""
    return Twins(rendered(service, settings), rendered(service, mask.settings(settings)))


def plan_text(plan: Plan) -> str:
    """The plan without what differs from machine to machine, or by the time."""
    programs = tuple(replace(p, argv=("python3", *p.argv[1:])) if p.kind == "job" else p for p in plan.programs)
    return replace(plan, programs=programs, watch={}, expires={}, files=()).to_json()


def with_host_keys(settings: Any, env: Mapping[str, str], note: Callable[[str], None]) -> Any:
    """The settings with DKIM_PRIVKEY_FILE, where the keys are on the host, in place of what Compose makes of it."""
    place = env.get("DKIM_PRIVKEY_FILE")
    if not place or not isinstance(settings, Smarthost) or settings.dkim_keys != _DKIM or os.access(_DKIM, os.F_OK):
        return settings
    try:
        Path(place).stat()
        Path(place, "example.org.pem").exists()  # a folder that may not be entered has no answer
    except OSError as error:
        note(f"cannot see DKIM_PRIVKEY_FILE={place}: {error.strerror}; /run/config/dkim is shown without keys")
        return settings
    return replace(settings, dkim_keys=place)


def _read_all(
    name: str, env: Mapping[str, str], services: Mapping[str, Service[Any]], reading: ReadFile
) -> dict[str, Any]:
    known = known_variables()
    found: dict[str, Any] = {}
    mistakes: set[str] = set()
    wanted: dict[str, type[Any]] = {each: service.settings for each, service in services.items()}
    for service, settings in {**wanted, "": concerns.Compose}.items():
        try:
            found[service] = read(env, settings, known=known, read_file=reading).settings
        except SettingsError as error:
            mistakes |= {f"{name}: {mistake}" for mistake in error.mistakes}
    if mistakes:
        raise SettingsError(sorted(mistakes))
    return found


def _secrets_reader(notes: _Notes) -> ReadFile:
    """Reads files of secrets; those that cannot be read, without root, get something in their place, and are told."""

    def reading(v: Var, path: Path) -> str:
        try:
            return read_file(v, path)
        except ValueError as error:
            if not path.is_relative_to("/run/secrets"):  # there in the container only
                notes.add(f"{v.name}_FILE={path}, {error}: whether this secret differs is not known")
            return v.example or f"not known: {path}"

    return reading


def _settings_text(settings: Iterable[Any], env: Mapping[str, str], mask: Mask) -> str:
    """Every variable with its value, given or by default."""
    found = {"COMPOSE_PROFILES": env.get("COMPOSE_PROFILES", "")}
    for each in settings:
        names = {field: v.name for field, v in variables(type(each)).items()}
        found |= {names[field]: text for field, text in values(each, mask).items()}
    return "".join(f"{name}={found[name]}\n" for name in sorted(found, key=str.upper))


# --- a folder


@dataclass(frozen=True)
class Record:
    """What `render --out` keeps: the key of the stand-ins, and by service and path, what may be shown of a file."""

    key: str
    flat: bool  # the files of one service, without a folder of its name
    services: Mapping[str, Mapping[str, Mapping[str, str]]]


def write_folder(
    out: Path, services: Mapping[str, tuple[Service[Any], Any]], env: Mapping[str, str], *, flat: bool
) -> list[Path]:
    """Write the files of services, by name with their settings, below `out`, and the record.

    Returns what was written, without the record. `flat` is for one service: no folder of its name.
    """
    mask = Mask()
    written: list[Path] = []
    record: dict[str, dict[str, dict[str, str]]] = {}
    for name, (service, settings) in services.items():
        made = twins(service, with_host_keys(settings, env, _say), mask)
        below = out if flat else out / name
        write_tree(made.real, below)
        record[name] = {
            str(path): {"sha256": _hash(text), "masked": mask_of(path, text, made, mask)}
            for path, text in made.real.items()
        }
        written += [below / path.relative_to("/") for path in made.real]
    kept = Record(mask.key.hex(), flat, record)
    write_atomically(out / RECORD, json.dumps(dataclasses.asdict(kept)))
    return written


def _say(note: str) -> None:
    print(f"note: {note}", file=sys.stderr)


def mask_of(path: Path, text: str, made: Twins, mask: Mask) -> str:
    """The masked text of a rendered file."""
    return mask.text(text) if path.parent == SECRETS_DIR else made.masked[path]


def read_record(folder: Path) -> Record | None:
    """The record of a folder; None where nobody has left a good one."""
    try:
        data = json.loads((folder / RECORD).read_text(encoding="utf-8"))
        bytes.fromhex(data["key"])
        return Record(**data)
    except (OSError, ValueError, TypeError, KeyError):
        return None


def _hash(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def from_folder(folder: Path, now: Mapping[str, Twins], mask: Mask) -> Side:
    """What a folder holds of the services in `now`, as they are rendered now."""
    record = read_record(folder)
    files: dict[str, Files] = {}
    notes = _Notes()
    for service, made in now.items():
        below = folder / service if (folder / service).is_dir() else folder
        kept = record.services.get(service, {}) if record else {}
        files[service] = _read_folder(below, kept, made, mask, notes)
        if not files[service]:
            raise Refused(f"cannot compare {service} with {below}: there are none of its files; write them by --out")
    return Side(str(folder), files, tuple(notes.found))


def _read_folder(below: Path, kept: Mapping[str, Any], now: Twins, mask: Mask, notes: _Notes) -> Files:
    found: dict[Path, str] = {}
    for file in sorted((below / "run").rglob("*")):
        path = Path("/") / file.relative_to(below)
        if not _is_of_interest(path, now) or not file.is_file():
            continue
        try:
            text = file.read_text(encoding="utf-8", errors="replace")
        except OSError as error:
            raise Refused(f"cannot read {file}: {error.strerror}") from None
        known = kept.get(str(path), {})
        if known.get("sha256") == _hash(text):
            found[path] = known["masked"]
            continue
        found[path] = mask.file(path, _plan_of(text) if path == PLAN_FILE else text, now)
        if found[path] != now.masked.get(path):
            notes.add(f"{below} is not as --out has left it: of files with secrets, lines that differ are hidden")
    return found


def _is_of_interest(path: Path, now: Twins) -> bool:
    """Whether this is where rendered files are: a copy of /run has much else."""
    tops = {Path(*each.parts[:3]) for each in now.real if not each.is_relative_to(RUN_DIR)}
    return path == PLAN_FILE or path.parent == SECRETS_DIR or any(path.is_relative_to(top) for top in tops)


def _plan_of(text: str) -> str:
    try:
        return plan_text(Plan.from_json(text))
    except (ValueError, TypeError, KeyError):
        return text


# --- a container


def from_container(services: Iterable[str], project: str, mask: Mask, *, all_of_them: bool) -> Side:
    """What the containers of these services run with, masked in the container itself.

    With `all_of_them`, services that do not run are only told; Unavailable when none does.
    """
    files: dict[str, Files] = {}
    notes = _Notes()
    for service in services:
        try:
            files[service] = _asked(service, project, mask)
        except Unavailable as error:
            if not all_of_them:
                raise
            notes.add(str(error))
    if not files:
        raise Unavailable("; ".join(notes.found))
    return Side("the container", files, tuple(notes.found))


def _asked(service: str, project: str, mask: Mask) -> Files:
    container = container_of(service, project)
    command = ("exec", "--interactive", container, _PYTHON, "-P", "-m", "entrypoint.difference.place")
    try:
        told = json.loads(docker(*command, stdin=mask.key.hex()))
    except (Unavailable, ValueError) as error:
        raise Unavailable(
            f"cannot read the files of {service}: {error}; if its image is older than this program: make images, "
            "docker compose up -d"
        ) from None
    return {Path(path): text for path, text in told.items()}


def in_place(mask: Mask, run_dir: Path = RUN_DIR, root: Path = Path("/")) -> tuple[str, Files]:
    """The service of this container, and its files as they are, masked by what the container was started with."""
    try:
        plan = read_plan(run_dir / PLAN_FILE.name)
        env = kept_environment(run_dir / ENVIRONMENT_FILE.name)
    except OSError as error:
        raise Unavailable(f"cannot read {error.filename}: {error.strerror}; the service has not started yet") from None
    service = find(plan.service)
    made = twins(service, read(env, service.settings, known=known_variables()).settings, mask)
    found = {PLAN_FILE: plan_text(plan)}
    for path in map(Path, plan.files):
        file = root / path.relative_to("/")
        if not path.is_relative_to(COPIES) and file.exists():  # copies are keys, and no variable changes them
            found[path] = mask.file(path, file.read_text(encoding="utf-8", errors="replace"), made)
    return plan.service, found
