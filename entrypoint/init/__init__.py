"""`entrypoint init`: from a few questions to an `.env`, its secret files, a DKIM key and the DNS records.

One straight line: answers → files, all of them made aside → a look at what is there → moved into place → `check`.
Nothing that exists is overwritten, unless that is asked for, and then the old file stays beside the new one.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from entrypoint.console import BOLD, DIM, GREEN, YELLOW, has_colour, paint, table
from entrypoint.errors import Refused
from entrypoint.init.answers import Answers
from entrypoint.init.content import fill
from entrypoint.init.dialogue import Flags, Terminal
from entrypoint.init.questions import collect
from entrypoint.init.steps import next_steps
from entrypoint.init.write import Files


def main(given: Mapping[str, str], folder: Path, *, force: bool, ask: bool) -> int:
    """The exit code: 0 when all is written, whatever is left to do. `given` are the answers of the command line."""
    if not folder.is_dir():
        raise Refused(f"cannot write into {folder}: there is no such folder; make it, or name another one (--folder)")
    dialogue = Terminal(given) if ask else Flags(given)
    files = Files(folder)
    try:
        answers = collect(dialogue)
        with files:
            fill(answers, files)
            if not _settled(answers, files, dialogue, force=force):
                print("nothing was written")
                return 1
            files.move(force=force)
    except (KeyboardInterrupt, EOFError):
        print(f"\nentrypoint: stopped; {'everything' if files.moved else 'nothing'} was written", file=sys.stderr)
        return 130
    _tell_the_rest(folder, answers, files.beside)
    return 0


def _settled(answers: Answers, files: Files, dialogue: Flags, *, force: bool) -> bool:
    """Whether to write; Refused when something is in the way."""
    on = has_colour()
    there = files.existing()
    rows = [
        {"file": str(name), "mode": f"{files.modes[name]:o}", "state": _state(name in there, force)} for name in files
    ]
    print(f"\n{paint('Summary', BOLD, on=on)}")
    print("\n".join(f"  {line}" for line in answers.summary()))
    colours = {"new": GREEN, "exists": YELLOW, "replaces": YELLOW}
    print(f"\n{table(('file', 'mode', 'state'), rows, colours=colours, coloured=on)}")
    if there and not force:
        print(f"\n{paint('.env would be:', BOLD, on=on)}\n\n{files.text('.env')}")
        raise Refused(
            f"cannot write {' and '.join(map(str, there))}: {'it exists' if len(there) == 1 else 'they exist'}, and "
            "nothing was written; --force replaces them and keeps the old ones as NAME~"
        )
    return dialogue.agree(f"Write {'these files' if len(rows) > 1 else 'this file'} into {files.folder.resolve()}?")


def _state(exists: bool, force: bool) -> str:
    return ("replaces the old one, kept as NAME~" if force else "exists") if exists else "new"


def _tell_the_rest(folder: Path, answers: Answers, notes: Sequence[str]) -> None:
    """What `check` says to it, and what comes next."""
    on = has_colour()
    print(paint(f"\nentrypoint check --env-file {folder / '.env'}", DIM, on=on), flush=True)
    command = [sys.executable, "-m", "entrypoint", "check", "--env-file", ".env"]
    subprocess.run(command, cwd=folder, check=False)
    print(f"\n{paint('Next', BOLD, on=on)}")
    for number, step in enumerate(next_steps(answers, folder, notes), 1):
        print(f"{number}. {step}")
