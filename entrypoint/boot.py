"""The one straight line from the environment to a running daemon; each step's policy is elsewhere."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import structlog

from entrypoint import __version__
from entrypoint.certificates import check_certificate, check_files
from entrypoint.check import run_all
from entrypoint.logs import configure
from entrypoint.plan import LOOK_FILE, LOOK_JOB, PLAN_FILE, RELOAD_JOB, STATE_FILE, Plan, Program, write_plan
from entrypoint.readiness import in_order
from entrypoint.render import Files, render_tree, write_tree
from entrypoint.service import Service, base_env, known_variables
from entrypoint.settings import Reading, Secret, read
from entrypoint.settings.concerns import Common
from entrypoint.supervise import become_supervisor
from entrypoint.volumes import check_writable
from entrypoint.wait import wait_for


def run(service: Service[Any], env: Mapping[str, str]) -> NoReturn:
    """Boot `service` and become its supervisor; every refusal is an exception with an exit code."""
    for left_over in (STATE_FILE, PLAN_FILE, LOOK_FILE):  # by an earlier start, where /run outlives the container
        left_over.unlink(missing_ok=True)
    settings = prepare(service, env)
    log = structlog.get_logger()
    for need in service.needs(settings):
        wait_for(need, log)
    write_plan(plan(service, settings))
    log.info("starting", programs=" ".join(p.name for p in service.programs(settings)))
    become_supervisor(PLAN_FILE)


def prepare(service: Service[Any], env: Mapping[str, str]) -> Any:
    """Read, render and check: everything that needs no other service. Returns the settings."""
    settings = load(service, env)
    log = structlog.get_logger()
    hosts = service.certificate_for(settings)
    if hosts:
        check_certificate(settings, hosts)
        log.info("the certificate is good", hosts=" ".join(hosts))
    check_files(settings)
    check_writable(service.writes)
    files = render_tree(service, settings)
    write_tree(files)
    log.info("files are rendered", files=len(files))
    _ask_the_daemon(service, settings)
    return settings


def load(service: Service[Any], env: Mapping[str, str]) -> Any:
    """The settings of the service, with logging set up as they say; warnings go to the log."""
    reading: Reading[Any] = read(env, service.settings, known=known_variables())
    settings = reading.settings
    configure(settings.log_format, settings.log_level, service=service.name)
    log = structlog.get_logger()
    for warning in reading.warnings:
        log.warning(warning)
    log.info("settings are read", domain=settings.domain, version=__version__)
    return settings


def _ask_the_daemon(service: Service[Any], settings: Any) -> None:
    log = structlog.get_logger()
    env, secrets = base_env(settings), list(secrets_of(settings))
    for commands in (service.prepare(settings), service.checks(settings)):
        run_all(commands, env, secrets)
        for command in commands:
            log.info("done", step=command.purpose)


def secrets_of(value: object) -> Iterator[Secret]:
    """Every secret in a settings' value, however deep."""
    if isinstance(value, Secret):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from secrets_of(part)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from secrets_of(getattr(value, field.name))


def plan(service: Service[Any], settings: Any) -> Plan:
    """What the second stage and the health check need to know."""
    env = base_env(settings)
    return Plan(
        service=service.name,
        version=__version__,
        programs=(*in_order(service.programs(settings), env), *_jobs(settings, env)),
        probes=service.probes(settings),
        needs=service.needs(settings),
        measures=service.measures(settings),
        letter=service.letter(settings),
        log_format=settings.log_format,
        log_level=settings.log_level,
        metrics_port=settings.metrics_port,
        deaths_limit=settings.deaths_limit,
    )


def _jobs(settings: Common, env: Mapping[str, str]) -> tuple[Program, ...]:
    """What every service does now and then, beside its daemons."""
    ours = partial(Program, kind="job", env=env, parser="ours")
    python = (sys.executable, "-P", "-m")
    return (
        ours(name=RELOAD_JOB, argv=(*python, "entrypoint.reload"), limit_s=300),
        ours(name=LOOK_JOB, argv=(*python, "entrypoint.look"), every_s=settings.look_s, limit_s=25.0),
    )


def render_into(service: Service[Any], env: Mapping[str, str], out: Path) -> Files:
    """Render below `out` instead of /, without asking any daemon. Returns what was written."""
    files = render_tree(service, load(service, env))
    write_tree(files, out)
    return files
