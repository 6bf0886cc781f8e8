"""New files beside those in place: the daemons' own checkers read them there, and nobody else does.

Whatever names a folder of rendered files, in their texts or in a checker's command line, names its
twin below the folder aside then. So what is checked is what will be in place, but for those names.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from entrypoint.check import run_all
from entrypoint.errors import CheckError
from entrypoint.render import Files, write_tree
from entrypoint.service import Command, Service, base_env
from entrypoint.settings import secrets_of


class Aside:
    """The twins of rendered files below `folder`."""

    def __init__(self, folder: Path, files: Files) -> None:
        self.folder = folder
        self._files = files
        tops = {Path(*path.parts[:3]) for path in files}  # /run/config of /run/config/sieve/spam.sieve
        names = "|".join(re.escape(str(top)) for top in sorted(tops))
        self._mention = re.compile(rf"(?<![\w.%/-])(?:{names})(?![\w.-])")

    def text(self, text: str) -> str:
        """The text, with the twins' names for the files'."""
        return self._mention.sub(lambda match: f"{self.folder}{match[0]}", text)

    def files(self) -> Files:
        """The twins."""
        return {self.folder / path.relative_to("/"): self.text(text) for path, text in self._files.items()}

    def command(self, command: Command) -> Command:
        """The command, for the twins."""
        env = {name: self.text(value) for name, value in command.env.items()}
        return replace(command, argv=tuple(map(self.text, command.argv)), env=env)

    def words(self, text: str) -> str:
        """What was said about the twins, as said about the files."""
        return text.replace(str(self.folder), "")

    @contextmanager
    def written(self) -> Iterator[None]:
        """A time in which the twins are there, for nobody but the service's user."""
        shutil.rmtree(self.folder, ignore_errors=True)  # of a check that was killed
        self.folder.mkdir(mode=0o700, parents=True)
        try:
            write_tree(self.files())
            yield
        finally:
            shutil.rmtree(self.folder)


def check_aside(service: Service[Any], settings: Any, files: Files, folder: Path) -> None:
    """CheckError with the words of the first checker that refuses the files."""
    aside = Aside(folder, files)
    commands: Iterable[Command] = map(aside.command, service.checks(settings))
    with aside.written():
        try:
            run_all(commands, base_env(settings), secrets_of(settings))
        except CheckError as error:
            raise CheckError(aside.words(str(error))) from None
