"""A real supervisor with real programs, for tests: started, waited for by what it logs, always killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import psutil

from entrypoint.plan import Plan, Program, write_plan
from entrypoint.supervise.become import command

ROOT = Path(__file__).parents[2]
PATIENCE_S = 20.0
ENV = {"PATH": os.environ["PATH"]}

T = TypeVar("T")


def until(found: Callable[[], T | None], what: str = "what was waited for") -> T:
    """The first thing that `found` finds, within a while."""
    deadline = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline:
        result = found()
        if result:
            return result
        time.sleep(0.002)
    raise AssertionError(f"{what} did not come")


def sh(script: str, name: str = "daemon", **fields: Any) -> Program:
    """A program that is a shell script."""
    return Program(**{"name": name, "argv": ("/bin/sh", "-c", script), "env": ENV, **fields})


def python(script: str, name: str = "daemon", **fields: Any) -> Program:
    """A program that is a Python script."""
    return Program(**{"name": name, "argv": (sys.executable, "-u", "-c", script), "env": ENV, **fields})


class Supervised:
    """The second stage with these programs; everything it starts ends with the block."""

    def __init__(self, folder: Path, *programs: Program, stderr: int | None = None, **fields: Any) -> None:
        self.folder = folder
        self.plan_file = folder / "run" / "plan.json"
        self.log_file = folder / "log"
        self._stderr = stderr
        write_plan(
            Plan(**{"service": "test", "version": "1", "programs": programs, "log_format": "json", **fields}),
            self.plan_file,
        )

    def __enter__(self) -> Self:
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-W", "error", *command(self.plan_file)[1:]],
                env={"PATH": os.environ["PATH"], "SECRET": "hunter2"},
                stdout=subprocess.DEVNULL,
                stderr=log if self._stderr is None else self._stderr,
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, why: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and self.log_file.exists():
            sys.stderr.write(self.log_file.read_text())
        for process in self.descendants():
            with suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.kill()
        self.process.wait()

    def descendants(self) -> list[psutil.Process]:
        """Everything below the supervisor."""
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def send(self, number: signal.Signals) -> None:
        """Send the supervisor a signal."""
        self.process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Ask it to stop: its exit code, and how many seconds that took."""
        began = time.monotonic()
        self.send(number)
        return self.exit_code(), time.monotonic() - began

    def exit_code(self) -> int:
        """Its exit code, when it has ended."""
        return self.process.wait(PATIENCE_S)

    def log(self) -> list[dict[str, Any]]:
        """Everything logged so far."""
        whole, _, _ = self.log_file.read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def logged(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """The lines with this event and these fields."""
        return [line for line in self.log() if line["event"] == event and fields.items() <= line.items()]

    def wait_for(self, event: str, *, times: int = 1, **fields: Any) -> dict[str, Any]:
        """The line with this event and these fields, as soon as it has come so many times."""

        def found() -> dict[str, Any] | None:
            lines = self.logged(event, **fields)
            return lines[-1] if len(lines) >= times else None

        return until(found, f"{event} {fields}")

    def state(self) -> dict[str, Any]:
        """What state.json holds."""
        state: dict[str, Any] = json.loads((self.folder / "run" / "state.json").read_text())
        return state

    def wait_until(self, state: str, name: str = "daemon") -> dict[str, Any]:
        """The program's entry in state.json, as soon as it is in this state."""

        def found() -> dict[str, Any] | None:
            file = self.folder / "run" / "state.json"
            entry: dict[str, Any] = self.state()["programs"][name] if file.exists() else {}
            return entry if entry.get("state") == state else None

        return until(found, f"state {state}")


def written(file: Path) -> str:
    """What a program has written to a file; nothing while it is not there."""
    return file.read_text().strip() if file.exists() else ""


def alive(pid: int) -> bool:
    """Whether a process is there, and not only waited for."""
    try:
        status: str = psutil.Process(pid).status()
    except psutil.NoSuchProcess:
        return False
    return status != psutil.STATUS_ZOMBIE
