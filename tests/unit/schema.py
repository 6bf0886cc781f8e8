"""As much of JSON Schema (2020-12) as docs/reference/log.schema.json uses.

A library would have to be locked and updated, with what it needs itself, for these forty lines.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "array": (list,),
}


def mistakes(value: Mapping[str, Any], schema: Mapping[str, Any], *, strict: bool = False) -> list[str]:
    """What is wrong with a json object by its schema; `strict`: fields that are not in it are wrong, too."""
    known = schema["properties"]
    found = [f"{name}: missing" for name in schema["required"] if name not in value]
    for name, item in value.items():
        if name in known:
            found += (f"{name}: {what}" for what in _of(item, known[name]))
        elif strict:
            found.append(f"{name}: not in the schema")
    return found


def _of(item: Any, schema: Mapping[str, Any]) -> Iterator[str]:
    kind = schema["type"]
    right: bool = isinstance(item, TYPES[kind]) and isinstance(item, bool) == (kind == "boolean")
    if not right:
        yield f"{item!r} is no {kind}"
    elif kind == "array":
        for each in item:
            yield from _of(each, schema["items"])
    elif "enum" in schema and item not in schema["enum"]:
        yield f"{item!r} is not one of {', '.join(schema['enum'])}"
    elif "pattern" in schema and not re.search(schema["pattern"], item):
        yield f"{item!r} does not match {schema['pattern']}"
