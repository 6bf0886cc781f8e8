"""A program at a real terminal of its own: what it shows is waited for, and what a person types is typed."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

DEADLINE_S = 60.0
CTRL_C = "\x03"
CTRL_D = "\x04"


class Terminal:
    """The program runs until the context ends."""

    def __init__(self, command: Sequence[str], cwd: Path, env: dict[str, str] | None = None) -> None:
        self.shown = ""
        self._read = 0
        self._here, there = pty.openpty()
        # A terminal sends SIGINT for Ctrl-C to those only whose controlling terminal it is.
        self._process = subprocess.Popen(
            ["setsid", "--ctty", *command], cwd=cwd, stdin=there, stdout=there, stderr=there, env=env
        )
        os.close(there)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._here)

    def until(self, text: str) -> None:
        """Wait for a text, behind the one that was waited for last."""
        end = time.monotonic() + DEADLINE_S
        while text not in self.shown[self._read :]:
            assert time.monotonic() < end, f"{text!r} is not shown:\n{self.shown}"
            assert self._more(), f"it ended without {text!r}:\n{self.shown}"
        self._read = self.shown.index(text, self._read) + len(text)

    def type(self, text: str) -> None:
        """A line; or a control character alone."""
        os.write(self._here, text.encode() if text in {CTRL_C, CTRL_D} else f"{text}\n".encode())

    def answer(self, prompt: str, text: str) -> None:
        self.until(prompt)
        self.type(text)

    def stop(self, key: str) -> int:
        """Its exit code, after Ctrl-C or Ctrl-D.

        The key is typed again while nothing happens: between writing its prompt and reading, Python takes notice of a
        signal, but goes on to read. No person is that quick.
        """
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            self.type(key)
            if select.select([self._here], [], [], 1)[0] and self._said_more_than_the_key():
                return self.end()
        raise AssertionError(f"it goes on:\n{self.shown}")

    def _said_more_than_the_key(self) -> bool:
        before = len(self.shown)
        while self._more(1):
            if self.shown[before:].replace("^C", "").replace("^D", "").strip("\b"):
                return True
        return self._process.poll() is not None

    def end(self) -> int:
        """Its exit code, when everything is read."""
        while self._more():
            pass
        return self._process.wait(DEADLINE_S)

    def _more(self, within_s: float = DEADLINE_S) -> bool:
        if not select.select([self._here], [], [], within_s)[0]:
            return False
        try:
            data = os.read(self._here, 65_536)
        except OSError:  # the other end is closed
            return False
        self.shown += data.decode()
        return bool(data)
