"""Files are made aside, in a folder beside their places, and moved at once when all of them are there.

So that whatever ends it before, Ctrl-C or a full disk, leaves nothing: the folder aside is removed. Secret files are
for group 0, in which all containers run, and nobody else.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from entrypoint.errors import Refused

PUBLIC = 0o644
SECRET = 0o640
PRIVATE = 0o600  # for nobody but the owner: no container needs it
FOLDER = 0o750


class Files:
    """The files to be, by their names below `folder`; a context that leaves nothing aside."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.modes: dict[str, int] = {}
        self.moved = False
        self.beside: list[str] = []  # what should be said about the files

    def __enter__(self) -> Self:
        try:
            self.aside = Path(tempfile.mkdtemp(prefix=".entrypoint-init-", dir=self.folder))
        except OSError as error:
            raise Refused(f"cannot write into {self.folder}: {error.strerror}") from None
        return self

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.aside, ignore_errors=True)

    def __iter__(self) -> Iterator[str]:
        return iter(self.modes)

    def add(self, name: str, content: str | Path, mode: int = SECRET) -> None:
        """A file with this text, or with what is in another file, aside for now."""
        place = self.aside / name
        place.parent.mkdir(mode=0o700, exist_ok=True)
        with os.fdopen(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content.encode() if isinstance(content, str) else content.read_bytes())
        self.modes[name] = mode

    def text(self, name: str) -> str:
        """What a file will have in it."""
        return (self.aside / name).read_text(encoding="utf-8")

    def existing(self) -> list[str]:
        """Those whose places are taken."""
        return [name for name in self if os.path.lexists(self.folder / name)]

    def move(self, *, force: bool) -> None:
        """Put all of them into their places. Ctrl-C waits until that is done."""
        self._open_for_containers()
        with _undisturbed():
            for name in self:
                place = self.folder / name
                if force and os.path.lexists(place):
                    place.replace(place.with_name(f"{place.name}~"))
                self._make_folder(place.parent)
                (self.aside / name).replace(place)
            self.moved = True

    def _open_for_containers(self) -> None:
        for name, mode in self.modes.items():
            place = self.aside / name
            if mode != PRIVATE:
                self._give(place)
            place.chmod(mode)

    def _make_folder(self, folder: Path) -> None:
        if folder == self.folder or folder.exists():
            return
        folder.mkdir()
        self._give(folder)
        folder.chmod(FOLDER)

    def _give(self, place: Path) -> None:
        """To group 0, which only root can."""
        if place.stat().st_gid == 0:
            return
        with suppress(PermissionError):
            os.chown(place, -1, 0)
            return
        told = "as root: chgrp -R 0 secrets    (containers run in group 0, and could not read these files)"
        if told not in self.beside:
            self.beside.append(told)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Signals that a person sends wait for the end of the block."""
    ours = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ours)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
