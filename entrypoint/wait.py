"""Waiting for what a service depends on: until it answers, until that is hopeless, or until the deadline.

The log tells each new reason once, however often it was met. Ctrl-C and SIGTERM end the wait at once
with exit code 0: whoever asks a container to stop gets an orderly stop, also before its daemon runs.
"""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import NoReturn, Protocol

from entrypoint.errors import NeedRefused, ProbeError, Unavailable
from entrypoint.plan import Need, Probe
from entrypoint.probes import ask as ask_for_real
from entrypoint.probes import where

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0
_SHORTEST_TRY_S = 1.0  # the last try before the deadline is still a fair one

_CURES = {
    ("ldap", "tls"): "check LDAP_HOSTS, LDAP_CA and the server's certificate",
    ("ldap", "login"): "check LDAP_USER and LDAP_PASSWORD",
    ("ldap", "answer"): "check LDAP_HOSTS and LDAP_BASE",
    ("redis", "login"): (
        "check REDIS_PASSWORD, which must be the same for both services; one that is made at the first start "
        "is shared by the volume PASSWORDS_DATA only: at different places, give REDIS_PASSWORD to both"
    ),
}
_CURES_OF_ANY_KIND = {
    "name": "check the host name",
    "tcp": "check host and port",
    "tls": "check TLS_CA and the server's certificate",
    "login": "check user and password",
    "answer": "check host and port, and what the server there is set up for",
}

Ask = Callable[[Probe], str]


class Log(Protocol):
    """What is used of structlog's loggers."""

    def info(self, event: str, **fields: object) -> object: ...
    def warning(self, event: str, **fields: object) -> object: ...


class Stopped(SystemExit):
    """A signal ended the wait; unless caught, the process ends with 0."""

    def __init__(self, signal_name: str) -> None:
        super().__init__(0)
        self.signal_name = signal_name


@dataclass(frozen=True)
class _Failure:
    probe: Probe
    error: ProbeError

    def __str__(self) -> str:
        return f"{where(self.probe)}: {self.error}"

    @property
    def cure(self) -> str:
        return _CURES.get((self.probe.kind, self.error.stage)) or _CURES_OF_ANY_KIND[self.error.stage]


class _NoAnswer(Exception):
    """Every probe of the need failed."""

    def __init__(self, failures: list[_Failure]) -> None:
        super().__init__("; ".join(str(failure) for failure in failures))
        self.curable = any(failure.error.curable for failure in failures)
        self.cures = list(dict.fromkeys(failure.cure for failure in failures))


def wait_for(
    need: Need,
    log: Log,
    *,
    ask: Ask = ask_for_real,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Return when one of the need's probes has answered; an optional need is asked only once.

    Raises NeedRefused as soon as no probe can be cured by waiting, Unavailable after
    `need.deadline_s`, Stopped on SIGTERM and SIGINT.
    """
    with _stopping_at_once(need, log):
        if need.required:
            _wait(need, log, ask, clock, sleep)
        else:
            _look(need, log, ask)


def _look(need: Need, log: Log, ask: Ask) -> None:
    try:
        probe, answer = _ask_all(need.probes, ask)
    except _NoAnswer as failed:
        log.warning("an optional service does not answer", need=need.name, reason=str(failed))
    else:
        log.info("an optional service answered", need=need.name, server=where(probe), answer=answer)


def _wait(need: Need, log: Log, ask: Ask, clock: Callable[[], float], sleep: Callable[[float], None]) -> None:
    begin, told = clock(), ""
    for pause in _pauses():
        left = need.deadline_s - (clock() - begin)
        try:
            probe, answer = _ask_all(_shortened(need.probes, left), ask)
        except _NoAnswer as failed:
            told = _tell(need, log, str(failed), told)
            _give_up_if_hopeless(need, failed, clock() - begin)
            sleep(max(0.0, min(pause, need.deadline_s - (clock() - begin))))
        else:
            after_s = round(clock() - begin, 1)
            log.info("a needed service answered", need=need.name, after_s=after_s, server=where(probe), answer=answer)
            return


def _ask_all(probes: tuple[Probe, ...], ask: Ask) -> tuple[Probe, str]:
    """The first probe that gets a good answer, and the answer."""
    failures = []
    for probe in probes:
        try:
            return probe, ask(probe)
        except ProbeError as error:
            failures.append(_Failure(probe, error))
    raise _NoAnswer(failures)


def _shortened(probes: tuple[Probe, ...], left_s: float) -> tuple[Probe, ...]:
    longest = max(left_s, _SHORTEST_TRY_S)
    return tuple(replace(probe, timeout_s=min(probe.timeout_s, longest)) for probe in probes)


def _tell(need: Need, log: Log, reason: str, told: str) -> str:
    if reason != told:
        log.info("waiting for a needed service", need=need.name, reason=reason)
    return reason


def _give_up_if_hopeless(need: Need, failed: _NoAnswer, waited_s: float) -> None:
    if not failed.curable:
        cures = "; ".join(failed.cures)
        raise NeedRefused(f"cannot use {need.name} at {failed}; waiting will not help: {cures}") from None
    if waited_s >= need.deadline_s:
        raise Unavailable(f"cannot reach {need.name}: no good answer within {need.deadline_s:g} s; last: {failed}")


def _pauses() -> Iterator[float]:
    """Doubling up to a limit, each a little shorter by chance: containers that start together
    do not ask together.
    """
    pause = _FIRST_PAUSE_S
    while True:
        yield pause * random.uniform(0.75, 1.0)  # noqa: S311 - no secret
        pause = min(2 * pause, _LONGEST_PAUSE_S)


@contextmanager
def _stopping_at_once(need: Need, log: Log) -> Iterator[None]:
    """Make SIGTERM and SIGINT end the block. As PID 1 one has to: the kernel drops signals there
    that have no handler, and `docker stop` would wait for its ten seconds.
    """
    before = {number: signal.signal(number, _stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    except Stopped as stopped:
        log.info("stopped while waiting", need=need.name, signal=stopped.signal_name)
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _stop(number: int, _frame: object) -> NoReturn:
    raise Stopped(signal.Signals(number).name)
