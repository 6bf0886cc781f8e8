"""The whole stack, asked from its host: one container after the other, as mail and logins go."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from entrypoint.errors import Unavailable
from entrypoint.explain.findings import UNKNOWN, Finding, Part, Story
from entrypoint.explain.questions import Question
from entrypoint.host import container_of, default_project, docker

MX, IMAP = "exim-external", "imap"
_LIMIT_S = 90.0  # a daemon that waits for DNS or the directory takes its time
_OLD_IMAGE = "invalid choice"


def ask(question: Question, project: str = "") -> Story:
    """What all containers concerned say. Who cannot be asked is a finding, and the others are asked all the same."""
    project = project or default_project()
    waiting = deque(_first(question))
    findings: list[Finding] = []
    asked = set()
    while waiting:
        service, each = waiting.popleft()
        if (service, each) in asked:  # no way of mail goes in a circle for ever
            continue
        asked.add((service, each))
        part = _part(service, each, project)
        findings += part.findings
        waiting.extend((to, further.of_same(question)) for to, further in part.further)
    return Story(question=question, findings=tuple(findings))


def _first(question: Question) -> Iterator[tuple[str, Question]]:
    """A login is for reading and for sending; everything else begins at one Exim."""
    if question.about == "login":
        yield IMAP, question
    yield question.role or MX, question


def _part(service: str, question: Question, project: str) -> Part:
    try:
        container = container_of(service, project)
        command = ("exec", "-i", container, "entrypoint", "explain", "part")
        return Part.from_json(docker(*command, stdin=question.to_json(), timeout_s=_LIMIT_S))
    except Unavailable as error:
        why = str(error)
    except ValueError as error:
        why = f"cannot understand what {service} answers: {error}"
    if _OLD_IMAGE in why:
        why = f"cannot ask {service}: its image is older than this command; make images, docker compose up -d"
    return Part(findings=(Finding(service=service, step="ask", state=UNKNOWN, text=why),))
