"""What is the same for every program, whatever its kind: how it is started, listened to and stopped,
and that what it requires comes first, and goes last.

The states and their transitions are supervisor's. What differs: a started program counts as
running at once, and the status with which it ended is kept.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import structlog

from entrypoint.errors import EntrypointError
from entrypoint.supervise.channels import Channel
from entrypoint.supervise.endings import CANNOT_EXECUTE, Ending, signal_name
from entrypoint.supervise.launch import Process, launch
from entrypoint.supervise.library import STOPPED_STATES, ProcessStates, Subprocess, SupervisorStates

if TYPE_CHECKING:
    from entrypoint.plan import Program

log = structlog.get_logger()

AT_REST = frozenset({ProcessStates.STOPPED, ProcessStates.EXITED, ProcessStates.BACKOFF})


class Child(Subprocess):  # type: ignore[misc]  # the library has no types
    """A program of the plan, as a process or about to become one."""

    pid: int
    state: int
    delay: float
    killing: bool
    laststart: float
    dispatchers: dict[int, Channel]

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.since = time.time()  # when it came into its state
        self.starts = 0
        self.cpu_s = 0.0  # of all its lives that are over
        self.last_ending: Ending | None = None
        self._started = self._stopping = time.monotonic()
        self._overdue = False
        self._again = False

    @property
    def program(self) -> Program:
        """Its part of the plan."""
        program: Program = self.config.program
        return program

    # What each kind has its own way of

    @property
    def fulfilled(self) -> bool:
        """Whether what requires it may start."""
        return bool(self.state == ProcessStates.RUNNING)

    def _ended(self, ending: Ending, lived_s: float) -> None:
        """It has ended by itself, or could not be started."""
        raise NotImplementedError

    def _start_in_s(self) -> float | None:
        """Seconds until it is to be started, at rest and with all that it requires; None: not at all."""
        raise NotImplementedError

    def describe(self) -> dict[str, Any]:
        """How it is, for state.json."""
        return {
            "kind": self.program.kind,
            "state": self._word(),
            "pid": self.pid or None,
            "since": self.since,
            "deaths": 0,
            "starts": self.starts,
            "last_exit": self.last_ending.words if self.last_ending else None,
            "next": None,
        }

    def _word(self) -> str:
        if self.state == ProcessStates.STOPPED and not self.laststart:
            return "waiting"
        return _WORDS[self.state]

    # Order

    def may_start(self) -> bool:
        """Whether all that it requires is there, and nobody wants an end."""
        if self.config.options.mood < SupervisorStates.RUNNING:
            return False
        return all(self._others[name].fulfilled for name in self.program.requires)

    def stop_in_order(self) -> None:
        """Stop it, unless it has stopped or something that requires it has not."""
        if not all(other.state in STOPPED_STATES for other in self._dependents()):
            return
        if self.state == ProcessStates.RUNNING:
            self.stop()
        elif self.state == ProcessStates.BACKOFF:
            self.delay = 0
            self.change_state(ProcessStates.STOPPED)

    def _dependents(self) -> list[Child]:
        return [other for other in self._others.values() if self.program.name in other.program.requires]

    @property
    def _others(self) -> Mapping[str, Child]:
        processes: Mapping[str, Child] = self.group.processes
        return processes

    # Start

    def transition(self) -> None:
        """Start it, or end it, if it is time to."""
        try:
            self._transition()
        except Exception as why:
            log.exception("a bug in entrypoint", daemon=self.program.name)
            if not self.pid:
                self._ended(Ending(EntrypointError.exit_code, repr(why)), 0.0)

    def _transition(self) -> None:
        if self.state in AT_REST:
            if self.may_start() and (wait := self._start_in_s()) is not None and wait <= 0:
                self.spawn()
        elif self.state == ProcessStates.RUNNING and self._left_s() == 0:
            self._end_overdue()
        else:
            super().transition()  # kills what does not stop

    def spawn(self) -> None:
        """Start it; what prevents that counts as an end of it."""
        try:
            process = launch(self.program.argv, self.program.env)
        except (OSError, ValueError) as why:
            self.laststart = time.time()
            self._ended(Ending(CANNOT_EXECUTE, f"cannot execute: {why}"), 0.0)
        else:
            self.adopt(process)

    def adopt(self, process: Process) -> None:
        """Take over a process that was started for this program."""
        self.pid = process.pid
        self.starts += 1
        self._started = process.at
        self._overdue = self._again = self.killing = False
        self.laststart = time.time() - (time.monotonic() - process.at)
        self.config.options.pidhistory[self.pid] = self
        hold = self.config.options.output.congested
        self.dispatchers = {fd: Channel(fd, self.config.take_line, hold) for fd in process.pipes}
        self.change_state(ProcessStates.RUNNING)
        self.since = self.laststart
        self._tell("started", pid=self.pid)

    def _tell(self, event: str, **fields: object) -> None:
        log.info(event, daemon=self.program.name, **fields)

    # End

    def finish(self, pid: int, status: int) -> None:
        """It has ended with this wait status."""
        ending = Ending.of(status)
        self.pid = 0
        self.delay = 0
        self.last_ending = ending
        self._disconnect()
        if self.config.options.mood >= SupervisorStates.RUNNING:
            self._end_group(pid)
        if self.state == ProcessStates.STOPPING:
            self._stopped(ending)
        else:
            self._ended(ending, time.monotonic() - self._started)

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

    # Stop

    def stop(self) -> Any:
        """Ask it to stop."""
        self._stopping = time.monotonic()
        return super().stop()

    def restart(self) -> None:
        """Stop it, and start it again: its files have changed, and it reads them only then."""
        if self.state == ProcessStates.RUNNING:
            self._again = True
            self.stop()

    def kill(self, sig: int) -> Any:
        """Send the stop signal, or, when its time is over, SIGKILL to its group."""
        if self.state == ProcessStates.STOPPING:
            log.warning("does not stop, killing it", daemon=self.program.name, after_s=self.program.grace_s)
        return super().kill(sig)

    def _end_overdue(self) -> None:
        log.warning("takes too long, ending it", daemon=self.program.name, limit_s=self.program.limit_s)
        self.stop()
        self._overdue = True

    def _stopped(self, ending: Ending) -> None:
        now = time.monotonic()
        self.killing = False
        if self._overdue:
            self._ended(Ending(ending.code or 1, f"ended after {self.program.limit_s:g} s"), now - self._started)
            return
        self._tell("stopped", took_s=round(now - self._stopping, 3), ending=ending.words)
        self.change_state(ProcessStates.BACKOFF if self._again else ProcessStates.STOPPED)

    def send(self, name: str) -> None:
        """Send it a signal, such as HUP, if it runs."""
        if self.state == ProcessStates.RUNNING:
            number = signal.Signals[f"SIG{name.removeprefix('SIG')}"]
            log.info("sending a signal", daemon=self.program.name, signal=signal_name(number))
            self.signal(number)

    # Time

    def _left_s(self) -> float | None:
        """Seconds that it may still run; None: as long as it likes."""
        limit = self.program.limit_s
        return max(0.0, self._started + limit - time.monotonic()) if limit else None

    def deadline_s(self) -> float | None:
        """Seconds until something is to be done for it."""
        if self.state == ProcessStates.STOPPING:
            return max(0.0, self.delay - time.time())
        if self.state == ProcessStates.RUNNING:
            return self._left_s()
        if self.state in AT_REST and self.may_start():
            return self._start_in_s()
        return None


_WORDS = {
    ProcessStates.RUNNING: "running",
    ProcessStates.BACKOFF: "backoff",
    ProcessStates.STOPPING: "stopping",
    ProcessStates.STOPPED: "stopped",
    ProcessStates.EXITED: "waiting",
    ProcessStates.FATAL: "fatal",
    ProcessStates.UNKNOWN: "fatal",  # it could not even be sent a signal
}
