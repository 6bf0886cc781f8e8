""".venv in the checkout: this package, editable, and the development tools, exactly as locked.

Made anew whenever what it was made from has changed; a half-made one does not count, since the stamp is written last.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import sys
import tomllib
from pathlib import Path

from tools.commands import ROOT, work
from tools.console import Step, ToolError
from tools.machine import apt

VENV = ROOT / ".venv"
LOCK = ROOT / "requirements-dev.lock"
PROJECT = ROOT / "pyproject.toml"
STAMP = VENV / "made-from"
OLDEST = (3, 11)


def set_up(step: Step) -> None:
    """Make .venv what the lock says."""
    fingerprint = fingerprint_of(sys.version_info[:2], LOCK, PROJECT)
    if STAMP.is_file() and STAMP.read_text() == fingerprint:
        step.outcome = f"ok: {VENV.name}"
        return
    require_python(step)
    step.say(f"making {VENV.name} with Python {sys.version_info.major}.{sys.version_info.minor}")
    shutil.rmtree(VENV, ignore_errors=True)
    work([sys.executable, "-m", "venv", str(VENV)], log="venv", say=step.say)
    install(step, "--require-hashes", "--requirement", str(LOCK))
    # Isolation would fetch the build tools a second time, and unlocked.
    install(step, "--no-deps", "--no-build-isolation", "--editable", str(ROOT))
    STAMP.write_text(fingerprint)
    step.done(f"made {VENV.name}")


def install(step: Step, *what: str) -> None:
    """Let the new environment's own pip install something."""
    pip = [str(VENV / "bin/python"), "-m", "pip", "--disable-pip-version-check", "install"]
    work([*pip, *what], log="venv", say=step.say)


def fingerprint_of(python: tuple[int, ...], lock: Path, project: Path) -> str:
    """A line that changes with the Python version, the lock, and what pyproject.toml says of the package itself."""
    package = tomllib.loads(project.read_text())
    # Settings of linters and the like come and go; they need no new environment.
    package.pop("tool", None)
    return hashlib.sha256(repr((python, lock.read_bytes(), package)).encode()).hexdigest()


def require_python(step: Step) -> None:
    """ToolError, or Debian's package, where this Python cannot make an environment."""
    if sys.version_info[:2] < OLDEST:
        raise ToolError(f"cannot use Python {sys.version.split()[0]}: {'.'.join(map(str, OLDEST))} or newer is needed")
    if importlib.util.find_spec("ensurepip") is None:
        apt.install(["python3-venv"], step.say)
