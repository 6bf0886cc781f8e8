"""Signals, deadlines and supervisor's loop around them.

The loop waits for whatever comes first: output, a signal, the next deadline. It has no tick.
Nothing in it blocks, and no exception ends it: each is logged, and the loop goes on.

    SIGTERM, SIGINT, SIGQUIT  stop all programs, each as soon as none that requires it runs
    SIGHUP                    runs the plan's job `reload`
    SIGUSR1                   logs the state of each program
    SIGUSR2                   nothing
"""

from __future__ import annotations

import functools
import os
import select
import signal
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec

import structlog

from entrypoint.errors import EntrypointError
from entrypoint.logs import Logs, configure, log_line
from entrypoint.logs.counts import Counts
from entrypoint.plan import RELOAD_JOB, STATE_FILE, Plan
from entrypoint.supervise import orphans
from entrypoint.supervise.become import HANDLED
from entrypoint.supervise.channels import Channel, Dispatcher, Wakeup
from entrypoint.supervise.child import Child
from entrypoint.supervise.endings import Ending, signal_name
from entrypoint.supervise.kinds import ProgramConfig
from entrypoint.supervise.launch import Launched, adopt_orphans, open_fifo
from entrypoint.supervise.library import (
    BasePoller,
    ExitNow,
    ProcessGroupConfig,
    ProcessStates,
    ServerOptions,
    Supervisor,
    SupervisorStates,
    events,
)
from entrypoint.supervise.output import Output
from entrypoint.supervise.reloading import Reloading
from entrypoint.supervise.state import StateFile

if TYPE_CHECKING:
    from entrypoint.supervise.scrape import Scrapes

# What a stop may take beyond the programs' grace time, all below Docker's 10 s.
SWEEP_POLITE_S = 0.5
SWEEP_FORCED_S = 0.5
FLUSH_S = 0.3

_STOP = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGQUIT})
_LONGEST_POLL_S = 3600.0

_P = ParamSpec("_P")
log = structlog.get_logger()


def run(plan: Plan, state_file: Path | None = None, launched: Launched | None = None) -> int:
    """Supervise `plan` in this process until it ends; the exit code."""
    output = Output(sys.stderr.fileno())
    logs = configure(plan.log_format, plan.log_level, output, service=plan.service)
    if plan.metrics_port:
        logs = replace(logs, counts=Counts())
    try:
        adopt_orphans()
        return _run(Options(plan, output, logs, launched), state_file or STATE_FILE)
    except Exception:
        log.exception("a bug in entrypoint")
        return EntrypointError.exit_code
    finally:
        output.close(FLUSH_S)


def _run(options: Options, state_file: Path) -> int:
    overseer = Overseer(options, StateFile(state_file, options.plan))
    try:
        overseer.main()
    except ExitNow:
        pass  # how supervisor's loop ends
    finally:
        overseer.clean_up()
    return overseer.exit_code


def guarded(function: Callable[_P, None]) -> Callable[_P, None]:
    """`function`, with exceptions logged instead of raised: they would end the loop."""

    @functools.wraps(function)
    def call(*args: _P.args, **kwargs: _P.kwargs) -> None:
        try:
            function(*args, **kwargs)
        except ExitNow:
            raise
        except Exception:
            log.exception("a bug in entrypoint", where=function.__qualname__)

    return call


class Poller(BasePoller):  # type: ignore[misc]  # the library has no types
    """Waits for descriptors until the next deadline. Each round begins with none of them, so
    that closed ones need not be taken out.
    """

    def __init__(self, options: Options, before: Callable[[], float | None]) -> None:
        """`before` does what is to be done before waiting, and says how long at most."""
        self._masks: dict[int, int] = {}
        self._before = before
        super().__init__(options)

    def register_readable(self, fd: int) -> None:
        """Wait until `fd` can be read, in this round."""
        self._masks[fd] = self._masks.get(fd, 0) | select.POLLIN

    def register_writable(self, fd: int) -> None:
        """Wait until `fd` can be written, in this round."""
        self._masks[fd] = self._masks.get(fd, 0) | select.POLLOUT

    def unregister_readable(self, fd: int) -> None:
        """Nothing: the round is over."""

    def unregister_writable(self, fd: int) -> None:
        """Nothing: the round is over."""

    def poll(self, timeout: float) -> tuple[list[int], list[int]]:  # noqa: ARG002  # supervisor's tick of one second
        """The descriptors that can be read, and those that can be written.

        An end or an error counts as both, so that whoever waits finds out.
        """
        seconds = self._before()
        poll = select.poll()
        for fd, mask in self._masks.items():
            poll.register(fd, mask)
        masks, self._masks = self._masks, {}
        ready = poll.poll(1000 * (_LONGEST_POLL_S if seconds is None else min(seconds, _LONGEST_POLL_S)))
        readable = [fd for fd, event in ready if masks[fd] & select.POLLIN and event & ~select.POLLOUT]
        writable = [fd for fd, event in ready if masks[fd] & select.POLLOUT and event & ~select.POLLIN]
        return readable, writable


