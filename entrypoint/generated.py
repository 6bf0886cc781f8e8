"""Passwords that nobody outside needs, made by the service that starts first when a person has given none.

They are kept on a volume that only the services with this variable have: the others read them there, and so does every
later start. Whoever makes one writes it beside its place and links it there, which only one can: services that start at
the same time agree. A new one is made when the file is removed.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from entrypoint.errors import CheckError
from entrypoint.service import Service, known_variables
from entrypoint.settings import read
from entrypoint.settings.schema import Var, variables

_BYTES = 32
_MODE = 0o640  # for group 0, which all containers run in


def wanted(service: Service[Any], env: Mapping[str, str]) -> list[Var]:
    """The variables whose secrets are made, as the environment gives none."""
    generated = (v for v in variables(service.settings).values() if v.generated)
    return [v for v in generated if not any(env.get(name, "").strip() for name in v.spellings())]


def make_missing(service: Service[Any], env: Mapping[str, str]) -> None:
    """Make the secrets that are wanted and not there; CheckError, with the cure, where that cannot be.

    Other mistakes in the settings come first: SettingsError, and nothing is made.
    """
    missing = [v for v in wanted(service, env) if not v.file.exists()]
    if missing:
        read(env, service.settings, known=known_variables())
    for v in missing:
        try:
            make(v.file)
        except OSError as error:
            raise CheckError(
                f"cannot make {v.file}, as {v.name} is not set: {error.strerror}; mount a volume at {v.generated} in "
                f"which group 0 may write, or give {v.name} or {v.name}_FILE"
            ) from None


def make(file: Path) -> None:
    """A secret in `file`, whole, unless there is one."""
    aside = file.with_name(f".{file.name}.{secrets.token_hex(8)}")  # the number of PID 1 is the same in all containers
    try:
        _write(aside, secrets.token_urlsafe(_BYTES))
        with suppress(FileExistsError):
            file.hardlink_to(aside)
    finally:
        aside.unlink(missing_ok=True)


def _write(file: Path, text: str) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _MODE)
    with os.fdopen(descriptor, "w", encoding="ascii") as stream:
        os.fchmod(descriptor, _MODE)  # the umask must not decide
        stream.write(f"{text}\n")
        stream.flush()
        os.fsync(descriptor)
