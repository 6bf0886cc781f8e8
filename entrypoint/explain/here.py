"""The part of the container that this process is in: its settings, its daemon, the directory that it asks."""

from __future__ import annotations

from typing import Any

from entrypoint.check import faces
from entrypoint.errors import Unavailable, UsageError
from entrypoint.explain import mailboxes, roles
from entrypoint.explain.daemons import Daemon
from entrypoint.explain.directory import Directory
from entrypoint.explain.findings import Part
from entrypoint.explain.questions import ROLES, Question
from entrypoint.plan import PLAN_FILE, Plan, kept_environment, read_plan
from entrypoint.service import Service, base_env, find, known_variables
from entrypoint.settings import read, secrets_of

_ABOUT = {"exim-ext-mailout": ("route",), "imap": ("route", "login")}


def answer(question: Question) -> Part:
    """What the service of this container says to it; Unavailable when it has not started yet."""
    plan, env = _started()
    service = find(plan.service)
    _insist_on_concern(service, question)
    settings: Any = read(env, service.settings, known=known_variables()).settings
    secrets = [*secrets_of(settings), *([question.password] if question.password else [])]
    daemon = Daemon(env=base_env(settings), hidden=faces(secrets))
    directory = Directory(settings, next((need.probes for need in plan.needs if need.name == "ldap"), ()))
    if service.name == "imap":
        return mailboxes.answer(question, settings, daemon, directory)
    return roles.answer(question, service, settings, daemon, directory)


def _started() -> tuple[Plan, dict[str, str]]:
    try:
        return read_plan(PLAN_FILE), kept_environment()
    except OSError:
        raise Unavailable("cannot ask the daemon: it has not been started yet; look at the container's log") from None


def _insist_on_concern(service: Service[Any], question: Question) -> None:
    if service.name not in {*ROLES, "imap"} or question.about not in _ABOUT.get(service.name, (question.about,)):
        asked = [name for name in (*ROLES, "imap") if question.about in _ABOUT.get(name, (question.about,))]
        raise UsageError(
            f"cannot explain {question.about} in {service.name}: ask in {', '.join(asked)}, or on the host"
        )
    if question.role and question.role != service.name:
        raise UsageError(f"cannot explain {question.role} in {service.name}: ask there, or on the host")
