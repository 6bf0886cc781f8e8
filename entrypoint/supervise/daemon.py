"""One program: how it is started, what happens when it dies, how it is stopped.

The states and their transitions are supervisor's. What differs: a started program counts as
running at once; each death is treated the same, however long it lived; its status is kept.

A program starts again at once after its first death in a while. If it goes on dying, there is
more and more time between its starts: 50 ms, 100 ms, …, 30 s, give or take a fifth, so that
several do not beat in time. A minute of life clears its record. Time that it has lived counts
as waited for.
"""

from __future__ import annotations

import math
import os
import random
import signal
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import structlog

from entrypoint.errors import EntrypointError
from entrypoint.logs import log_line
from entrypoint.supervise.channels import Channel
from entrypoint.supervise.launch import Process, launch
from entrypoint.supervise.library import ProcessConfig, ProcessStates, RestartUnconditionally, Subprocess

if TYPE_CHECKING:
    from entrypoint.plan import Program
    from entrypoint.supervise.loop import Options

FIRST_WAIT_S = 0.05
LONGEST_WAIT_S = 30.0
QUIET_S = 60.0
CANNOT_EXECUTE = 127

log = structlog.get_logger()


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


def wait_s(deaths: int) -> float:
    """Seconds between two starts, after so many deaths in a row."""
    if deaths < 2:
        return 0.0
    steps = min(deaths - 2, 20)  # 2**20 is far beyond the longest wait
    jitter = random.uniform(0.8, 1.2)  # noqa: S311  # no secret
    return min(FIRST_WAIT_S * 2.0**steps * jitter, LONGEST_WAIT_S)


class DaemonConfig(ProcessConfig):  # type: ignore[misc]  # the library has no types
    """A program of the plan as supervisor wants it. It never gives up by itself."""

    def __init__(self, options: Options, program: Program, priority: int) -> None:
        unused = dict.fromkeys(ProcessConfig.req_param_names)
        wanted = {
            "name": program.name,
            "priority": priority,
            "autostart": True,
            "autorestart": RestartUnconditionally,
            "startsecs": 0,
            "startretries": math.inf,
            "exitcodes": (0,),
            "stopsignal": signal.Signals[f"SIG{program.stop_signal.removeprefix('SIG')}"],
            "stopwaitsecs": program.grace_s,
            "stopasgroup": False,
            "killasgroup": True,
            "redirect_stderr": False,
        }
        super().__init__(options, **(unused | wanted))
        self.program = program
        self.take_line = log_line(options.logs, program.name, program.parser)

    def make_process(self, group: Any = None) -> Daemon:
        """The program, not yet started."""
        daemon = Daemon(self)
        daemon.group = group
        return daemon


