"""Two sides as a unified diff, file by file, for people and for programs that read diffs."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from pathlib import Path

from entrypoint.console import BOLD, GREEN, RED, paint
from entrypoint.difference.sides import SETTINGS, Side
from entrypoint.render import Files

_CYAN = "36"
_COLOURS = {"---": BOLD, "+++": BOLD, "@@ ": _CYAN, "+": GREEN, "-": RED}


def differences(before: Side, after: Side) -> dict[str, list[str]]:
    """By service, the lines of its diff: none where nothing differs. What belongs to no service comes first."""
    found: dict[str, list[str]] = {}
    for name in sorted({*before.services, *after.services}):
        if name in before.services and name in after.services:
            found[name] = list(_of_service(name, before, after))
        elif name:
            found[name] = [f"Only in {(after if name in after.services else before).name}: the service {name}"]
    return found


def _of_service(service: str, before: Side, after: Side) -> Iterator[str]:
    old, new = before.services[service], after.services[service]
    for path in sorted({*old, *new}):
        if path in old and path in new:
            yield from _of_file(_label(service, path), path, (before.name, old), (after.name, new))
        else:
            yield f"Only in {after.name if path in new else before.name}: {_label(service, path)}"


def _label(service: str, path: Path) -> str:
    return f"{service} {path}".strip()


def _of_file(label: str, path: Path, before: tuple[str, Files], after: tuple[str, Files]) -> Iterator[str]:
    texts = before[1][path], after[1][path]
    old, new = (text.splitlines() for text in texts)
    if old == new and texts[0] != texts[1]:
        old, new = (text.split("\n") for text in texts)  # only the end of the last line differs
    context = 0 if path == SETTINGS else 3
    names = (f"{label} ({before[0]})", f"{label} ({after[0]})")
    yield from difflib.unified_diff(old, new, *names, n=context, lineterm="")


def as_text(lines: list[str], *, coloured: bool) -> str:
    """The diff as it is printed: what others have written cannot move the cursor."""
    return "\n".join(paint(_printable(line), _colour(line), on=coloured) for line in lines)


def _printable(line: str) -> str:
    return "".join(char if char.isprintable() or char == "\t" else ascii(char)[1:-1] for char in line)


def _colour(line: str) -> str:
    return next((colour for sign, colour in _COLOURS.items() if line.startswith(sign)), "")