class LibraryLog:
    """Where supervisor's own messages go: ours tell the story, so most of them are for debugging."""

    handlers = ()

    def _debug(self, message: str, **values: object) -> None:
        log.debug(message % values if values else message)

    def _error(self, message: str, **values: object) -> None:
        log.error(message % values if values else message)

    def _nothing(self, *_args: object, **_values: object) -> None:
        """Leave out."""

    debug = info = warn = _debug
    error = critical = _error
    blather = trace = close = log = _nothing


class Options(ServerOptions):  # type: ignore[misc]  # the library has no types
    """supervisor's settings and system calls, from a plan instead of a file and a command line."""

    def __init__(self, plan: Plan, output: Output, logs: Logs, launched: Launched | None) -> None:
        super().__init__()
        self.launched = launched or Launched({}, {})
        self.plan = plan
        self.output = output
        self.logs = logs
        self.wakeup = Wakeup()
        self.first = self.nodaemon = self.nocleanup = True
        self.test = False
        self.logger = LibraryLog()
        self.channels: dict[int, Dispatcher | Output] = {self.wakeup.fd: self.wakeup, output.fd: output}
        self._add_pipes()
        # All programs in one group: supervisor stops one group after the other.
        programs = [ProgramConfig(self, program) for program in plan.programs]
        self.process_group_configs = [ProcessGroupConfig(self, plan.service, 999, programs)]

    def _add_pipes(self) -> None:
        """FIFOs for daemons that insist on log files."""
        for program in self.plan.programs:
            for path, parser in program.pipes.items():
                descriptor = self.launched.fifos[path] if path in self.launched.fifos else open_fifo(path)
                take = log_line(self.logs, program.name, parser)
                self.channels[descriptor] = Channel(descriptor, take, self.output.congested)

    def get_socket_map(self) -> dict[int, Dispatcher | Output]:
        """What the loop watches beside the programs' own pipes."""
        return self.channels

    def setsignals(self) -> None:
        """Handle signals from now on, those held back until now first."""
        signal.set_wakeup_fd(self.wakeup.writing, warn_on_full_buffer=False)
        for number in HANDLED:
            signal.signal(number, self.signal_receiver.receive)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HANDLED)
        self.wakeup.wake()  # or the first start would wait for something to happen

    def _nothing(self, *_args: object) -> None:
        """Leave out: what supervisor does as a daemon of its own."""

    make_logger = set_uid_or_exit = set_rlimits_or_exit = write_pidfile = cleanup = _nothing


def offer_metrics(options: Options, children: Mapping[str, Child], folder: Path) -> Scrapes | None:
    """Who answers for METRICS_PORT, if that is wanted; without it nothing of that is even loaded."""
    if not (options.plan.metrics_port and options.logs.counts):
        return None
    from entrypoint.supervise.metrics import Metrics
    from entrypoint.supervise.scrape import Scrapes

    metrics = Metrics(options.plan.service, children, options.logs.counts, folder)
    try:
        return Scrapes(options.plan.metrics_port, lambda: metrics.text(options.output.dropped_lines), options.channels)
    except OSError as why:
        log.error("cannot offer metrics", port=options.plan.metrics_port, reason=why.strerror)  # noqa: TRY400
        return None


def _for_people(told: Mapping[str, Any]) -> dict[str, Any]:
    """What a program says of itself, with lengths of time for moments, and without what there is not."""
    at = {"since": told["since"], "next": told["next"]}
    times = {
        "for_s": round(time.time() - at["since"], 1),
        "next_in_s": round(max(0.0, at["next"] - time.time()), 1) if at["next"] else None,
    }
    return {name: value for name, value in {**told, **times}.items() if value is not None and name not in at}


