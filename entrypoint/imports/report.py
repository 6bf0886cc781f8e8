"""What an import has come to, for the person who reads it, and for programs."""

from __future__ import annotations

from collections import Counter
from typing import Any

from entrypoint.console import DIM, GREEN, RED, YELLOW, table
from entrypoint.imports.explain import Imported
from entrypoint.imports.findings import TAKEN, TRANSLATED, VERDICTS, YOU
from entrypoint.imports.ours import is_secret

# By first words, as the table looks at them.
_COLOURS = {TAKEN: GREEN, TRANSLATED: GREEN, "no": YELLOW, "needs": RED, "not": DIM}


def as_table(found: Imported, *, coloured: bool) -> str:
    """How many names came to what, and which of them need a person."""
    counts = Counter(finding.outcome.verdict for finding in found.findings)
    counts[YOU] += len(found.missing()) + len(found.objections())
    names = {verdict: _names(found, verdict) for verdict in VERDICTS}
    names[YOU] = [*(v.name for v in found.missing()), *names[YOU]]
    rows = [
        {"result": verdict, "names": str(counts[verdict]), "which": _shortened(names[verdict])}
        for verdict in VERDICTS
        if counts[verdict]
    ]
    return table(("result", "names", "which"), rows, right={"names"}, colours=_COLOURS, coloured=coloured)


def _names(found: Imported, verdict: str) -> list[str]:
    return [finding.name for finding in found.findings if finding.outcome.verdict == verdict]


def _shortened(names: list[str], width: int = 90) -> str:
    shown = ""
    for number, name in enumerate(names):
        if len(shown) + len(name) > width:
            return f"{shown}, … ({len(names) - number} more)"
        shown += f", {name}" if shown else name
    return shown


def as_json(found: Imported) -> dict[str, Any]:
    """Everything but secrets."""
    return {
        "system": found.system,
        "file": str(found.source.file),
        "service": found.source.service or None,
        "findings": [
            {
                "name": finding.name,
                "value": finding.shown(),
                "result": finding.outcome.verdict,
                "because": finding.outcome.because,
                "sets": _without_secrets(finding.outcome.sets),
            }
            for finding in found.findings
        ],
        "sets": _without_secrets(found.sets),
        "missing": [{"name": v.name, "meaning": v.meaning, "accepts": v.accepts()} for v in found.missing()],
        "objections": found.objections(),
    }


def _without_secrets(sets: Any) -> dict[str, str | None]:
    return {name: None if is_secret(name) else value for name, value in sets.items()}
