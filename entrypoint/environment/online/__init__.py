"""What the network answers: DNS, the directory, Redis, and the ports that are published.

Asked from the host, which sees less than the containers do, and mostly before they run: what cannot be reached from
here is said as such, and is no mistake. What answers wrongly is one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from entrypoint.environment.case import Case
from entrypoint.environment.findings import ERROR, WARNING, Finding, words_of
from entrypoint.environment.online import directory, domains, published, store
from entrypoint.ladder import Rung


def answers(case: Case, probe_user: str = "") -> list[Rung]:
    """One rung after the other; the directory has to find `probe_user`."""
    return [
        *domains.rungs(case),
        *directory.rungs(case, probe_user),
        *store.rungs(case),
        *published.rungs(case),
    ]


def findings_of(case: Case, rungs: Sequence[Rung]) -> Iterator[Finding]:
    """What broke, and what will soon. Services start without the world's DNS, and with one directory of several."""
    for rung in rungs:
        if rung.ok is False:
            is_mild = rung.server == domains.SERVER or directory.is_spare(rung, rungs)
            yield _finding(case, WARNING if is_mild else ERROR, rung)
        elif rung.cure:
            yield _finding(case, WARNING, rung)


def _finding(case: Case, severity: str, rung: Rung) -> Finding:
    text = f"{rung.server}, {rung.name}: {rung.told}; {rung.cure}"
    found = case.finding(severity, text, words_of(rung.cure, case.known), ())
    given = tuple(name for name in found.variables if case.is_given(name))
    return replace(found, variables=given or found.variables)
