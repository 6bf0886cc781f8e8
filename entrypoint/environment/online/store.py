"""mail-redis: PING with the password, where its address can be reached from the host."""

from __future__ import annotations

from entrypoint.environment.case import Case
from entrypoint.errors import ProbeError
from entrypoint.ladder import Rung, Skipped, Told, take
from entrypoint.probe import Probe
from entrypoint.probes.redis import log_in, ping
from entrypoint.probes.talk import Talk
from entrypoint.settings.concerns import Redis

_TIMEOUT_S = 2.0


def rungs(case: Case) -> list[Rung]:
    """One, for the services that use it."""
    host, port = case.value("REDIS_IP"), case.value("REDIS_PORT")
    if not case.with_settings(Redis) or not host or not port:
        return []
    probe = Probe(kind="redis", host=str(host), port=port, timeout_s=_TIMEOUT_S)
    return [
        take(
            "redis",
            f"redis://{host}:{port}",
            "check REDIS_PASSWORD, REDIS_IP and REDIS_PORT",
            lambda: _ask(case, probe),
        )
    ]


def _ask(case: Case, probe: Probe) -> Told:
    password = case.value("REDIS_PASSWORD")
    if not password or not case.is_given("REDIS_PASSWORD") or case.is_closed("REDIS_PASSWORD"):
        raise Skipped("no password is given that could be tried")
    try:
        talk = Talk(probe)
    except ProbeError as error:
        raise Skipped(
            f"cannot be reached from here ({error.reason}): mail-redis does not run (yet), or elsewhere"
        ) from None
    with talk:
        log_in(talk, password.reveal().encode())
        return f"{ping(talk)}, with the password", ""
