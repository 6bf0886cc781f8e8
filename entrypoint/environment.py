"""`.env` files, and checking them for several services at once on the host."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from entrypoint.errors import Refused, SettingsError
from entrypoint.service import Service, known_variables
from entrypoint.settings import read

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\", "$": "$"}


def read_env_file(path: Path) -> dict[str, str]:
    """The variables of an `.env` file in compose's syntax; SettingsError names each bad line."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Refused(f"cannot read {path}: {error}") from None
    found: dict[str, str] = {}
    mistakes = []
    for number, line in enumerate(lines, 1):
        try:
            found.update(_assignment(line))
        except ValueError as error:
            mistakes.append(f"{path}, line {number}: {error}")
    if mistakes:
        raise SettingsError(mistakes)
    return found


def _assignment(line: str) -> dict[str, str]:
    if not line.strip() or line.lstrip().startswith("#"):
        return {}
    match = _LINE.fullmatch(line.strip())
    if not match:
        raise ValueError("is not NAME=value")
    return {match[1]: _value(match[2])}


def _value(text: str) -> str:
    quote = text[:1]
    if quote not in ("'", '"') or not quote:
        return re.sub(r"\s+#.*$", "", text).strip()
    body = re.match(r"'([^']*)'|\"((?:[^\"\\]|\\.)*)\"", text)
    if not body:
        raise ValueError(f"has a {quote} that is never closed")
    if quote == "'":
        return body[1]
    return re.sub(r"\\(.)", lambda m: _ESCAPES.get(m[1], m[0]), body[2])


def check_settings(services: Iterable[Service[Any]], env: Mapping[str, str]) -> int:
    """Print what is wrong for each service; 0 when nothing is, else 78."""
    known = known_variables()
    mistakes: dict[str, list[str]] = {}
    for service in services:
        try:
            reading = read(env, service.settings, known=known)
        except SettingsError as error:
            for mistake in error.mistakes:
                mistakes.setdefault(mistake, []).append(service.name)
        else:
            print(f"{service.name:<18} good" + "".join(f"\n  {w}" for w in reading.warnings))
    for mistake, names in sorted(mistakes.items()):
        print(f"{mistake}\n    ({', '.join(names)})", file=sys.stderr)
    return Refused.exit_code if mistakes else 0
