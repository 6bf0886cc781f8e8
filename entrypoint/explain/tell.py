"""The story for people, a line a finding and a verdict; and the same for programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from entrypoint.console import DIM, GREEN, RED, YELLOW, paint
from entrypoint.explain.findings import BAD, GOOD, NOTE, UNKNOWN, Finding, Story
from entrypoint.explain.questions import Question
from entrypoint.logs.render import escape

EXIT_CODES = {GOOD: 0, BAD: 1, UNKNOWN: 69}
_WORDS = {GOOD: "yes", BAD: "NO", NOTE: "-", UNKNOWN: "?"}
_COLOURS = {GOOD: GREEN, BAD: RED, NOTE: DIM, UNKNOWN: YELLOW}
_ANSWERS = {GOOD: "yes", BAD: "no", UNKNOWN: "unknown"}


def as_text(story: Story, *, colour: bool = False) -> str:
    """For people."""
    width = max((len(each.service) for each in story.findings), default=0)
    lines = [_line(each, width, colour=colour) for each in story.findings]
    lines += [f"(What {each} has to do with it is asked on the host.)" for each in dict.fromkeys(story.unasked)]
    state = story.outcome()
    return "\n".join([*lines, paint(escape(verdict(story)), _COLOURS[state], on=colour)])


def _line(finding: Finding, width: int, *, colour: bool) -> str:
    word = paint(f"{_WORDS[finding.state]:<3}", _COLOURS[finding.state], on=colour)
    settings = f"  ({', '.join(finding.settings)})" if finding.settings else ""
    return f"{finding.service:<{width}}  {word}  {escape(finding.text)}{paint(settings, DIM, on=colour)}"


def as_json(story: Story) -> dict[str, Any]:
    """For programs; without the password, if there was one."""
    question = {name: value for name, value in asdict(story.question).items() if name != "password"}
    return {
        "question": question,
        "findings": [asdict(each) for each in story.findings],
        "answer": _ANSWERS[story.outcome()],
        "verdict": verdict(story),
    }


def verdict(story: Story) -> str:
    """The answer in a sentence, with the first reason that decides."""
    state = story.outcome()
    says = _SENTENCES[story.question.about](story)[state]
    reason = story.first(state) if state != GOOD else None
    return f"{says}: {reason.text}" if reason else f"{says}."


def _route(story: Story) -> dict[str, str]:
    name = story.question.name
    # Whose domain is none of ours; or what the smarthost alone was asked.
    leaves = any(
        each.service == "exim-ext-mailout" or (each.step == "domain" and each.state == NOTE) for each in story.findings
    )
    verb, others = ("leave", "leaves") if leaves else ("arrive", "arrives")
    return {
        GOOD: f"Mail to {name} would {verb}",
        BAD: f"Mail to {name} would not {verb}",
        UNKNOWN: f"Whether mail to {name} {others} cannot be said",
    }


def _is_about_the_world(finding: Finding) -> bool:
    """A domain that is none of ours; or what only the smarthost was asked."""
    return finding.service == "exim-ext-mailout" or (finding.step == "domain" and finding.state == NOTE)


def _send(story: Story) -> dict[str, str]:
    what = _sending(story.question)
    return {
        GOOD: f"{what[0]} may {what[1]}",
        BAD: f"{what[0]} may not {what[1]}",
        UNKNOWN: f"Whether {what[0]} may {what[1]} cannot be said",
    }


def _sending(question: Question) -> tuple[str, str]:
    to = f" to {question.recipient}" if question.recipient else ""
    return question.name, f"write as {question.sender}{to}"


def _login(story: Story) -> dict[str, str]:
    name = story.question.name
    how = "logs in with this password" if story.question.password else "may log in"
    negative = "does not log in with this password" if story.question.password else "may not log in"
    return {GOOD: f"{name} {how}", BAD: f"{name} {negative}", UNKNOWN: f"Whether {name} {how} cannot be said"}


_SENTENCES = {"route": _route, "send": _send, "login": _login}
