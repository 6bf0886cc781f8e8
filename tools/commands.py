"""Run other programs: short questions quietly, long work with a log file and a sign of life.

Nothing goes through a shell, so no value can become a command.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tools.console import ToolError

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / ".cache"

SIGN_OF_LIFE_S = 15.0
TAIL_LINES = 25


def ask(*command: str, timeout_s: float = 20) -> str | None:
    """What the command prints, stripped; None when it is missing, fails or takes too long."""
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def work(
    command: Sequence[str],
    *,
    log: str,
    say: Callable[[str], None],
    env: Mapping[str, str] | None = None,
    cwd: Path = ROOT,
    timeout_s: float = 1800,
) -> Path:
    """Run long work to its end and return its log, .cache/LOG.log.

    Every quarter of a minute `say` gets the last line of output. Fails with the last lines of the log.
    """
    path = log_path(log)
    with path.open("wb") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(env or {})},
            cwd=cwd,
        )
        try:
            code = wait_with_signs_of_life(child, path, say, timeout_s)
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
    if code:
        raise ToolError(f"cannot finish {command[0]} (exit code {code}); the end of {path}:", *tail(path))
    return path


def wait_with_signs_of_life(
    child: subprocess.Popen[bytes], log: Path, say: Callable[[str], None], timeout_s: float
) -> int:
    """The child's exit code; ToolError when it is still running after `timeout_s`."""
    waited_s = 0.0
    while waited_s < timeout_s:
        pause_s = min(SIGN_OF_LIFE_S, timeout_s - waited_s)
        try:
            return child.wait(pause_s)
        except subprocess.TimeoutExpired:
            waited_s += pause_s
            say(f"… {waited_s:.0f} s: {(tail(log, 1) or ['no output yet'])[0][:100]}")
    raise ToolError(f"cannot finish: no end after {timeout_s:.0f} s; the end of {log}:", *tail(log))


def log_path(name: str) -> Path:
    """Where the output of this work goes."""
    CACHE.mkdir(exist_ok=True)
    return CACHE / f"{name}.log"


def tail(path: Path, lines: int = TAIL_LINES) -> list[str]:
    """The last lines of a log that say something."""
    text = path.read_text(errors="replace")
    return [line.rstrip() for line in text.splitlines() if line.strip()][-lines:]
