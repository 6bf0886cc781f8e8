"""What is written from the code: python -m tools.reference [--check].

docs/reference/settings.md and examples/full.env as a whole; of cli.md, what `entrypoint … --help` prints. Unit tests
compare all of them with the code.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from entrypoint.reference import env_file, markdown
from entrypoint.reference.catalogue import sections

ROOT = Path(__file__).resolve().parent.parent
SETTINGS_FILE = ROOT / "docs" / "reference" / "settings.md"
FULL_ENV_FILE = ROOT / "examples" / "full.env"
CLI_FILE = ROOT / "docs" / "reference" / "cli.md"
HELP_BLOCK = re.compile(r"(```console\n\$ entrypoint (.*--help)\n)(?:(?!```).*\n)*```")


def main() -> int:
    """Write the files, or say whether they are as they should be; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.reference", description="Write what the code says.")
    parser.add_argument("--check", action="store_true", help="only say whether the files are up to date")
    wanted = files()
    if not parser.parse_args().check:
        for file, content in wanted.items():
            file.write_text(content, encoding="utf-8")
        return 0
    old = [file for file, content in wanted.items() if file.read_text(encoding="utf-8") != content]
    for file in old:
        print(f"{file.relative_to(ROOT)} is not what the code says: make reference", file=sys.stderr)
    return 1 if old else 0


def files() -> dict[Path, str]:
    """Each file, and what has to be in it."""
    return {
        SETTINGS_FILE: markdown.text(sections()),
        FULL_ENV_FILE: env_file.text(sections()),
        CLI_FILE: with_help(CLI_FILE.read_text(encoding="utf-8")),
    }


def with_help(page: str) -> str:
    """The page, with what each `$ entrypoint … --help` of it prints below it."""
    return HELP_BLOCK.sub(lambda block: f"{block[1]}{help_of(block[2].split())}```", page)


def help_of(arguments: Sequence[str]) -> str:
    """What the command line prints, 80 columns wide."""
    env = {**os.environ, "COLUMNS": "80", "NO_COLOR": "1"}
    command = [sys.executable, "-m", "entrypoint", *arguments]
    return subprocess.run(command, env=env, cwd=ROOT, capture_output=True, text=True, check=True, timeout=60).stdout


if __name__ == "__main__":
    sys.exit(main())
