"""Where an import goes: new files that only their owner, or group 0 of the containers, can read."""

from __future__ import annotations

import os
from pathlib import Path

from entrypoint.errors import Refused
from entrypoint.plan import write_atomically


def insist_on_new(paths: list[Path], *, force: bool) -> None:
    """Refused for the first file that is there already, unless it may be replaced."""
    for path in paths:
        if path.is_dir() or (os.path.lexists(path) and not force):
            raise Refused(f"cannot write {path}: it is there already; name another one, or say --force to replace it")


def write(path: Path, text: str, mode: int) -> None:
    """Replace a file; Refused with the reason."""
    try:
        write_atomically(path, text, mode)
    except OSError as error:
        raise Refused(f"cannot write {path}: {error.strerror}") from None


def write_secrets(folder: Path, secrets: dict[str, str]) -> None:
    """A file each, for the owner and its group: containers run in group 0."""
    try:
        folder.mkdir(mode=0o750, parents=True, exist_ok=True)
    except OSError as error:
        raise Refused(f"cannot make {folder}: {error.strerror}") from None
    for name, text in secrets.items():
        write(folder / name, f"{text}\n", 0o640)
