"""What was found out: one finding a step, in the order in which things happen.

`good` and `bad` decide, `note` only tells, `unknown` is what somebody would have had to be asked who did not answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from entrypoint.explain.questions import Question

GOOD, BAD, NOTE, UNKNOWN = STATES = ("good", "bad", "note", "unknown")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that is so, and the settings that make it so."""

    service: str
    step: str  # a word for programs: domain, directory, group, filter, recipient, session, sender, route, quota, …
    state: str
    text: str
    settings: tuple[str, ...] = ()
    asked: str = ""  # by which question it was found out, such as exim -bv


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one container has found out, and which other ones know how it goes on."""

    findings: tuple[Finding, ...]
    further: tuple[tuple[str, Question], ...] = ()  # service, and what to ask there

    def to_json(self) -> str:
        """One line; the questions have no password, which who asks has."""
        further = [(service, json.loads(question.to_json()) | {"password": None}) for service, question in self.further]
        return json.dumps({"findings": [asdict(each) for each in self.findings], "further": further})

    @classmethod
    def from_json(cls, text: str) -> Part:
        """The part that `to_json` wrote."""
        told = json.loads(text)
        findings = (Finding(**{**each, "settings": tuple(each["settings"])}) for each in told["findings"])
        further = ((service, Question.from_json(json.dumps(each))) for service, each in told["further"])
        return cls(findings=tuple(findings), further=tuple(further))


@dataclass(frozen=True, kw_only=True)
class Story:
    """The answer to a question: all findings, and who else would have known more."""

    question: Question
    findings: tuple[Finding, ...]
    unasked: tuple[str, ...] = ()

    def first(self, state: str) -> Finding | None:
        """The first finding of this kind."""
        return next(iter(of_state(self.findings, state)), None)

    def outcome(self) -> str:
        """bad as soon as one finding is bad; unknown when that may be so; otherwise good."""
        return next((state for state in (BAD, UNKNOWN) if self.first(state)), GOOD)


def of_state(findings: Iterable[Finding], state: str) -> list[Finding]:
    """Those findings of one kind."""
    return [each for each in findings if each.state == state]
