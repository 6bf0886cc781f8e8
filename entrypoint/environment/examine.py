"""Everything that can be found out about the settings without asking anybody, at once."""

from __future__ import annotations

from collections.abc import Iterator

from entrypoint.environment import between, files, folders, names, pem
from entrypoint.environment.case import Case
from entrypoint.environment.findings import ERROR, WARNING, Finding, in_order, named_in
from entrypoint.errors import SettingsError


def examine(case: Case) -> list[Finding]:
    """What is wrong, and what is worth a warning, by line. What is on the host is looked at for a file only."""
    found = list(_of_services(case))
    if case.file:
        found = [*_of_lines(case), *_without_echoes(case, found)]
        for module in (names, between, pem, files, folders):
            found += module.findings(case)
    return in_order(found)


def _of_lines(case: Case) -> Iterator[Finding]:
    """What Compose would refuse, and what it takes without a word."""
    assert case.file
    for mistake in case.file.mistakes:
        text = mistake.text if mistake.text.startswith(mistake.name or "\0") else f"the line {mistake.text}"
        yield Finding(ERROR, text, (mistake.name,) if mistake.name else (), (mistake.line,))
    for name, lines in case.file.lines.items():
        if len(lines) > 1:
            where = f"lines {', '.join(map(str, lines[:-1]))} and {lines[-1]}"
            text = f"{name} is set {len(lines)} times, in {where}: Compose takes the last one; remove the others"
            yield Finding(WARNING, text, (name,), tuple(lines))


def _of_services(case: Case) -> Iterator[Finding]:
    """What each service would say at its start, each sentence once with all who say it."""
    said: dict[tuple[str, str], list[str]] = {}
    for name, reading in case.readings.items():
        sentences = (
            [(ERROR, mistake) for mistake in reading.mistakes]
            if isinstance(reading, SettingsError)
            else [(WARNING, warning) for warning in reading.warnings]
        )
        for sentence in sentences:
            said.setdefault(sentence, []).append(name)
    spellings = {*case.known, *case.env}
    for (severity, text), who in said.items():
        yield case.finding(severity, text, named_in(text, spellings), who)


def _without_echoes(case: Case, found: list[Finding]) -> Iterator[Finding]:
    """Without what only follows from a line that cannot be read, and names that other compose files use."""
    assert case.file
    broken = {mistake.name for mistake in case.file.mistakes}
    used = names.used_elsewhere(case)
    for finding in found:
        is_echo = " is missing: " in finding.text and broken & set(finding.variables)
        is_foreign = " is not known" in finding.text and used.issuperset(finding.variables)
        if not (is_echo or is_foreign):
            yield finding
