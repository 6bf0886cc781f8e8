"""How processes end: as an exit code, and in words."""

from __future__ import annotations

import os
import signal
from dataclasses import dataclass

CANNOT_EXECUTE = 127


@dataclass(frozen=True)
class Ending:
    """How a process ended: the exit code that stands for it, and words."""

    code: int
    words: str

    @classmethod
    def of(cls, status: int) -> Ending:
        """The ending that a wait status tells of."""
        code = os.waitstatus_to_exitcode(status)
        if code >= 0:
            return cls(code, f"exit code {code}")
        dumped = " (core dumped)" if os.WCOREDUMP(status) else ""
        return cls(128 - code, f"signal {-code} ({signal_name(-code)}){dumped}")


def signal_name(number: int) -> str:
    """SIGTERM for 15; "unknown" for a number without a name (real-time signals)."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return "unknown"
