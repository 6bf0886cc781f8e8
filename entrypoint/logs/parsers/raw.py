"""Lines of a daemon that nobody taught us to read: whole, at the level whose word they hold."""

from __future__ import annotations

import re
from typing import Any

_WORD_OF = {
    "debug": ("debug", "trace", "verbose"),
    "info": ("info", "notice"),
    "warning": ("warning", "warn"),
    "error": ("error", "err"),
    "critical": ("critical", "crit", "alert", "emerg", "emergency", "fatal", "panic"),
}
LEVEL_OF = {word: level for level, words in _WORD_OF.items() for word in words}

# Only as a label ("Error:", "[warning]", "ERROR something"), not as any word of a sentence.
_LABEL = re.compile(
    r"(?:^|[\s\[(<|])"
    rf"(?:(?P<label>{'|'.join(LEVEL_OF)})(?:[:\])>|]|$)"
    rf"|(?P<capitals>{'|'.join(LEVEL_OF).upper()})\b)",
    re.IGNORECASE,
)
# Most lines have none of the words. A dozen searches for fixed pieces find that out in a tenth of the pattern's time.
_PIECES = ("err", *sorted({word[:4] for word in LEVEL_OF if not word.startswith("err")}))


def level_of(text: str, default: str = "info") -> str:
    """The level that the text labels itself with."""
    lower = text.lower()
    if not any(piece in lower for piece in _PIECES):
        return default
    for found in _LABEL.finditer(text):
        word = found["label"] or found["capitals"]
        if found["label"] or word.isupper():
            return LEVEL_OF[word.lower()]
    return default


def parse(line: str) -> dict[str, Any]:
    """The line, whole, as an event."""
    return {"event": line, "level": level_of(line)}
