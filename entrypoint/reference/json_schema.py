"""The settings as JSON Schema (draft 2020-12), for programs that write or read them.

An instance is an object of variables: numbers and booleans as JSON has them, everything else as text. A program that
takes it from an .env turns "25" into 25, "yes" into true, and leaves out what is empty.

What it says is never stricter than the code, but for blanks, and for capitals in a word of a list. Contradictions
between variables are `entrypoint check`'s alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from entrypoint import service
from entrypoint.reference.catalogue import Section, sections
from entrypoint.settings.reading import prefixes
from entrypoint.settings.schema import REQUIRED, Like, Var, variables

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TYPES = ("boolean", "integer", "number")
_DEFAULT_PROFILES = ("local", "global")


def schema(chosen: Sequence[Section], service_name: str = "") -> Schema:
    """For all services together, or for one; `chosen` are the variables to describe."""
    told = {v.name: v for section in reversed(chosen) for v in reversed(section.variables)}
    ordered = dict.fromkeys(v.name for section in chosen for v in section.variables)
    properties: Schema = {}
    for name in ordered:
        properties |= _properties(told[name], chosen)
    return {
        "$schema": DIALECT,
        "title": f"Postern's settings{f' for {service_name}' if service_name else ''}",
        "description": "Environment variables; those of an .env file beside docker-compose.yaml.",
        "type": "object",
        "properties": properties,
        "propertyNames": _names(),
        "dependentSchemas": {name: {"properties": {f"{name}_FILE": False}} for name in ordered if told[name].secret},
        "allOf": _required(set(ordered), service_name),
    }


def _properties(v: Var, chosen: Iterable[Section]) -> Schema:
    """The variable, its file, and its old names."""
    found: Schema = {v.name: _property(v, chosen)}
    if v.secret:
        found[f"{v.name}_FILE"] = {
            "type": "string",
            "pattern": "/",
            "description": f"path of a file with {v.name}, instead of it",
            "examples": [v.file_sample.partition("=")[2]],
        }
    for old in v.old:
        found[old] = _old(v.name)
        if v.secret:
            found[f"{old}_FILE"] = _old(f"{v.name}_FILE")
    return found


def _old(name: str) -> Schema:
    return {"$ref": f"#/properties/{name}", "description": f"old name of {name}", "deprecated": True}


def _property(v: Var, chosen: Iterable[Section]) -> Schema:
    found: Schema = {"description": f"{v.meaning} ({v.kind.accepts})", "type": "string", **v.kind.json}
    if v.kind.pattern:
        found["pattern"] = f"^(?:{v.kind.pattern})$"
    if isinstance(v.default, str) and v.default and not v.secret:
        found["default"] = _typed(v, v.default)
    if isinstance(v.default, Like):
        found["x-default-made-of"] = str(v.default)
    if v.example:
        found["examples"] = [_typed(v, v.example)]
    if v.secret:
        found["writeOnly"] = True
    if not v.kind.used:
        found["x-does-nothing-yet"] = True
    if v.old:
        found["x-old-names"] = list(v.old)
    homes = [section for section in chosen if any(v.name == other.name for other in section.variables)]
    readers = sorted({reader for home in homes for reader in home.readers})
    return found | {"x-since": v.since, "x-read-by": readers, "x-concern": homes[0].title}


def _typed(v: Var, text: str) -> Any:
    return v.kind.parse(text) if v.kind.json.get("type") in _TYPES else text


def _names() -> Schema:
    """As `reading` has it: a name that begins as ours do, but is none, is a mistake."""
    known = sorted({name for section in sections() for v in section.variables for name in v.spellings()})
    ours = prefixes(name for v in service.known_variables() for name in v.spellings())
    return {
        "anyOf": [
            {"enum": known},
            {"not": {"pattern": f"^(?:{'|'.join(sorted(ours))})"}},
        ]
    }


def _required(names: set[str], service_name: str) -> list[Schema]:
    if service_name:
        return _needed(names, [service_name])
    found = []
    profiles_of = {name: service.find(name).profiles for name in service.names()}
    for profile in sorted({profile for profiles in profiles_of.values() for profile in profiles}):
        services = [name for name, profiles in profiles_of.items() if profile in profiles]
        if needed := _needed(names, services):
            found.append({"if": _starts(profile), "then": {"allOf": needed}})
    return found


def _needed(described: set[str], services: Iterable[str]) -> list[Schema]:
    """Each variable that one of the services cannot do without, under one of its names."""
    known = [v for name in services for v in variables(service.find(name).settings).values()]
    needed = {v.name: v.spellings() for v in known if v.default is REQUIRED and v.name in described}
    alone: Schema = {"required": [name for name, spellings in needed.items() if len(spellings) == 1]}
    others = [{"anyOf": [{"required": [name]} for name in names]} for names in needed.values() if len(names) > 1]
    return [alone, *others] if alone["required"] else others


def _starts(profile: str) -> Schema:
    """That Compose starts the profile: when it is named, or by default."""
    named: Schema = {"properties": {"COMPOSE_PROFILES": {"pattern": rf"(?:^|[,\s]){profile}(?:[,\s]|$)"}}}
    return named if profile in _DEFAULT_PROFILES else {**named, "required": ["COMPOSE_PROFILES"]}
