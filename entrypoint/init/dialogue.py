"""Where answers come from: the command line alone, or it and a person at a terminal.

A wrong answer is told with the words of the settings' own kinds. On the terminal it is asked for again; on the command
line it ends with 64, as does one that is missing, all of which are named at once.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from entrypoint.console import BOLD, DIM, RED, has_colour, paint
from entrypoint.errors import EntrypointError, UsageError
from entrypoint.settings.schema import Kind, short


@dataclass(frozen=True)
class Question:
    """`name` is the flag of the command line without its --."""

    name: str
    text: str
    kind: Kind[Any]
    example: str = ""
    secret: bool = False

    def mistake(self, answer: str) -> str:
        """What is wrong with the answer, in words; "" when nothing is."""
        try:
            self.kind.parse(answer)
        except ValueError as error:
            shown = "that" if self.secret else short(answer)
            example = f", for example {self.example}" if self.example else ""
            return f"{shown} {error}: it accepts {self.kind.accepts}{example}"
        return ""


class Flags:
    """The command line alone."""

    asks = False

    def __init__(self, given: Mapping[str, str]) -> None:
        self.given = given
        self.missing: list[str] = []

    def about(self, subject: str, explanation: str = "") -> None:
        """Nobody reads it."""

    def quiet(self, question: Question, default: str) -> str:
        """The flag's value, or the default: nobody is asked, on a terminal either."""
        text = self._given(question)
        return default if text is None else text

    def answer(self, question: Question, default: str | None = None) -> str:
        """The flag's value, or the default: None when there has to be an answer, "" when there need not be one.

        What is missing is an empty text until `finish`.
        """
        if (text := self._given(question)) is not None:
            return text
        if default is None:
            self.missing.append(f"--{question.name}")
        return default or ""

    def refuse(self, error: EntrypointError, *_questions: Question) -> None:
        """What only several answers together can be wrong in."""
        raise error

    def agree(self, _text: str) -> bool:
        """Whoever gives flags has agreed."""
        return True

    def finish(self) -> None:
        """UsageError with all that is missing."""
        if self.missing:
            verb = "is" if len(self.missing) == 1 else "are"
            raise UsageError(
                f"cannot go on without questions: {' and '.join(self.missing)} {verb} missing; give them, or call it "
                "on a terminal without --yes"
            )

    def _given(self, question: Question) -> str | None:
        text = self.given.get(question.name)
        if text and (mistake := question.mistake(text)):
            raise UsageError(f"cannot use --{question.name}: {mistake}")
        return text


class Terminal(Flags):
    """A person, who is asked for what the command line does not say."""

    asks = True

    def __init__(self, given: Mapping[str, str]) -> None:
        super().__init__(given)
        self._colour = has_colour()

    def about(self, subject: str, explanation: str = "") -> None:
        print(f"\n{paint(subject, BOLD, on=self._colour)}")
        if explanation:
            print(paint(explanation, DIM, on=self._colour))

    def answer(self, question: Question, default: str | None = None) -> str:
        if (text := self._given(question)) is not None:
            return text
        while True:
            text = self._read(f"{question.text}{_hint(question, default)}: ", question) or default or ""
            mistake = question.mistake(text) if text else "there has to be an answer" if default is None else ""
            if not mistake:
                return text
            self._tell(mistake)

    def refuse(self, error: EntrypointError, *_questions: Question) -> None:
        """The caller asks again, unless the command line has said all of it."""
        if all(question.name in self.given for question in _questions):
            raise error
        self._tell(str(error))

    def agree(self, _text: str) -> bool:
        return input(f"\n{_text} [yes] ").strip().lower() in {"", "y", "yes"}

    def _read(self, prompt: str, question: Question) -> str:
        if question.secret:
            return getpass.getpass(prompt, stream=sys.stdout)
        return input(prompt).strip()

    def _tell(self, mistake: str) -> None:
        print(f"  {paint(mistake, RED, on=self._colour)}")


def _hint(question: Question, default: str | None) -> str:
    if default is not None:
        return f" [{default or 'none'}]"
    return f" (such as {question.example})" if question.example else ""
