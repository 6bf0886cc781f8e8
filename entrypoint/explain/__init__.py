"""What would happen to a message or a login, and why: asked of the running daemons and of the directory, never guessed.

Each container explains its own part, with its own settings and by its own daemon's word (`here`); on the host, all
parts are asked for in the order in which mail goes, and told as one story (`stack`). Nothing is delivered or changed.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from entrypoint.explain.findings import Story
    from entrypoint.explain.questions import Question


def main(question: Question, project: str = "", *, machine: bool = False) -> int:
    """Answer on stdout, for people or as JSON; 0 it would work, 1 it would not, 69 somebody could not be asked."""
    from entrypoint.console import has_colour
    from entrypoint.explain.tell import EXIT_CODES, as_json, as_text
    from entrypoint.host import in_container

    found = _asked_here(question) if in_container() else _asked_of_all(question, project)
    text = json.dumps(as_json(found), indent=2, ensure_ascii=False) if machine else as_text(found, colour=has_colour())
    print(text)
    return EXIT_CODES[found.outcome()]


def _asked_here(question: Question) -> Story:
    """The part of this container alone."""
    from entrypoint.explain.findings import Story
    from entrypoint.explain.here import answer

    part = answer(question)
    return Story(question=question, findings=part.findings, unasked=tuple(to for to, _ in part.further))


def _asked_of_all(question: Question, project: str) -> Story:
    from entrypoint.explain.stack import ask

    return ask(question, project)


def part() -> int:
    """A container's answer to the question on stdin, for the host. (So neither names nor passwords are in an argv.)"""
    from entrypoint.explain.here import answer
    from entrypoint.explain.questions import Question

    found = answer(Question.from_json(sys.stdin.read()))
    print(found.to_json())
    return 0
