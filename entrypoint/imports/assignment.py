"""NAME=value as Compose and `check` read it: quoted as far as it needs to be."""

from __future__ import annotations

import re

from entrypoint.settings.kinds import has_controls

_PLAIN = re.compile(r"[A-Za-z0-9_./@%+=,:&|()*~-]+(?: [A-Za-z0-9_./@%+=,:&|()*~-]+)*")


def assignment(name: str, value: str) -> str:
    """NAME=value, quoted as far as it needs to be; ValueError for a value that no `.env` can hold."""
    if has_controls(value.replace("\n", "")):
        raise ValueError("has control characters")
    if not value or _PLAIN.fullmatch(value):
        return f"{name}={value}"
    if value.endswith("\\") or "\\'" in value:  # what single quotes cannot hold
        escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
        return f'{name}="{escaped}"'
    quoted = value.replace("'", "\\'")
    return f"{name}='{quoted}'"
