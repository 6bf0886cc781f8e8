"""Stand-ins for secrets: the same for equal ones, different for different ones, and no help to guess them.

They are made with a key that is forgotten after the run, or kept beside the secrets themselves.
"""

from __future__ import annotations

import dataclasses
import hmac
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from entrypoint.plan import SECRETS_DIR
from entrypoint.render import Files
from entrypoint.settings import Secret

HIDDEN = "… a line that these settings do not give, and that may hold a secret"


class Mask:
    """Makes stand-ins with one key."""

    def __init__(self, key: bytes = b"") -> None:
        self.key = key or secrets.token_bytes(32)

    def text(self, secret: str) -> str:
        """The stand-in for a secret: plain characters, which every syntax takes."""
        return f"secret-{hmac.new(self.key, secret.encode(errors='surrogatepass'), 'sha256').hexdigest()[:12]}"

    def settings(self, value: Any) -> Any:
        """The settings, or a part of them, with stand-ins in the places of all secrets."""
        if isinstance(value, Secret):
            return Secret(self.text(value.reveal()))
        if isinstance(value, tuple):
            return tuple(self.settings(part) for part in value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            parts = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
            return dataclasses.replace(value, **{name: self.settings(part) for name, part in parts.items()})
        return value

    def file(self, path: Path, there: str, twins: Twins) -> str:
        """What may be shown of a file that was not rendered here and now.

        Lines as they are rendered get their masked twins. Of a file that has secrets, no other line is shown: it may
        hold one that nobody here knows.
        """
        if path.parent == SECRETS_DIR:
            return self.text(there)
        real, masked = twins.real.get(path, ""), twins.masked.get(path, "")
        if there == real:
            return masked
        known = dict(zip(real.splitlines(), masked.splitlines(), strict=True))
        open_to_all = path in twins.real and real == masked
        lines = (known.get(line) or (line if open_to_all else self._hidden(line)) for line in there.splitlines())
        return "".join(f"{line}\n" for line in lines)

    def _hidden(self, line: str) -> str:
        return f"{HIDDEN} ({self.text(line).removeprefix('secret-')})" if line else ""


@dataclasses.dataclass(frozen=True)
class Twins:
    """The same files with the secrets, and with their stand-ins."""

    real: Files
    masked: Files


def values(settings: Any, mask: Mask) -> Mapping[str, str]:
    """The settings' fields as texts, masked."""
    masked = mask.settings(settings)
    return {field.name: _shown(getattr(masked, field.name)) for field in dataclasses.fields(masked)}


def _shown(value: Any) -> str:
    """A value as a line; its secrets are stand-ins already."""
    if isinstance(value, Secret):
        return value.reveal()
    if isinstance(value, tuple):
        return " ".join(map(_shown, value))
    if dataclasses.is_dataclass(value) and type(value).__str__ is object.__str__:
        return ":".join(_shown(getattr(value, field.name)) for field in dataclasses.fields(value))
    if value is None:
        return ""
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
