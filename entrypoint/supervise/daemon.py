"""Programs that are kept running (daemons), and those that run to a good end before others (onces).

A daemon that ends has not done its job, whatever its exit code. It starts again at once after its
first death in a while. If it goes on dying, there is more and more time between its starts: 50 ms,
100 ms, …, 30 s, give or take a fifth, so that several do not beat in time. A minute of life clears
its record. Time that it has lived counts as waited for. Too many deaths within a while are the end.
"""

from __future__ import annotations

import random
import time
from collections import deque
from typing import Any

import structlog

from entrypoint.supervise.child import Child
from entrypoint.supervise.endings import Ending
from entrypoint.supervise.library import ProcessStates

FIRST_WAIT_S = 0.05
LONGEST_WAIT_S = 30.0
QUIET_S = 60.0

log = structlog.get_logger()


def in_a_row(deaths: int, lived_s: float) -> int:
    """How many deaths in a row it is with this one, after a life of `lived_s`."""
    return 1 if lived_s >= QUIET_S else deaths + 1


def wait_s(deaths: int) -> float:
    """Seconds between two starts, after so many deaths in a row."""
    if deaths < 2:
        return 0.0
    steps = min(deaths - 2, 20)  # 2**20 is far beyond the longest wait
    jitter = random.uniform(0.8, 1.2)  # noqa: S311  # no secret
    return min(FIRST_WAIT_S * 2.0**steps * jitter, LONGEST_WAIT_S)


class Daemon(Child):
    """A program that is kept running."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self._deaths: deque[float] = deque()  # when (monotonic), within the window
        self._deaths_in_a_row = 0
        self._again_at = 0.0  # monotonic
        self._next: float | None = None  # the same for people

    def _ended(self, ending: Ending, lived_s: float) -> None:
        """Wait a while, or give up."""
        now = time.monotonic()
        self._deaths_in_a_row = in_a_row(self._deaths_in_a_row, lived_s)
        self.last_ending = ending
        self._deaths.append(now)
        self._forget_deaths()
        wait = max(0.0, wait_s(self._deaths_in_a_row) - lived_s)
        deaths = len(self._deaths)
        story = {"daemon": self.program.name, "ending": ending.words, "lived_s": round(lived_s, 3), "deaths": deaths}
        if deaths >= self.config.options.plan.deaths_limit:
            log.error("died too often, giving up", **story)
            self.change_state(ProcessStates.FATAL)
        else:
            log.warning("died", **story, restart_in_ms=round(wait * 1000))
            self._again_at = now + wait
            self._next = time.time() + wait
            self.change_state(ProcessStates.BACKOFF)

    def _start_in_s(self) -> float | None:
        """At once the first time and after a reload, otherwise when its wait is over."""
        return max(0.0, self._again_at - time.monotonic())

    def _forget_deaths(self) -> None:
        """Leave the deaths behind that lie before the window."""
        window = self.config.options.plan.deaths_window_s
        while self._deaths and self._deaths[0] < time.monotonic() - window:
            self._deaths.popleft()

    def deadline_s(self) -> float | None:
        """Also when a death is to be forgotten: the state tells how many there were."""
        deadline = super().deadline_s()
        if not self._deaths or deadline is not None:
            return deadline
        window: float = self.config.options.plan.deaths_window_s
        return max(0.0, self._deaths[0] + window - time.monotonic())

    def describe(self) -> dict[str, Any]:
        """With its deaths, and when it starts again."""
        self._forget_deaths()
        next_start = self._next if self.state == ProcessStates.BACKOFF else None
        return super().describe() | {"deaths": len(self._deaths), "next": next_start}


class Once(Daemon):
    """A program that has to come to a good end, once, before what requires it starts."""

    @property
    def fulfilled(self) -> bool:
        """Whether it has ended well."""
        return bool(self.state == ProcessStates.EXITED)

    def _ended(self, ending: Ending, lived_s: float) -> None:
        """Done, or try again as a daemon would."""
        if ending.code:
            super()._ended(ending, lived_s)
        else:
            self._tell("done", took_s=round(lived_s, 3))
            self.change_state(ProcessStates.EXITED)

    def _start_in_s(self) -> float | None:
        return None if self.fulfilled else super()._start_in_s()

    def _word(self) -> str:
        return "done" if self.fulfilled else super()._word()
