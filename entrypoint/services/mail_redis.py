"""mail-redis: what rspamd has learnt and remembers, and the state of other local services."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from entrypoint.plan import Measure, Probe, Program
from entrypoint.service import Command, Service, base_env, secret_file
from entrypoint.settings import Secret
from entrypoint.settings.concerns import Common, RedisPlace, RedisServer
from entrypoint.settings.schema import concern

CONFIG = "/run/config/redis.conf"
DATA = "/data"
SERVER = "/usr/bin/redis-server"
PASSWORD = "redis-password"  # noqa: S105  # a file's name


@concern
class Settings(Common, RedisPlace, RedisServer):
    """What mail-redis is told."""


def context(settings: Settings) -> Mapping[str, Any]:
    return {"loglevel": {"info": "notice", "error": "warning"}.get(settings.log_level, settings.log_level)}


def checks(_settings: Settings) -> tuple[Command, ...]:
    """Redis has no checker, but without a port it ends after it has read its file and before it touches data."""
    return (
        Command(
            argv=(SERVER, CONFIG, "--port", "0"),
            purpose="check redis.conf",
            accepted_by="Configured to not listen anywhere",
        ),
    )


def programs(settings: Settings) -> tuple[Program, ...]:
    # No reload: only the password can change, which clients have to learn anew as well.
    return (Program(name="redis", argv=(SERVER, CONFIG), env=base_env(settings), parser="redis"),)


def probes(settings: Settings) -> tuple[Probe, ...]:
    return (Probe(kind="redis", host="127.0.0.1", port=settings.redis_port, password_file=secret_file(PASSWORD)),)


def measures(settings: Settings) -> tuple[Measure, ...]:
    """Memory against REDIS_MAXMEMORY, and room for the append-only file."""
    return Measure(kind="redis-memory", probe=probes(settings)[0]), Measure(kind="room", where=DATA)


def secrets(settings: Settings) -> Mapping[str, Secret]:
    return {PASSWORD: settings.redis_password}


SERVICE = Service(
    name="mail-redis",
    image="redis",
    settings=Settings,
    programs=programs,
    writes=(DATA,),
    probes=probes,
    measures=measures,
    checks=checks,
    context=context,
    secrets=secrets,
)
