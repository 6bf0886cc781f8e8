"""Log lines by their schema, docs/reference/log.schema.json."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator


def mistakes(value: Mapping[str, Any], schema: Mapping[str, Any], *, strict: bool = False) -> list[str]:
    """What is wrong with a json object by its schema; `strict`: fields that are not in it are wrong, too."""
    whole = {**schema, "additionalProperties": False} if strict else schema
    found = Draft202012Validator(whole).iter_errors(value)
    return [f"{'/'.join(map(str, error.path))}: {error.message}" for error in found]
