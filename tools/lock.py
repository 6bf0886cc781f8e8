"""Write the lock files anew: the newest versions that pyproject.toml allows, for every Python that it allows.

No address of an index gets into them, so that they are good wherever the packages come from: the hashes decide.
"""

from __future__ import annotations

import sys

from tools.commands import ROOT, work
from tools.console import ToolError, step

LOCKS = {"requirements.lock": (), "requirements-dev.lock": ("--extra", "dev")}
COMPILE = (
    ".venv/bin/uv",
    "pip",
    "compile",
    "--upgrade",
    "--universal",
    "--generate-hashes",
    "--no-emit-index-url",
    "--custom-compile-command=make lock",
)


def main() -> int:
    """Write both; the exit code."""
    try:
        for lock, extras in LOCKS.items():
            with step("lock") as current:
                work([*COMPILE, *extras, "pyproject.toml", "--output-file", lock], log="lock", say=current.say)
                packages = (ROOT / lock).read_text().count("==")
                current.done(f"{lock}: {packages} packages")
    except ToolError:
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