class Overseer(Supervisor):  # type: ignore[misc]  # the library has no types
    """supervisor's main loop, that wakes at once, treats signals our way, and survives our bugs."""

    def __init__(self, options: Options, state_file: StateFile) -> None:
        super().__init__(options)
        self.exit_code = 0
        self._state_file = state_file
        self._began_to_stop: float | None = None
        options.poller = Poller(options, self._prepare_to_wait)
        options.openhttpservers = self._begin

    @property
    def children(self) -> dict[str, Child]:
        """The programs by name, in the plan's order."""
        return {name: child for group in self.process_groups.values() for name, child in group.processes.items()}

    def _begin(self, _supervisor: Supervisor) -> None:
        """Called between events.clear() and the first round, where supervisor opens its web server."""
        events.subscribe(events.ProcessStateEvent, guarded(self._note_state))
        self._reloading = Reloading(self.children, self.options.plan, self._state_file.path.parent)
        self._scrapes = offer_metrics(self.options, self.children, self._state_file.path.parent)
        log.info("supervising", programs=[name for name, child in self.children.items() if child.program.kind != "job"])
        for name, process in self.options.launched.processes.items():
            self.children[name].adopt(process)

    def _note_state(self, event: Any) -> None:
        child: Child = event.process
        child.since = time.time()
        if child.state == ProcessStates.FATAL and self._began_to_stop is None:
            ending = child.last_ending or Ending(1, "unknown")
            self._stop(f"{child.program.name}: {ending.words}", ending.code or 1)
        elif child.program.name == RELOAD_JOB and child.state == ProcessStates.EXITED:
            self._reloading.ended(child)

    def _stop(self, why: str, exit_code: int) -> None:
        """Begin to stop, unless that has begun already."""
        if self._began_to_stop is None:
            self._began_to_stop = time.monotonic()
            self.exit_code = exit_code
            self.options.mood = SupervisorStates.SHUTDOWN
            log.info("stopping", why=why)

    def _prepare_to_wait(self) -> float | None:
        """Do what is to be done now and then, save the state, and say when there is something next."""
        self._look()
        self._save_state()
        deadlines = [thing.deadline_s() for thing in (*self.children.values(), *self._others())]
        return min((seconds for seconds in deadlines if seconds is not None), default=None)

    def _others(self) -> list[Output | Reloading | Scrapes]:
        """What has something to do now and then, beside the programs."""
        others = (self.options.output, self._reloading, self._scrapes)
        return [other for other in others if other is not None]

    @guarded
    def _look(self) -> None:
        if self._began_to_stop is None:
            self._reloading.look()
        if self._scrapes is not None:
            self._scrapes.look()

    @guarded
    def _save_state(self) -> None:
        stopping = self._began_to_stop is not None
        self._state_file.save(self.children, stopping=stopping, reload=self._reloading.note)

    def ordered_stop_groups_phase_1(self) -> None:
        """Called in each round of a stop: what nothing requires any more ends now."""
        for child in reversed(self.children.values()):
            child.stop_in_order()

    @guarded
    def reap(self, once: bool = False, recursionguard: int = 0) -> None:  # noqa: ARG002  # supervisor's signature
        """Wait for all that have died; the next round, which is due at once, starts them again."""
        with suppress(ChildProcessError):
            while True:
                pid, status, use = os.wait4(-1, os.WNOHANG)
                if not pid:
                    break
                self._finish(pid, status, use.ru_utime + use.ru_stime)

    @guarded
    def _finish(self, pid: int, status: int, cpu_s: float) -> None:
        child = self.options.pidhistory.pop(pid, None)
        if child is None:
            log.debug("orphan ended", pid=pid, ending=Ending.of(status).words)
        else:
            child.cpu_s += cpu_s
            child.finish(pid, status)

    @guarded
    def handle_signal(self) -> None:
        """All signals that have arrived; supervisor takes one a round, and we may sleep long."""
        while number := self.options.get_signal():
            self._handle(number)

    def _handle(self, number: int) -> None:
        if number in _STOP:
            self._stop(signal_name(number), 0)
        elif number == signal.SIGHUP:
            self._reloading.ask(signal_name(number))
        elif number == signal.SIGUSR1:
            self._report()

    def _report(self) -> None:
        """The answer to somebody who has asked: it comes, whatever LOG_LEVEL is."""
        everything = structlog.make_filtering_bound_logger(0)
        answer = structlog.wrap_logger(structlog.WriteLogger(self.options.output), wrapper_class=everything)
        for name, child in self.children.items():
            answer.info("state", daemon=name, **_for_people(child.describe()))

    def tick(self, now: float | None = None) -> None:
        """Nothing: nobody listens to supervisor's ticks."""

    def clean_up(self) -> None:
        """Leave no process behind, and no line unread."""
        began = time.monotonic() if self._began_to_stop is None else self._began_to_stop
        linger_s = max((program.linger_s for program in self.options.plan.programs), default=0.0)
        swept = orphans.sweep(linger_s, SWEEP_POLITE_S, SWEEP_FORCED_S, self.options.wakeup.fd)
        for channel in self.options.channels.values():
            if isinstance(channel, Channel):
                channel.drain()
        with suppress(OSError):
            self._save_state()
        took = round(time.monotonic() - began, 3)
        log.info("all stopped", took_s=took, orphans=swept, exit_code=self.exit_code)