class Daemon(Subprocess):  # type: ignore[misc]  # the library has no types
    """A program that is kept running."""

    pid: int
    state: int
    delay: float
    killing: bool
    laststart: float
    dispatchers: dict[int, Channel]

    def __init__(self, config: DaemonConfig) -> None:
        super().__init__(config)
        self.since = time.time()  # when it came into its state
        self.last_ending: Ending | None = None
        self.deaths: deque[float] = deque()  # when (monotonic), within the window
        self._deaths_in_a_row = 0
        self._started = self._stopping = time.monotonic()

    @property
    def program(self) -> Program:
        """Its part of the plan."""
        program: Program = self.config.program
        return program

    # Start

    def spawn(self) -> None:
        """Start it; what prevents that counts as a death."""
        try:
            process = launch(self.program.argv, self.program.env)
        except (OSError, ValueError) as why:
            self.laststart = time.time()
            self._died(Ending(CANNOT_EXECUTE, f"cannot execute: {why}"))
        else:
            self.adopt(process)

    def adopt(self, process: Process) -> None:
        """Take over a process that was started for this program."""
        self.pid = process.pid
        self._started = process.at
        self.killing = False
        self.laststart = time.time() - (time.monotonic() - process.at)
        self.config.options.pidhistory[self.pid] = self
        hold = self.config.options.output.congested
        self.dispatchers = {fd: Channel(fd, self.config.take_line, hold) for fd in process.pipes}
        self.change_state(ProcessStates.RUNNING)
        self.since = self.laststart
        log.info("started", daemon=self.program.name, pid=self.pid)

    def transition(self) -> None:
        """Start it, or kill it, if it is time to."""
        try:
            super().transition()
        except Exception as why:
            log.exception("a bug in entrypoint", daemon=self.program.name)
            if not self.pid:
                self._died(Ending(EntrypointError.exit_code, repr(why)))

    # Death

    def finish(self, pid: int, status: int) -> None:
        """It has ended with this wait status."""
        ending = Ending.of(status)
        self.pid = 0
        self.delay = 0
        self._disconnect()
        if self.state == ProcessStates.STOPPING:
            self._stopped(ending)
        else:
            self._end_group(pid)
            self._died(ending, pid)

    def _disconnect(self) -> None:
        """Read what it has said last, and close its pipes."""
        channels, self.dispatchers = self.dispatchers, {}
        for channel in channels.values():
            channel.drain()
            os.close(channel.fd)

    def _end_group(self, pid: int) -> None:
        """Ask what it has left behind to end: that may hold the ports that the next one needs."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(pid, signal.SIGTERM)

    def _died(self, ending: Ending, pid: int = 0) -> None:
        """Wait a while, or give up."""
        now = time.monotonic()
        lived = now - self._started if pid else 0.0
        self._deaths_in_a_row = 1 if lived >= QUIET_S else self._deaths_in_a_row + 1
        self.last_ending = ending
        self.deaths.append(now)
        self.forget_deaths()
        wait = max(0.0, wait_s(self._deaths_in_a_row) - lived)
        story = {"daemon": self.program.name, "ending": ending.words, "lived_s": round(lived, 3)}
        if len(self.deaths) >= self.config.options.plan.deaths_limit:
            log.error("died too often, giving up", **story, deaths=len(self.deaths))
            self.change_state(ProcessStates.FATAL)
        else:
            log.warning("died", **story, deaths=len(self.deaths), restart_in_ms=round(wait * 1000))
            self._wait(wait)

    def _wait(self, seconds: float) -> None:
        """Let it start again after so long."""
        self.change_state(ProcessStates.BACKOFF)
        self.delay = time.time() + seconds if seconds else 0
        self.backoff = math.ceil(seconds)  # supervisor's check of the clock: how far ahead `delay` may be

    def forget_deaths(self) -> None:
        """Leave the deaths behind that lie before the window."""
        window = self.config.options.plan.deaths_window_s
        while self.deaths and self.deaths[0] < time.monotonic() - window:
            self.deaths.popleft()

    # Stop

    def stop(self) -> Any:
        """Ask it to stop."""
        self._stopping = time.monotonic()
        return super().stop()

    def kill(self, sig: int) -> Any:
        """Send the stop signal, or, when its time is over, SIGKILL to its group."""
        if self.state == ProcessStates.STOPPING:
            log.warning("does not stop, killing it", daemon=self.program.name, after_s=self.program.grace_s)
        return super().kill(sig)

    def give_up(self) -> None:
        """Do not start it again: a stop came while it waited for its restart."""
        self.delay = 0
        self.change_state(ProcessStates.STOPPED)

    def _stopped(self, ending: Ending) -> None:
        took = time.monotonic() - self._stopping
        self.last_ending = ending
        self.killing = False
        self.change_state(ProcessStates.STOPPED)
        log.info("stopped", daemon=self.program.name, took_s=round(took, 3), ending=ending.words)

    # Time

    def deadline_s(self) -> float | None:
        """Seconds until something is to be done for it."""
        if self.state in {ProcessStates.BACKOFF, ProcessStates.STOPPING}:
            return max(0.0, self.delay - time.time())
        if self.deaths:
            window: float = self.config.options.plan.deaths_window_s
            return max(0.0, self.deaths[0] + window - time.monotonic())
        return None
