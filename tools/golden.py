"""Golden files of the log parsers: what each daemon really writes, and what its parser makes of it.

`python -m tools.golden` reads the lines of tests/unit/golden again and writes the fields that the parsers of today
find; `git diff` then shows what a change of a parser means.

`python -m tools.golden FOLDER` takes new lines: FOLDER has a file PARSER.txt for each parser, with lines as the daemon
wrote them, the first of them `# package version`. Of lines of one shape it keeps one. Such a folder is what
`POSTERN_RECORD=FOLDER python -m pytest -m stack tests/stack` writes, for the daemons of our images; for those that have
no image yet the lines were recorded with Debian's packages in a container of their own.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from entrypoint.logs.parsers import parser
from tools.commands import ROOT

FOLDER = ROOT / "tests" / "unit" / "golden"
# Beyond that, a daemon says the same with other words.
LINES_A_FILE = 120
SHAPE_CHARACTERS = 32
# Values that tell one kind of line from another; those of all other fields are different each time.
TELLING = ("level", "status", "reason", "login", "action", "verdict", "command", "module", "function", "process")
_CHANGING = re.compile(
    r"H=\S+(?: \([^)]*\))?|<[^>]*>|\"[^\"]*\"|'[^']*'"
    r"|\b[0-9A-Za-z]{6}-[0-9A-Za-z]{11}-[0-9A-Za-z]{4}\b|\b[0-9a-f]{5,}\b|\S+@\S+|\d+"
)


@dataclass(frozen=True)
class Golden:
    """The recorded lines of one parser, and from which package they are."""

    name: str
    package: str
    lines: tuple[str, ...]

    def text(self) -> str:
        """The golden file: json lines, the first of them about the recording."""
        parse = parser(self.name)
        rows = [{"package": self.package}, *({"line": line, "fields": parse(line)} for line in self.lines)]
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def main(arguments: list[str]) -> int:
    """Write golden files; the exit code."""
    match arguments:
        case []:
            written = [write(golden) for golden in all_golden()]
        case [folder] if Path(folder).is_dir():
            written = [write(recorded(path)) for path in sorted(Path(folder).glob("*.txt"))]
        case _:
            print(__doc__, file=sys.stderr)
            return 64
    print("\n".join(written))
    return 0


def write(golden: Golden) -> str:
    """Write a golden file; what to say about it."""
    path = FOLDER / f"{golden.name}.jsonl"
    path.write_text(golden.text())
    return f"{path.relative_to(ROOT)}: {len(golden.lines)} lines of {golden.package}"


def all_golden() -> Iterator[Golden]:
    """What is checked in."""
    for path in sorted(FOLDER.glob("*.jsonl")):
        first, *rows = map(json.loads, path.read_text().splitlines())
        yield Golden(path.stem, first["package"], tuple(row["line"] for row in rows))


def recorded(path: Path) -> Golden:
    """What a recording has, one line of each shape."""
    package, *lines = path.read_text().splitlines()
    return Golden(path.stem, package.removeprefix("# "), tuple(one_of_each(path.stem, lines))[:LINES_A_FILE])


def one_of_each(name: str, lines: Iterable[str]) -> list[str]:
    """The first line of each shape, in their order."""
    parse = parser(name)
    found: dict[tuple[object, ...], str] = {}
    for line in lines:
        found.setdefault(shape(parse(line)), line)
    return list(found.values())


def shape(fields: dict[str, Any]) -> tuple[object, ...]:
    """What lines of one kind have in common: their fields, those that tell kinds apart, and how they begin."""
    begins = _CHANGING.sub("…", str(fields["event"]))[:SHAPE_CHARACTERS]
    return (begins, *sorted(fields), *(fields.get(name) for name in TELLING))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
