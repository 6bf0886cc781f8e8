"""From a source to findings, one for each name, and to the variables that are set.

What a rule sets has to pass our own parser, and two names of the source must not set one variable to different values:
otherwise a person has to look, and the value is only proposed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from entrypoint.environment import Case, examine, in_use
from entrypoint.environment.findings import ERROR
from entrypoint.imports import docker_dovecot, docker_mailserver
from entrypoint.imports.assignment import assignment
from entrypoint.imports.findings import NONE, UNSET, YOU, Finding, Outcome, Rule, you
from entrypoint.imports.ours import BY_NAME, refusal
from entrypoint.imports.source import Source
from entrypoint.service import Service, find, names
from entrypoint.settings.schema import REQUIRED, Var, variables

# Without a default, and checked only where the files are: when a container starts.
CERTIFICATE = ("TLS_FULLCHAIN_FILE", "TLS_PRIVKEY_FILE")
_OPEN = re.compile(r"\$\{[A-Za-z_]\w*[^{}]*\}")


@dataclass
class Imported:
    """What has come of a source."""

    system: str
    source: Source
    findings: list[Finding] = field(default_factory=list)
    sets: dict[str, str] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)  # variable of ours → name of the source

    def missing(self) -> list[Var]:
        """Our variables that nothing has set and that have to be set, each once."""
        wanted = [v for service in self._services() for v in variables(service.settings).values()]
        needed = {v.name for v in wanted if v.default is REQUIRED}
        needed |= {words[0] for words in map(str.split, self._mistakes) if words[1:3] == ["is", "missing:"]}
        given = {v.name for v in wanted if any(name in self.sets for name in v.spellings())}
        found = {v.name: v for v in wanted if v.name in needed - given}
        told = {name for finding in self.findings for name in finding.outcome.sets}
        return [*found.values(), *(BY_NAME[name] for name in CERTIFICATE if name not in told)]

    def objections(self) -> list[str]:
        """What `check` would say, beside what is missing."""
        missing = {v.name for v in self.missing()}
        return [text for text in self._mistakes if text.split()[0] not in missing]

    def _services(self) -> list[Service[Any]]:
        return in_use([find(name) for name in names()], self.sets)

    @cached_property
    def _mistakes(self) -> list[str]:
        """Files of secrets are not there yet."""
        findings = examine(Case(self.sets, tuple(self._services())))
        texts = sorted(found.text for found in findings if found.severity == ERROR)
        return [text for text in texts if "cannot be read" not in text]


def read(system: str, source: Source) -> Imported:
    """Everything that a source says, explained."""
    found = Imported(system, source)
    rule_of = docker_dovecot.rule if system == "docker-dovecot" else _mailserver_rule
    for name, value in source.variables.items():
        _add(found, name, value, rule_of(name))
    _add_keys(found)
    for where, why in source.odd.items():
        found.findings.append(Finding(where, "", you(why)))
    return found


def _mailserver_rule(name: str) -> Rule:
    known = docker_mailserver.KNOWN
    if name not in known and name.removesuffix("__FILE") in known:
        base = name.removesuffix("__FILE")
        return lambda _value, _source: you(
            f"the value is in that file of its container: import again with {base} itself"
        )
    return known.get(name, docker_mailserver.unknown)


def _add_keys(found: Imported) -> None:
    for key, value in found.source.keys.items():
        if key == "volumes":
            for there, here in found.source.mounts():
                _add(found, f"volume {here}:", there, _always(docker_mailserver.mount(there, here)), empty=False)
        else:
            rule = docker_mailserver.KEYS.get(key, docker_mailserver.unknown)
            _add(found, f"{key}:", _as_text(value), rule, empty=False)


def _always(outcome: Outcome) -> Rule:
    return lambda _value, _source: outcome


def _as_text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_as_text, value))
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_as_text(each)}" if each else f"{{{key}}}" for key, each in value.items())
    return str(value or "")


def _add(found: Imported, name: str, value: str, rule: Rule, *, empty: bool = True) -> None:
    """Tell one name. `empty`: an empty value means the default, whatever the name."""
    if empty and not value.strip():
        known = rule is not docker_mailserver.unknown
        outcome = Outcome(UNSET, "empty there: our default counts") if known else you("not known: look it up")
    elif found.source.service and _OPEN.search(value):
        outcome = you("Compose put a variable in there, which is set nowhere here: import again where it is")
    else:
        outcome = _insisted(found, rule(value, found.source))
    if outcome.verdict != YOU:
        found.sets |= outcome.sets
        found.origins |= dict.fromkeys(outcome.sets, name)
    found.findings.append(Finding(name, value, outcome))


def _insisted(found: Imported, outcome: Outcome) -> Outcome:
    """The outcome; or that a person has to look, where a value cannot be."""
    if outcome.verdict in {YOU, NONE}:
        return outcome
    for variable, value in outcome.sets.items():
        if reason := refusal(variable, value):
            return replace(outcome, verdict=YOU, because=f"{outcome.because}; but {reason}")
        if not _can_be_written(variable, value):
            return replace(outcome, verdict=YOU, because=f"{outcome.because}; but no .env can hold that value")
        if found.sets.get(variable, value) != value:
            return replace(
                outcome, verdict=YOU, because=f"{outcome.because}; but {variable} is set for {found.origins[variable]}"
            )
    return outcome


def _can_be_written(variable: str, value: str) -> bool:
    try:
        assignment(variable, value)
    except ValueError:
        return False
    return True
