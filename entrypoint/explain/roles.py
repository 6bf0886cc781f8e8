"""What the Exim of this container says about a route, a sender or a login, step by step as mail goes."""

from __future__ import annotations

from typing import Any

from entrypoint.errors import Unavailable
from entrypoint.explain.daemons import Daemon
from entrypoint.explain.directory import Directory
from entrypoint.explain.findings import BAD, UNKNOWN, Finding, Part
from entrypoint.explain.members import Members
from entrypoint.explain.questions import Question
from entrypoint.explain.role import SMARTHOST
from entrypoint.explain.smarthost import Smarthost
from entrypoint.service import Service


def answer(question: Question, service: Service[Any], settings: Any, daemon: Daemon, directory: Directory) -> Part:
    """The part of the role that this container has."""
    kind = Smarthost if service.name == SMARTHOST else Members
    role = kind(question, service, settings, daemon, directory)
    steps = {"route": role.route, "send": role.send, "login": role.login}[question.about]
    findings: list[Finding] = []
    try:
        for finding in steps():
            findings.append(finding)
            if finding.state == BAD and finding.step in role.ends:
                break
    except Unavailable as error:
        findings.append(role.says("ask", UNKNOWN, str(error)))
    return Part(findings=tuple(findings), further=tuple(role.further))
