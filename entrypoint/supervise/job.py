"""Programs that run now and then, for a short while: periodic ones, and one that is asked for.

A run never begins while the last one goes on. One that fails is told and tried again at its next
time; it ends nothing. What runs rarely runs for the first time soon after the start nevertheless:
a container that is made anew each day would otherwise never come to it.
"""

from __future__ import annotations

import math
import random
import time
from typing import Any

import structlog

from entrypoint.supervise.child import Child
from entrypoint.supervise.endings import Ending
from entrypoint.supervise.library import ProcessStates

FIRST_SHARE = 0.1  # of its period, before its first run …
FIRST_S = 60.0  # … but not more

log = structlog.get_logger()


class Job(Child):
    """A program that runs every `every_s`, or, without that, whenever it is asked to."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._failures = 0
        self._rest(min(self.program.every_s * FIRST_SHARE, FIRST_S))

    def ask(self) -> None:
        """Have it run as soon as it does not run already."""
        self._due = self._next = 0.0

    def adopt(self, process: Any) -> None:
        """Take over a process that was started for this program; the next one is due in a while."""
        self._rest(self.program.every_s)
        super().adopt(process)

    def _rest(self, seconds: float) -> None:
        """Run for so long, more or less, no other; without a period until it is asked for."""
        pause = seconds * random.uniform(0.9, 1.1) if self.program.every_s else math.inf  # noqa: S311  # no secret
        self._due = time.monotonic() + pause
        self._next = time.time() + pause

    def _ended(self, ending: Ending, lived_s: float) -> None:
        """Count a failure, or that there is none any more; then rest."""
        story = {"job": self.program.name, "ending": ending.words, "lived_s": round(lived_s, 3)}
        self.last_ending = ending
        if ending.code:
            self._failures += 1
            log.warning("a job has failed", **story, failures=self._failures, next_in_s=self._rounded())
        elif self._failures:
            log.info("a job is well again", **story, failures=self._failures)
            self._failures = 0
        if self.program.every_s and lived_s > self.program.every_s:
            log.warning("a job takes longer than its period", **story, every_s=self.program.every_s)
        self.change_state(ProcessStates.EXITED)

    def _rounded(self) -> float | None:
        left = self._start_in_s()
        return None if left is None else round(left, 1)

    def _start_in_s(self) -> float | None:
        left = self._due - time.monotonic()
        return None if math.isinf(left) else max(0.0, left)

    def _tell(self, event: str, **fields: object) -> None:
        log.debug(event, job=self.program.name, **fields)  # each minute, say: no story

    def describe(self) -> dict[str, Any]:
        """With the failures in a row, and when it runs next."""
        next_run = None if math.isinf(self._next) else self._next
        return super().describe() | {"deaths": self._failures, "next": next_run}
