"""The one straight line from the environment to a running daemon; each step's policy is elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NoReturn

import structlog

from entrypoint import __version__
from entrypoint.certificates import check_certificate, check_files, doubts, expiry
from entrypoint.check import run_all
from entrypoint.copies import copies, insist_on_same, originals, secret_files, signatures, with_copies
from entrypoint.generated import make_missing
from entrypoint.logs import configure
from entrypoint.plan import (
    LOOK_FILE,
    LOOK_JOB,
    PLAN_FILE,
    RELOAD_JOB,
    STATE_FILE,
    Plan,
    Program,
    keep_environment,
    write_plan,
)
from entrypoint.readiness import in_order
from entrypoint.render import Files, render_tree, write_tree
from entrypoint.service import Service, base_env, known_variables
from entrypoint.settings import Reading, read, secrets_of
from entrypoint.settings.concerns import Common
from entrypoint.supervise import become_supervisor
from entrypoint.volumes import check_writable
from entrypoint.wait import wait_for


def run(service: Service[Any], env: Mapping[str, str]) -> NoReturn:
    """Boot `service` and become its supervisor; every refusal is an exception with an exit code."""
    for left_over in (STATE_FILE, PLAN_FILE, LOOK_FILE):  # by an earlier start, where /run outlives the container
        left_over.unlink(missing_ok=True)
    made = make(service, env)
    log, service = structlog.get_logger(), made.service
    write_tree(made.files)
    log.info("files are rendered", files=len(made.files))
    _ask_the_daemon(service, made.settings)
    for need in service.needs(made.settings):
        wait_for(need, log)
    keep_environment(env)
    write_plan(made.plan)
    log.info("starting", programs=" ".join(p.name for p in service.programs(made.settings)) or "nothing")
    become_supervisor(PLAN_FILE)


@dataclass(frozen=True)
class Made:
    """What an environment and the files of others come to. Nothing of it is written yet."""

    service: Service[Any]
    settings: Any
    files: Files
    plan: Plan


def make(service: Service[Any], env: Mapping[str, str], *, log_format: str = "") -> Made:
    """Read, look at the files of others, render: the same at a start and at a reload.

    Files are remembered as they were before they were read: a change in the meantime is found then.
    """
    make_missing(service, env)
    watch = signatures(secret_files(service, env))
    given = load(service, env, log_format=log_format)
    service = service.for_these(given)
    watch |= signatures(originals(service, given))
    expires = _look_at_files(service, given)
    settings = with_copies(given)
    files = {**render_tree(service, settings), **copies(given)}
    insist_on_same(watch)
    known = plan(service, settings)
    return Made(service, settings, files, replace(known, watch=watch, expires=expires, files=tuple(map(str, files))))


def _look_at_files(service: Service[Any], settings: Any) -> dict[str, float]:
    """CheckError for the first file or folder that is no good; otherwise when the certificate expires."""
    check_files(settings)
    check_writable(service.writes)
    hosts = service.certificate_for(settings)
    if not hosts:
        return {}
    check_certificate(settings, hosts)
    log = structlog.get_logger()
    for doubt in doubts(settings):
        log.warning(doubt)
    log.info("the certificate is good", hosts=" ".join(hosts))
    return {settings.tls_certificate: expiry(settings)}


def load(service: Service[Any], env: Mapping[str, str], *, log_format: str = "") -> Any:
    """The settings of the service, with logging set up as they or `log_format` say; warnings go to the log."""
    reading: Reading[Any] = read(env, service.settings, known=known_variables())
    settings = reading.settings
    configure(log_format or settings.log_format, settings.log_level, service=service.name)
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
